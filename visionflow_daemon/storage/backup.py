"""Copies a database while others write to it, and proves that the copy is whole before it gets its name."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import peewee

from visionflow_daemon.errors import CorruptError, DatabaseError
from visionflow_daemon.storage import trouble
from visionflow_daemon.storage.database import Database

PAGES_AT_ONCE = 1_024
"""Pages copied in one step; other threads get their turn between two."""

SPARE_BYTES = 1 << 20
"""Room to be left on the disk beside a copy."""

FIRST_COMPLAINTS = 3
INSTRUCTIONS_BETWEEN_LOOKS = 200_000
"""Of SQLite's machine while it checks a database, which it does within some milliseconds."""

Told = Callable[[str, int, int], None]
"""Is told what is being done, how much of it is done, and how much there is; it may raise an error to end it."""


def untold(_doing: str, _done: int, _of: int) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of a database, verified, on the disk."""

    path: Path
    size: int
    seconds: float


def copy_database(source: Database, target: Path, told: Told = untold, *, is_raw: bool = False) -> Copy:
    """Copy a database into a file that isn't there yet, by SQLite's online backup; verify it, then name it.

    The copy is the database as of one moment, whatever is written meanwhile; with a write-ahead log nobody waits for
    it. One that `is_raw` is neither verified nor brought to the disk: that is up to the caller. Raises DatabaseError
    where the disk has no room or `target` exists, CorruptError where the copy isn't sound; no file stays then.
    """
    started = time.monotonic()
    if target.exists():
        raise DatabaseError(f"{target} is there already: move it away")
    require_room(target.parent, size_of(source))
    partial = target.with_name(f"{target.name}.part")
    _remove(partial)
    try:
        with trouble.told(partial):
            _copy(source, partial, told)
            if not is_raw:
                require_sound(partial, source.path, told)
                to_disk(partial)
        partial.rename(target)
        if not is_raw:
            to_disk(target.parent)
    except OSError as error:
        raise DatabaseError(f"can't write {target}: {error.strerror or error}") from error
    finally:
        _remove(partial)
    return Copy(target, target.stat().st_size, time.monotonic() - started)


@contextmanager
def a_copy_of(source: Database, folder: Path) -> Iterator[Path]:
    """Give a copy of a database for a trial, which is gone afterwards."""
    place = folder / f"{source.path.name}.trial-{os.getpid()}"
    _remove(place)
    try:
        yield copy_database(source, place).path
    finally:
        _remove(place)


def size_of(database: Database) -> int:
    """Give the bytes that a database takes."""
    (pages,) = database.row("PRAGMA page_count") or (0,)
    (size,) = database.row("PRAGMA page_size") or (0,)
    return int(pages) * int(size)


def require_room(folder: Path, wanted: int) -> None:
    """Raise DatabaseError unless the disk has room for so many bytes, and some more."""
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise DatabaseError(f"can't look at the disk of {folder}: {error.strerror}") from error
    if free < wanted + SPARE_BYTES:
        raise DatabaseError(
            f"too little room in {folder}: {wanted / 1e6:,.1f} MB are needed, {free / 1e6:,.1f} MB are free. "
            "Nothing was touched"
        )


def require_sound(path: Path, of: Path, told: Told = untold) -> None:
    """Raise CorruptError unless SQLite finds a database sound."""
    with (
        closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection,
        heard(connection, lambda: told("checking", 0, 0)),
    ):
        try:
            found = [text for (text,) in connection.execute(f"PRAGMA integrity_check({FIRST_COMPLAINTS})")]
        except sqlite3.DatabaseError as error:
            if (trouble.code_of(error) or 0) & trouble.PRIMARY not in trouble.CORRUPT_CODES:
                raise
            found = [str(error)]
    if found != ["ok"]:
        raise CorruptError(f"{of} is damaged ({'; '.join(found)}): put a backup in its place. Nothing was touched")


@contextmanager
def heard(connection: sqlite3.Connection, look: Callable[[], None]) -> Iterator[None]:
    """Call `look` now and then while SQLite works; an error that it raises ends the work."""
    raised: list[BaseException] = []

    def handler() -> bool:
        try:
            look()
        except BaseException as error:  # noqa: BLE001 - it is raised below; SQLite would swallow it
            raised.append(error)
        return bool(raised)

    connection.set_progress_handler(handler, INSTRUCTIONS_BETWEEN_LOOKS)
    try:
        yield
    except sqlite3.OperationalError:
        if raised:
            raise raised[0] from None
        raise
    finally:
        connection.set_progress_handler(None, 0)


def to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, would survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _copy(source: Database, target: Path, told: Told) -> None:
    """Copy all pages within one read transaction: SQLite would begin anew whenever another program commits."""
    size = size_of(source)

    def step(_status: int, left: int, pages: int) -> None:
        told("copying", size - left * size // max(pages, 1), size)

    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))  # whatever the umask: it has all the data
    with source.snapshot(), closing(sqlite3.connect(target)) as copy:
        source.rows("SELECT name FROM sqlite_master LIMIT 1")  # the snapshot begins with the first read
        driver: sqlite3.Connection = source.peewee.connection()
        copy.execute("PRAGMA synchronous = OFF")  # it is brought to the disk as a whole, before it gets its name
        with peewee.__exception_wrapper__:  # type: ignore[attr-defined]
            driver.backup(copy, pages=PAGES_AT_ONCE, progress=step)


def _remove(path: Path) -> None:
    for each in (path, *(path.with_name(path.name + end) for end in ("-journal", "-wal", "-shm", ".part"))):
        with suppress(FileNotFoundError):
            each.unlink()
