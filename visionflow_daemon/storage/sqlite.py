"""A database in a file of SQLite's, through Peewee: opened with care, one writer at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import peewee

from visionflow_daemon.errors import ConfigError, DatabaseError
from visionflow_daemon.storage import trouble
from visionflow_daemon.storage.database import BUSY_TIMEOUT, SQLITE, Address, Database, Row
from visionflow_daemon.storage.server import SERVERS

SQLITE_HEADER = b"SQLite format 3\0"

CHECKPOINT_PAGES = 8_000
"""Pages of the write-ahead log, 32 MB, after which SQLite copies them into the database (ADR 0008)."""

CACHE_KIB = 4_096
"""KiB of page cache for each connection: one a worker."""

REMADE = {"foreign_keys": 0, "synchronous": "full", "legacy_alter_table": 1, "cache_size": -8 * CACHE_KIB}
"""What differs for a database that is remade: one connection writes it all, and foreign keys are checked at the end."""

_held: set[Path] = set()
_door = threading.Lock()
"""Files that this process has opened as databases, and the lock of looking into one before."""


class SqliteDatabase(Database):
    """A file of SQLite's.

    A scratch database is fast, and lost with its process. One that is remade, tables and all, keeps its journal as it
    is, and its foreign keys are checked at the end, by whoever remakes it.
    """

    engine = SQLITE
    at_once = 1

    def __init__(
        self,
        path: Path,
        *,
        read_only: bool = False,
        is_scratch: bool = False,
        is_remade: bool = False,
        busy_timeout: float = BUSY_TIMEOUT,
    ) -> None:
        super().__init__()
        self.address = address_of(path)
        _held.add(path.resolve())
        self.read_only = read_only
        pragmas: dict[str, Any] = {"foreign_keys": 1, "synchronous": "normal", "cache_size": -CACHE_KIB}
        if is_scratch:
            pragmas = {**pragmas, "journal_mode": "off", "synchronous": "off"}
        elif is_remade:
            pragmas = {**pragmas, **REMADE}
        elif not read_only:
            pragmas = {"journal_mode": "wal", "wal_autocheckpoint": CHECKPOINT_PAGES, **pragmas}
        target = f"file:{_quoted(path)}?mode=ro" if read_only else str(path)
        self.peewee = peewee.SqliteDatabase(target, pragmas=pragmas, timeout=busy_timeout, uri=read_only)
        self._writing = threading.Lock()

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> Any:  # noqa: ANN401 - a DB-API cursor has no type
        """Execute one statement and give its cursor."""
        return self.peewee.execute_sql(sql, parameters)

    def run_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Execute one statement for each row of parameters."""
        if len(rows) == 1:
            self.run(sql, rows[0])
        elif rows:
            with peewee.__exception_wrapper__:  # type: ignore[attr-defined]
                self.peewee.cursor().executemany(sql, rows)

    def load(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Insert many rows in a transaction of their own."""
        marks = ", ".join("?" * len(columns))
        with self.transaction():
            self.run_many(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)

    def stream(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[Row]:
        """Execute a query and give its rows one by one."""
        yield from self.run(sql, parameters)

    @contextmanager
    def transaction(self, *, in_order: bool = True) -> Iterator[None]:  # noqa: ARG002 - all are, with one writer
        """Write in one transaction, which takes the write lock at its start.

        Threads queue at a lock of this process first: SQLite's own lock makes waiters sleep and starve (ADR 0003).
        """
        asked = time.perf_counter()
        with self._writing:
            self.run("BEGIN IMMEDIATE")
            began = time.perf_counter()
            try:
                yield
                self.run("COMMIT")
            except BaseException:
                with suppress(peewee.DatabaseError):  # SQLite has rolled back by itself where the disk is full
                    self.run("ROLLBACK")
                raise
            self.observe(began - asked, time.perf_counter() - began)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read in one transaction, so that several queries see one state."""
        with self.peewee.atomic("DEFERRED"):
            yield

    def settle(self) -> None:
        """Copy the log into the database, and see that the disk takes both: closing does so, too, but tells nobody.

        Raises peewee's errors. Where readers still need the log, it is left to a later time.
        """
        self.run("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def prepare_to_alter(self) -> None:
        """Let tables be altered beside views of other programs that don't work, which would be errors."""
        self.run("PRAGMA legacy_alter_table = ON")

    def tables(self) -> set[str]:
        """Name the tables that there are."""
        return {name for (name,) in self.rows("SELECT name FROM sqlite_master WHERE type = 'table'")}


def open_sqlite(
    url: str, base: Path, *, read_only: bool = False, is_remade: bool = False, busy_timeout: float = BUSY_TIMEOUT
) -> SqliteDatabase:
    """Open the file that a URL or a plain path names; relative paths start at `base`.

    With `read_only` or `is_remade`, the file must exist. Raises ConfigError for a URL that isn't understood,
    DatabaseError for a place where no database can be and for a file that is none, and CorruptError for a damaged one:
    it is not touched.
    """
    path = database_path(url, base)
    if path.is_dir():
        raise DatabaseError(f"{path} is a folder: name a file for the database")
    if (read_only or is_remade) and not path.exists():
        raise DatabaseError(f"there is no database at {path}: a first `visionflow-daemon --once` makes it")
    if not path.exists() and not path.parent.is_dir():
        what = "is a file" if path.parent.exists() else "does not exist"
        raise DatabaseError(f"the folder {path.parent}, where the database is due, {what}: create it first")
    with _door:
        if path.exists() and path.resolve() not in _held:
            _check_header(path)
        database = SqliteDatabase(path, read_only=read_only, is_remade=is_remade, busy_timeout=busy_timeout)
    try:
        database.connected()
        database.rows("SELECT name FROM sqlite_master LIMIT 1")
    except peewee.DatabaseError as error:
        database.close()
        words = trouble.in_words(error, path) or DatabaseError(f"can't open the database {path}: {error}")
        raise words from error
    return database


def address_of(path: Path) -> Address:
    """Give the address of a file."""
    return Address(str(path), str(path.resolve()), path)


def database_path(url: str, base: Path) -> Path:
    """Give the file that a database URL names. Raises ConfigError for a URL of another kind."""
    text = url.removeprefix("sqlite:///") if url.startswith("sqlite:///") else url
    if text.startswith(SERVERS):
        raise ConfigError("database: this works on a file of SQLite's alone; give a path or sqlite:///path")
    if "://" in text or text.startswith("sqlite:"):
        scheme = text.partition(":")[0]
        raise ConfigError(
            f"database: {scheme!r} databases are not supported; give a path, sqlite:///path or postgresql://host/name"
        )
    if not text:
        raise ConfigError("database: it is empty; give a path or sqlite:///path")
    return base / Path(text).expanduser()


def _check_header(path: Path) -> None:
    """Look at a file before SQLite does, but never at one that this process holds open as a database.

    Closing any descriptor of a file drops all the locks that its process has on it: another program that closes the
    database then takes itself for the last one and deletes the log, and what is committed afterwards is lost.
    """
    try:
        with path.open("rb") as file:
            header = file.read(len(SQLITE_HEADER))
    except OSError as error:
        raise DatabaseError(f"can't read the database {path}: {error.strerror}") from error
    if header and header != SQLITE_HEADER:
        raise DatabaseError(f"{path} is no SQLite database; it was not touched. Name another file")


def _quoted(path: Path) -> str:
    return str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
