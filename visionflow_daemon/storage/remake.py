"""Remakes a database in one transaction: nobody else writes, a verified backup first, the proof before the commit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, TypeVar

import peewee

from visionflow_daemon.errors import DatabaseError
from visionflow_daemon.storage import trouble
from visionflow_daemon.storage.backup import Copy, a_copy_of, copy_database, require_room, size_of
from visionflow_daemon.storage.database import BUSY_TIMEOUT, Database
from visionflow_daemon.storage.lock import ontology_lock
from visionflow_daemon.storage.sqlite import open_sqlite

T = TypeVar("T")

TIMES_THE_SIZE = 4
"""How many times its size a database may need beside it while it is remade: log, archive, and what is made."""


@dataclass(frozen=True, slots=True)
class Place:
    """Which database is remade, and how long others are waited for."""

    url: str
    base: Path
    busy_timeout: float = BUSY_TIMEOUT
    lock_timeout: float = 0.0

    def reading(self) -> Database:
        """Open it to look at it."""
        return tolerant(open_sqlite(self.url, self.base, read_only=True, busy_timeout=self.busy_timeout))

    def remaking(self) -> Database:
        """Open it to remake it."""
        return tolerant(open_sqlite(self.url, self.base, is_remade=True, busy_timeout=self.busy_timeout))


@dataclass(frozen=True, slots=True)
class Remade(Generic[T]):
    """What came of it: the answer of the change, the backup that was taken before, and how long it took."""

    answer: T
    backup: Copy | None
    seconds: float


def remake(place: Place, ontologies: Callable[[Database], Iterable[str]], change: Callable[[Database], T]) -> Remade[T]:
    """Change a database as a whole, or not at all.

    `ontologies` names those whose passes are kept away. What `change` raises undoes all; so does a database that is
    not sound afterwards. Raises LockedError, BusyError, CorruptError or DatabaseError, each in words.
    """
    started = time.monotonic()
    with opened(place.reading()) as looked_at:
        path = looked_at.path
        with trouble.told(path):
            named = sorted(set(ontologies(looked_at)))
            require_room(path.parent, TIMES_THE_SIZE * size_of(looked_at))
    with ExitStack() as locks, opened(place.remaking()) as database, trouble.told(path):
        for ontology_id in named:
            locks.enter_context(ontology_lock(path, ontology_id, place.lock_timeout))
        with database.transaction(), opened(place.reading()) as source:
            backup = copy_database(source, _backup_path(path))
            answer = _changed(database, change)
        settle(database)
    return Remade(answer, backup, time.monotonic() - started)


def try_out(place: Place, change: Callable[[Database], T]) -> Remade[T]:
    """Make the same change to a copy of the database, which is thrown away."""
    started = time.monotonic()
    with opened(place.reading()) as source, trouble.told(source.path):
        require_room(source.path.parent, (TIMES_THE_SIZE + 1) * size_of(source))
        with a_copy_of(source, source.path.parent) as copy:
            trial = Place(str(copy), copy.parent, place.busy_timeout)
            with opened(trial.remaking()) as database, database.transaction():
                answer = _changed(database, change)
    return Remade(answer, None, time.monotonic() - started)


def require_sound(database: Database) -> None:
    """Raise DatabaseError unless SQLite finds a database sound, from within the transaction that changed it."""
    found = [text for (text,) in database.rows("PRAGMA integrity_check(3)")]
    if found != ["ok"]:
        raise DatabaseError(f"the result is not sound ({'; '.join(map(str, found))}): all was undone")


def require_references(database: Database, tables: Iterable[str]) -> None:
    """Raise DatabaseError where foreign keys of these tables lead nowhere."""
    for table in tables:
        if lost := database.rows(f"PRAGMA foreign_key_check({table})"):
            raise DatabaseError(f"{len(lost):,} rows of {table} refer to nothing: all was undone")


def tolerant(database: Database) -> Database:
    """Let a connection give texts that are not UTF-8 as bytes, where it would raise an error."""
    database.peewee.connection().text_factory = _text
    return database


def settle(database: Database) -> None:
    """Bring what was written into the database's file, where it has a log."""
    with suppress(peewee.DatabaseError):  # another program may read it; it is done later then
        database.run("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _changed(database: Database, change: Callable[[Database], T]) -> T:
    answer = change(database)
    require_sound(database)
    return answer


def _text(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def _backup_path(path: Path) -> Path:
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    plain = path.with_name(f"{path.name}.{now}.bak")
    numbers = (path.with_name(f"{path.name}.{now}-{number}.bak") for number in range(1, 1_000))
    return next(each for each in (plain, *numbers) if not each.exists())


@contextmanager
def opened(database: Database) -> Iterator[Database]:
    """Close a database at the end."""
    try:
        yield database
    finally:
        database.close()
