"""Tells a program: the event on its standard input, in a process group of its own that ends with it."""

from __future__ import annotations

import os
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from visionflow_daemon.model import harmless
from visionflow_daemon.ops.hooks.answer import DELIVERED, Answer
from visionflow_daemon.ops.hooks.patience import Patience

PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "XDG_RUNTIME_DIR")
"""What a program sees of our environment, beside LC_*: where things are, and nothing that may be a secret."""

LOOK = 0.05
"""Seconds between two looks whether the program has ended: children that it left may hold its output open."""

CHUNK = 65_536
MOST_OUTPUT = 1 << 20
"""Bytes that a program may write: more is a fault of its own, and reading it would take time from passes."""

LONGEST_OUTPUT = 2_000
"""Bytes of its output that are kept."""


def run(
    command: Sequence[str], base: Path, document: bytes, variables: Mapping[str, str], patience: Patience
) -> tuple[Answer, str]:
    """Run a program to its end, or to that of our patience; give how it went, and the end of what it wrote."""
    environment = {name: value for name, value in os.environ.items() if name in PASSED_ON or name.startswith("LC_")}
    program = _found(command[0], base, environment.get("PATH", os.defpath))
    try:
        process = subprocess.Popen(  # noqa: S603 - what the configuration names, and no shell
            [program, *command[1:]],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**environment, **variables},
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return Answer(f"it can't be started: {getattr(error, 'strerror', None) or error}"), ""
    talk = _Talk(process, document)
    try:
        talk.carry_on(patience)
        answer = _answer_of(process.returncode)
    except (TimeoutError, OverflowError) as error:
        answer = Answer(f"{error}, and was ended")
    except OSError as error:
        answer = Answer(f"nothing can be told it: {error.strerror}")
    finally:
        with suppress(ProcessLookupError, PermissionError):  # whoever is left of the group
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        talk.close()
    return answer, harmless(bytes(talk.output).decode("utf-8", "surrogateescape").strip())


def _found(name: str, base: Path, path: str) -> str:
    """Say where a program is: a name is looked up on the PATH, a path starts at the configuration's folder."""
    if "/" not in name:
        return shutil.which(name, path=path) or name
    return str(base / Path(name).expanduser())


def _answer_of(code: int | None) -> Answer:
    if code == 0:
        return DELIVERED
    if code is not None and code < 0:
        with suppress(ValueError):
            return Answer(f"it was ended by {signal.Signals(-code).name}")
    return Answer(f"it ended with code {code}")


class _Talk:
    """Writes to a program and reads from it, without waiting for either."""

    def __init__(self, process: subprocess.Popen[bytes], document: bytes) -> None:
        self._process = process
        self._rest = memoryview(document)
        self._read = 0
        self.output = bytearray()

    def carry_on(self, patience: Patience) -> None:
        """Go on until the program has ended. Raises TimeoutError, and OverflowError where it writes too much."""
        with selectors.DefaultSelector() as self._selector:
            pipes = (self._process.stdin, selectors.EVENT_WRITE), (self._process.stdout, selectors.EVENT_READ)
            for pipe, event in pipes:
                if pipe is not None:
                    os.set_blocking(pipe.fileno(), False)
                    self._selector.register(pipe, event)
            while self._process.poll() is None:
                self._step(min(LOOK, patience.left()))
            for _ in range(MOST_OUTPUT // CHUNK):  # what it wrote last
                if not self._step(0):
                    break

    def close(self) -> None:
        """Let go of the pipes."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def _step(self, seconds: float) -> bool:
        """Move what can be moved; tell whether something was read."""
        if not self._selector.get_map():
            time.sleep(seconds)  # it has closed both: there is nothing to wait for but its end
            return False
        has_read = False
        for key, _ in self._selector.select(seconds):
            if key.fileobj is self._process.stdin:
                self._write(key.fd)
            else:
                has_read = self._take(key.fd)
        return has_read

    def _write(self, descriptor: int) -> None:
        try:
            self._rest = self._rest[os.write(descriptor, self._rest) :]
        except BlockingIOError:
            return
        except OSError:  # it does not want to know
            self._rest = self._rest[:0]
        if not self._rest and self._process.stdin is not None:
            self._selector.unregister(self._process.stdin)
            self._process.stdin.close()

    def _take(self, descriptor: int) -> bool:
        try:
            part = os.read(descriptor, CHUNK)
        except BlockingIOError:
            return False
        except OSError:
            part = b""
        if not part and self._process.stdout is not None:
            self._selector.unregister(self._process.stdout)
            return False
        self._read += len(part)
        self.output = (self.output + part)[-LONGEST_OUTPUT:]
        if self._read > MOST_OUTPUT:
            raise OverflowError(f"it writes more than {MOST_OUTPUT:,} bytes")
        return True
