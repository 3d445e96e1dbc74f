"""A real pgbouncer in transaction mode before a server: each transaction may meet another of the server's sessions."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.postgresql.server import PASSWORD, USER, Server, free_port
from tests.support import eventually

CONFIGURATION = """
[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = plain
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = {sessions}
max_client_conn = 100
ignore_startup_parameters = extra_float_digits
query_wait_timeout = 20
logfile = {folder}/log
"""


@contextmanager
def pgbouncer(server: Server, folder: Path, sessions: int = 3, port: int = 0) -> Iterator[int]:
    """Run one, with so many sessions of the server for all that connect, and give its port."""
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("pgbouncer is not installed")
    port = port or free_port()
    folder.mkdir(mode=0o755)
    (folder / "users").write_text(f'"{USER}" "{PASSWORD}"\n')
    (folder / "pgbouncer.ini").write_text(
        CONFIGURATION.format(server=server.port, port=port, folder=folder, sessions=sessions)
    )
    under: tuple[str, ...] = ()
    if os.geteuid() == 0:
        postgres = pwd.getpwnam("postgres")
        for path in (folder, *folder.iterdir()):
            os.chown(path, postgres.pw_uid, postgres.pw_gid)
        under = ("setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups")
    with (folder / "out").open("wb") as out:
        process = subprocess.Popen([*under, program, str(folder / "pgbouncer.ini")], stdout=out, stderr=out)
    try:
        eventually(lambda: process.poll() is not None or "process up" in (folder / "out").read_text(errors="replace"))
        assert process.poll() is None, (folder / "out").read_text(errors="replace")
        yield port
    finally:
        process.kill()
        process.wait()
