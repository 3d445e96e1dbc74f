"""Servers of the tests' own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgresql import server
from tests.postgresql.server import PASSWORD, Server
from tests.support import Daemon


@pytest.fixture(scope="module")
def own() -> Iterator[Server]:
    """A server of a module's own, that keeps what it says it keeps."""
    folder = Path(tempfile.mkdtemp(prefix="postgresql-", dir="/tmp"))
    one = server.started(folder, fsync="on", max_connections="30")
    yield one
    one.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def shared() -> Server:
    """The server that all tests of this process share."""
    return server.shared()


@pytest.fixture
def database(shared: Server, request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of an empty database on it."""
    name = server.database_name(Path(request.node.name))
    shared.new_database(name)
    yield name
    shared.rows(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def client(daemon: Daemon) -> Daemon:
    """The program, with the servers' password."""
    daemon.environment["VISIONFLOW_DATABASE_PASSWORD"] = PASSWORD
    return daemon
