"""Takes a backup of a database that others write to meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata

from visionflow_daemon.storage.backup import Told, copy_database, require_room, size_of, untold
from visionflow_daemon.storage.backups import archive
from visionflow_daemon.storage.backups.manifest import Manifest, name_of
from visionflow_daemon.storage.backups.proof import prove
from visionflow_daemon.storage.backups.rotation import Rotation
from visionflow_daemon.storage.backups.shelf import Backup, Shelf
from visionflow_daemon.storage.database import Database

Now = Callable[[], datetime]
ROOM = 1.5
"""How many times the database's size the disk is to have free: for the copy, and the archive made of it."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A backup that was taken, verified, and what was deleted for it."""

    backup: Backup
    gone: tuple[Backup, ...]
    seconds: float


def utc_now() -> datetime:
    """Give the time."""
    return datetime.now(UTC)


def take(
    source: Database,
    shelf: Shelf,
    rotation: Rotation | None,
    told: Told = untold,
    now: Now = utc_now,
) -> Taken:
    """Take a backup, and see that it is whole; then delete those that `rotation` does not keep, where there is one.

    The copy is of one moment. It is checked, packed, and unpacked again for a comparison before it gets its name: until
    then nothing else in the folder is touched. Raises DatabaseError, CorruptError or LockedError.
    """
    started = time.monotonic()
    with shelf.workshop() as room:
        require_room(shelf.folder, int(ROOM * size_of(source)))
        moment = shelf.free_moment(now())
        copy = copy_database(source, room / "copy", told, is_raw=True).path
        contents = prove(copy, source.path, told)
        packed, content = archive.pack(copy, room / "archive", told)
        copy.unlink()
        with (room / "archive").open("rb") as file:
            archive.require_digest(file, packed, room / "archive", told)
            file.seek(0)
            archive.unpack(file, content, room / "archive", len, told)
        backup = shelf.put(
            room / "archive",
            Manifest(
                name=name_of(shelf.database.name, moment),
                taken_at=moment,
                database=str(shelf.database),
                program=metadata.version("visionflow-daemon"),
                schema_version=contents.schema_version,
                commits=contents.commits,
                archive=packed,
                content=content,
            ),
        )
        gone = shelf.rotate(rotation, backup.manifest.taken_at) if rotation else []
    return Taken(backup, tuple(gone), time.monotonic() - started)
