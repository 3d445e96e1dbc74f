"""The engine that the tests of a run are on: SQLite's files, or databases of a real PostgreSQL server instead of them.

`VISIONFLOW_TEST_ENGINE=postgresql` says so. A file's name then stands for a database, one for each folder and name.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self

from tests.postgresql import server
from visionflow_daemon.storage.database import Database
from visionflow_daemon.storage.hold import held_by_us
from visionflow_daemon.storage.migrate import open_migrated
from visionflow_daemon.storage.opening import open_database
from visionflow_daemon.storage.server import Server

ENGINE = os.environ.get("VISIONFLOW_TEST_ENGINE", "sqlite")
IS_SERVER = ENGINE == "postgresql"
HOLLOW = (
    "SELECT 'parents' FROM owl_class_hierarchy h WHERE NOT EXISTS (SELECT 1 FROM owl_classes c"
    " WHERE c.ontology_id = h.ontology_id AND c.class_iri = h.parent_iri)"
)

Refused: tuple[type[Exception], ...] = (sqlite3.OperationalError,)
"""What the engine raises for a statement that can't be executed."""

if IS_SERVER:
    import psycopg

    Refused = (psycopg.Error,)

_made: set[Path] = set()


def url_of(place: Path) -> str:
    """Give the URL of the database that a file's name stands for, made when it is first asked for."""
    shared = server.shared()
    name = server.database_name(place)
    if place not in _made:
        _made.add(place)
        return shared.new_database(name)
    return shared.url(name)


def arguments(folder: Path, given: tuple[str | Path, ...]) -> list[str]:
    """Give a command line's arguments, with databases in place of files."""
    found = list(map(str, given))
    if IS_SERVER:
        for at, argument in enumerate(found[1:], 1):
            if found[at - 1] == "--database" and "://" not in argument:
                found[at] = url_of(folder / argument)
    return found


def environment(folder: Path) -> dict[str, str]:
    """Give what a run needs in its environment: the database, whatever a configuration names, and its secret."""
    if not IS_SERVER:
        return {}
    return {"VISIONFLOW_DATABASE_PASSWORD": server.PASSWORD, "VISIONFLOW_DATABASE": url_of(folder / "kg.db")}


def query(place: Path, sql: str) -> list[tuple[Any, ...]]:
    """Ask a database, as any reader may."""
    if IS_SERVER:
        url_of(place)
        return server.shared().rows(sql, server.database_name(place))
    with closing(sqlite3.connect(f"file:{place}?mode=ro", uri=True)) as connection:
        return connection.execute(sql).fetchall()


def exists(place: Path) -> bool:
    """Tell whether there is a database."""
    return place in _made if IS_SERVER else place.is_file()


def assert_sound(place: Path) -> None:
    """See that the engine finds nothing wrong with a database, its foreign keys included."""
    if IS_SERVER:
        assert query(place, "SELECT conname FROM pg_constraint WHERE NOT convalidated") == []
        assert query(place, HOLLOW) == []
        return
    assert query(place, "PRAGMA integrity_check") == [("ok",)]
    assert query(place, "PRAGMA foreign_key_check") == []


def drop(place: Path) -> None:
    """Take a database away, if there is one."""
    if IS_SERVER:
        _made.discard(place)
        return
    for end in ("", "-wal", "-shm"):
        place.with_name(place.name + end).unlink(missing_ok=True)


def migrated(place: Path) -> Database:
    """Open a database to write it, with its schema up to date."""
    if not IS_SERVER:
        return open_migrated(str(place), place.parent)[0]
    return open_migrated(url_of(place), place.parent, server=Server(password=lambda: server.PASSWORD))[0]


def opened(place: Path) -> Database:
    """Open a database that is there, to read it."""
    if not IS_SERVER:
        return open_database(str(place), place.parent, read_only=True)
    return open_database(url_of(place), place.parent, read_only=True, server=Server(password=lambda: server.PASSWORD))


class Connected:
    """A session beside the program's, in which each statement is committed by itself."""

    def __init__(self, place: Path) -> None:
        self._connection: Any
        if IS_SERVER:
            self._connection = psycopg.connect(url_of(place), password=server.PASSWORD, autocommit=True)
        else:
            self._connection = sqlite3.connect(place, isolation_level=None, check_same_thread=False, timeout=10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Any:  # noqa: ANN401 - a DB-API cursor has no type
        """Execute a statement, with `?` for its parameters, and give its cursor."""
        if IS_SERVER:
            sql = sql.replace("%", "%%").replace("?", "%s")
        return self._connection.execute(sql, parameters)

    def begin(self) -> None:
        """See one state until the end of the transaction."""
        self.execute("BEGIN ISOLATION LEVEL REPEATABLE READ" if IS_SERVER else "BEGIN")

    def broken_references(self) -> list[tuple[Any, ...]]:
        """Give the rows that refer to nothing."""
        return self.execute(HOLLOW if IS_SERVER else "PRAGMA foreign_key_check").fetchall()

    def lock(self) -> None:
        """Keep every writer out, until the session is closed."""
        self.execute("BEGIN" if IS_SERVER else "BEGIN IMMEDIATE")
        if IS_SERVER:
            self.execute("LOCK TABLE source_files, checkpoints, sync_runs IN EXCLUSIVE MODE")

    def script(self, sqlite: str, postgresql: str) -> None:
        """Execute what the engines say in different words."""
        if IS_SERVER:
            self._connection.execute(postgresql)
        else:
            self._connection.executescript(sqlite)

    def close(self) -> None:
        """End the session."""
        self._connection.close()


@contextmanager
def held(place: Path, ontology_id: str) -> Iterator[None]:
    """Hold an ontology, as a pass does."""
    database = migrated(place)
    try:
        with held_by_us(database, ontology_id, 0):
            yield
    finally:
        database.close()
        database.end()
