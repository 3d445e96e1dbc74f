"""The engine that the tests of a run are on: SQLite's files, or databases of a real PostgreSQL server instead of them.

`VISIONFLOW_TEST_ENGINE=postgresql` says so. A file's name then stands for a database, one for each folder and name.
"""

from __future__ import annotations

import itertools
import os
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Self

from tests.postgresql import server
from visionflow_daemon.storage.database import POSTGRESQL, SQLITE, Database
from visionflow_daemon.storage.hold import held_by_us
from visionflow_daemon.storage.migrate import Migration, migrations, open_migrated
from visionflow_daemon.storage.server import Server, server_address
from visionflow_daemon.storage.sqlite import SqliteDatabase

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

    from visionflow_daemon.storage.postgresql import PostgresDatabase

    Refused = (psycopg.Error,)

SERVER = Server(password=lambda: server.PASSWORD)

_made: set[Path] = set()
_numbers = itertools.count()


def examples(count: int) -> int:
    """Give how many examples of a property are tried: each makes a database, which takes a server a quarter second."""
    return max(5, count // 5) if IS_SERVER else count


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


def known_as(place: Path) -> str:
    """Give what the program calls a database."""
    return server_address(url_of(place)).name if IS_SERVER else str(place)


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


def state(place: Path) -> object:
    """Give all that is written in a database; on a server, who holds an ontology is no part of it."""
    if not IS_SERVER:
        return place.read_bytes()
    rows = "SELECT ctid::text, xmin::text, t::text FROM {} t ORDER BY 1"
    return {name: query(place, rows.format(name)) for name in sorted(tables(place) - {"leases"})}


def kept(place: Path) -> bytes | str:
    """Keep all that is in a database, to put it back."""
    if not IS_SERVER:
        return place.read_bytes()
    name = f"kept_{next(_numbers)}"
    server.shared().rows(f'CREATE DATABASE "{name}" TEMPLATE "{server.database_name(place)}"')
    return name


def put_back(place: Path, content: bytes | str) -> None:
    """Have a database hold what was kept."""
    if isinstance(content, bytes):
        place.write_bytes(content)
        return
    drop(place)
    server.shared().rows(f'CREATE DATABASE "{server.database_name(place)}" TEMPLATE "{content}"')
    _made.add(place)


def tables(place: Path) -> set[str]:
    """Name the tables of a database; a file that is not there has none."""
    if IS_SERVER:
        return {name for (name,) in query(place, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}
    return {name for (name,) in query(place, "SELECT name FROM sqlite_master")} if place.exists() else set()


def made() -> list[Migration]:
    """Give the migrations that make a new database of this engine."""
    return migrations(POSTGRESQL if IS_SERVER else SQLITE)


def drop(place: Path) -> None:
    """Take a database away, if there is one."""
    if IS_SERVER:
        if place in _made:
            _made.discard(place)
            server.shared().rows(f'DROP DATABASE "{server.database_name(place)}" WITH (FORCE)')
        return
    for end in ("", "-wal", "-shm"):
        place.with_name(place.name + end).unlink(missing_ok=True)


def drop_all(folder: Path) -> None:
    """Take all databases away that stand for files in a folder; files go with it."""
    if IS_SERVER:
        for place in [each for each in _made if each.is_relative_to(folder)]:
            drop(place)


@contextmanager
def folder() -> Iterator[Path]:
    """Give a folder, which goes afterwards with all databases in it."""
    with tempfile.TemporaryDirectory() as name:
        try:
            yield Path(name)
        finally:
            drop_all(Path(name))


if IS_SERVER:

    class Engine(PostgresDatabase):
        """The database that a file's name stands for."""

        def __init__(self, place: Path, *, read_only: bool = False) -> None:
            super().__init__(url_of(place), SERVER, read_only=read_only)

else:

    class Engine(SqliteDatabase):  # type: ignore[no-redef]
        """The file."""

        def __init__(self, place: Path, *, read_only: bool = False) -> None:
            super().__init__(place, read_only=read_only)


def migrated(place: Path) -> Database:
    """Open a database to write it, with its schema up to date."""
    where = url_of(place) if IS_SERVER else str(place)
    return open_migrated(where, place.parent, server=SERVER)[0]


def opened(place: Path) -> Database:
    """Open a database that is there, to read it."""
    return Engine(place, read_only=True)


class Connected:
    """A session beside the program's, in which each statement is committed by itself."""

    def __init__(self, place: Path) -> None:
        self._connection: Any
        if IS_SERVER:
            self._connection = psycopg.connect(url_of(place), password=server.PASSWORD, autocommit=True)
        else:
            self._connection = sqlite3.connect(place, isolation_level=None, check_same_thread=False, timeout=10)
            self._connection.execute("PRAGMA foreign_keys = ON")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> Any:  # noqa: ANN401 - a DB-API cursor has no type
        """Execute a statement, with `?` for its parameters, and give its cursor."""
        if IS_SERVER:
            sql = (
                sql.replace("%", "%%").replace("?", "%s").replace("AS BLOB)", "AS BYTEA)").replace("instr(", "strpos(")
            )
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
