"""The program on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

from tests.support import Daemon


def on_a_terminal(daemon: Daemon, *arguments: str | Path, keys: bytes | None = None) -> tuple[int, str]:
    """Run the program with a terminal as its output; give its code, and all that the terminal got.

    Where `keys` are pressed, the terminal is its input, too.
    """
    outer, inner = pty.openpty()
    try:
        with subprocess.Popen(
            daemon.command(*arguments),
            cwd=daemon.folder,
            env=daemon.env(),
            stdin=None if keys is None else inner,
            stdout=inner,
            stderr=inner,
        ) as process:
            os.close(inner)
            os.write(outer, keys or b"")
            got = bytearray()
            while True:
                try:
                    got += os.read(outer, 65_536) or b""
                except OSError:  # the program has closed the terminal
                    break
            return process.wait(timeout=30), got.decode().replace("\r\n", "\n")
    finally:
        os.close(outer)
