"""A real PostgreSQL server for tests, on loopback, in a folder of its own; ended with the process that started it."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

USER, PASSWORD = "vf", "the server's own secret"
PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))


@dataclass(slots=True)
class Server:
    """One server. `settings` are its own, such as fsync."""

    folder: Path
    port: int
    settings: dict[str, str] = field(default_factory=dict)

    def set_up(self) -> None:
        """Make its data directory."""
        self.folder.chmod(0o755)
        secret = self.folder / "password"
        secret.write_text(PASSWORD)
        if _under():
            shutil.chown(self.folder, "postgres", "postgres")
            shutil.chown(secret, "postgres", "postgres")
        self.do(
            "initdb", "--auth=scram-sha-256", f"--pwfile={secret}", f"--username={USER}", "--no-sync",
            "--locale=C.UTF-8", "--encoding=UTF8", f"--pgdata={self.data}",
        )  # fmt: skip

    @property
    def data(self) -> Path:
        """Its data directory."""
        return self.folder / "data"

    @property
    def pid(self) -> int:
        """The process id of its first process."""
        return int((self.data / "postmaster.pid").read_text().split()[0])

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": str(self.folder), **self.settings}
        given = " ".join(f"-c {name}={value}" for name, value in options.items())
        self.do("pg_ctl", "start", "--wait", f"--pgdata={self.data}", f"--log={self.folder / 'log'}",
                "--options", f"-p {self.port} {given}")  # fmt: skip

    def stop(self, mode: str = "immediate") -> None:
        """Stop it: fast, immediate or smart."""
        self.do("pg_ctl", "stop", "--wait", "--mode", mode, f"--pgdata={self.data}")

    def kill(self) -> None:
        """Kill its first process; the others follow by themselves."""
        os.kill(self.pid, signal.SIGKILL)

    def url(self, name: str, user: str = USER) -> str:
        """Give the URL of a database."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{name}"

    def rows(self, sql: str, name: str = "postgres", parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Ask a database."""
        import psycopg  # noqa: PLC0415 - where there is no server, none is needed

        with psycopg.connect(self.url(name), password=PASSWORD, autocommit=True) as connection:
            cursor = connection.execute(sql.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    def new_database(self, name: str) -> str:
        """Make a database, in place of one of that name, and give its URL."""
        self.rows(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        self.rows(f'CREATE DATABASE "{name}" STRATEGY file_copy')
        return self.url(name)

    def do(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs, as the user it wants."""
        done = subprocess.run(
            [*_under(), str(PROGRAMS[-1] / program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # a server that is started keeps what it was given, and no pipe would end
            stderr=subprocess.DEVNULL,
            cwd="/",
            check=False,
        )
        assert done.returncode == 0, (program, arguments, _tail(self.folder / "log"))


def started(folder: Path, **settings: str) -> Server:
    """Set up and start a server, or skip the test."""
    if not PROGRAMS:
        pytest.skip("no PostgreSQL server is installed (Debian's package postgresql)")
    if os.geteuid() == 0 and shutil.which("setpriv") is None:
        pytest.skip("PostgreSQL does not run as root, and setpriv is missing")
    server = Server(folder, free_port(), settings)
    server.set_up()
    server.start()
    return server


@cache
def shared() -> Server:
    """Give the server that the tests of this process share, started when the first one needs it."""
    folder = Path(tempfile.mkdtemp(prefix="postgresql-", dir="/tmp"))
    server = started(folder, fsync="off", max_connections="200", full_page_writes="off", shared_buffers="64MB")

    @atexit.register
    def end() -> None:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)

    return server


def database_name(place: Path) -> str:
    """Name the database that stands for a file."""
    readable = "".join(character for character in place.stem if character.isalnum())[:20].lower()
    return f"{readable}_{sha256(str(place).encode()).hexdigest()[:16]}"


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _under() -> list[str]:
    """Give what runs a program as the user postgres, where we are root."""
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] if os.geteuid() == 0 else []


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-2_000:] if log.is_file() else ""
