"""Puts a backup back: it is proven before anything is touched, and what it replaces is kept."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from visionflow_daemon.errors import DatabaseError
from visionflow_daemon.storage import trouble
from visionflow_daemon.storage.backup import Told, copy_database, require_room, to_disk, untold
from visionflow_daemon.storage.backups import archive, swap
from visionflow_daemon.storage.backups.manifest import ENDING, MANIFEST_ENDING, moment_in_name
from visionflow_daemon.storage.backups.proof import Contents, prove
from visionflow_daemon.storage.backups.shelf import look
from visionflow_daemon.storage.backups.workshop import workshop
from visionflow_daemon.storage.database import BUSY_TIMEOUT
from visionflow_daemon.storage.lock import all_locks
from visionflow_daemon.storage.migrate import open_migrated
from visionflow_daemon.storage.sqlite import SQLITE_HEADER, open_sqlite

NAMED = "SELECT ontology_id FROM checkpoints"


@dataclass(frozen=True, slots=True)
class Rules:
    """How a backup is put back. One that `is_trial` is proven, and nothing more; both timeouts are in seconds."""

    is_trial: bool = False
    lock_timeout: float = 0.0
    busy_timeout: float = BUSY_TIMEOUT


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put where. `taken_at` is None where no manifest tells it, `replaced` where nothing was there.

    `schema_version` is the backup's, 0 for an older VisionFlow's; `migrated` are the migrations that it lacked.
    """

    database: Path
    source: Path
    taken_at: datetime | None
    schema_version: int
    migrated: tuple[int, ...]
    commits: Mapping[str, str | None]
    replaced: Path | None
    is_trial: bool
    seconds: float


def restore(
    source: Path,
    path: Path,
    rules: Rules,
    told: Told = untold,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Restored:
    """Put a backup into the place of a database, or where none is.

    `source` is an archive, its manifest, or a database's file. Raises DatabaseError, CorruptError, LockedError or
    BusyError; the database at `path` is what it was then.
    """
    started = time.monotonic()
    source = source.with_name(source.name.removesuffix(".json")) if source.name.endswith(MANIFEST_ENDING) else source
    _require_place(path, source)
    with workshop(path.parent, f"{path.name}.restoring", "a restore") as room:
        fresh = room / "fresh"
        taken_at = _bring(source, fresh, path, told)
        contents = prove(fresh, source, told)
        migrated = _brought_up(fresh, source, contents, told)
        replaced = None
        if not rules.is_trial:
            kept = _free_place(path, now())
            with all_locks(path, {*contents.commits, *_named(path)}, rules.lock_timeout), trouble.told(path):
                replaced = kept if _swap(path, fresh, kept, contents, rules, told) else None
    return Restored(
        database=path,
        source=source,
        taken_at=taken_at,
        schema_version=contents.schema_version,
        migrated=migrated,
        commits=contents.commits,
        replaced=replaced,
        is_trial=rules.is_trial,
        seconds=time.monotonic() - started,
    )


def _require_place(path: Path, source: Path) -> None:
    if path.is_dir() or not path.parent.is_dir():
        raise DatabaseError(f"{path} is no place for a database: give a file in a folder that is there")
    if not source.is_file():
        raise DatabaseError(f"there is no backup at {source}")
    if path.exists() and source.samefile(path):
        raise DatabaseError(f"{source} is the database itself")


def _bring(source: Path, fresh: Path, path: Path, told: Told) -> datetime | None:
    """Make the backup's database beside the one to be replaced; give the time that its manifest tells."""
    there = path.stat().st_size if path.exists() else 0
    if not source.name.endswith(ENDING):
        _copy(source, fresh, there, told)
        return None
    backup = look(source)
    wanted = backup.manifest
    with source.open("rb") as file:
        archive.require_digest(file, wanted.archive, source, told)
        file.seek(0)
        # Beside the copy there will be the log, through which it is written, and what is kept.
        require_room(path.parent, 2 * wanted.content.bytes + there)
        with fresh.open("xb") as target:
            fresh.chmod(0o600)
            archive.unpack(file, wanted.content, source, target.write, told)
    return wanted.taken_at


def _copy(source: Path, fresh: Path, there: int, told: Told) -> None:
    """Copy a database's file, with what is in its log."""
    with source.open("rb") as file:
        if file.read(len(SQLITE_HEADER)) != SQLITE_HEADER:
            raise DatabaseError(f"{source} is no backup: neither an archive ({ENDING}) nor a database")
    database = open_sqlite(str(source), Path(), read_only=True)
    try:
        require_room(fresh.parent, 2 * source.stat().st_size + there)
        copy_database(database, fresh, told, is_raw=True)
    finally:
        database.close()


def _brought_up(fresh: Path, source: Path, contents: Contents, told: Told) -> tuple[int, ...]:
    """Bring the schema up to date while nobody sees it."""
    if not contents.schema_version:
        return ()
    with trouble.told(source):
        database, applied = open_migrated(str(fresh), Path())
        try:
            database.settle()
        finally:
            database.close()
    if applied:
        prove(fresh, source, told)
    return tuple(migration.version for migration in applied)


def _swap(path: Path, fresh: Path, kept: Path, contents: Contents, rules: Rules, told: Told) -> bool:
    """Bring the new database into the old one's place; say whether there was one, which is kept."""
    if not swap.is_readable(path):
        return swap.put_in_place(path, fresh, kept)
    if not contents.schema_version:
        with swap.alone(path):  # a daemon at work would meet a schema that is not its own
            pass
    swap.fit(fresh, swap.page_size_of(path))
    try:
        swap.write_over(path, fresh, lambda: _keep(path, fresh.with_name("kept"), kept), rules.busy_timeout, told)
    except Exception:
        kept.unlink(missing_ok=True)  # nothing was replaced
        raise
    return True


def _keep(path: Path, draft: Path, kept: Path) -> None:
    """Copy a database as it is, also where it is damaged; a copy that is cut off gets no name."""
    database = open_sqlite(str(path), Path(), read_only=True)
    try:
        copy_database(database, draft, is_raw=True)
    finally:
        database.close()
    to_disk(draft)
    draft.rename(kept)
    to_disk(kept.parent)


def _named(path: Path) -> set[str]:
    """Name the ontologies of the database that is there, if it has a word to say."""
    if not path.exists():
        return set()
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        try:
            return {str(name) for (name,) in connection.execute(NAMED)}
        except sqlite3.DatabaseError:  # it is no database, or another program's
            return set()


def _free_place(path: Path, moment: datetime) -> Path:
    """Name the file that keeps what is replaced: the time is in its name."""
    while True:
        kept = path.with_name(f"{path.name}.{moment_in_name(moment)}.replaced")
        if not kept.exists():
            return kept
        moment += timedelta(milliseconds=1)
