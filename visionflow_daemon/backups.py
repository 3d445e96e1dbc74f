"""A backup of the configured database, as `backup` and the daemon alike take it; and one put back."""

from __future__ import annotations

from pathlib import Path

import structlog

from visionflow_daemon.config.values import Config
from visionflow_daemon.storage import trouble
from visionflow_daemon.storage.backup import Told, untold
from visionflow_daemon.storage.backups import restore
from visionflow_daemon.storage.backups.manifest import written
from visionflow_daemon.storage.backups.restore import Restored
from visionflow_daemon.storage.backups.rotation import Rotation
from visionflow_daemon.storage.backups.shelf import Shelf
from visionflow_daemon.storage.backups.take import Now, Taken, take, utc_now
from visionflow_daemon.storage.sqlite import database_path, open_sqlite

log = structlog.get_logger()


def shelf_of(config: Config, folder: Path | None = None) -> Shelf:
    """Give the place of the configured database's backups, or another one."""
    database = database_path(config.database, config.base)
    return Shelf(folder or config.backup_folder(database), database)


def back_up(config: Config, shelf: Shelf, told: Told = untold, *, is_rotated: bool, now: Now = utc_now) -> Taken:
    """Take a backup, and log it; delete those that the configuration doesn't keep, where that `is_rotated`.

    Raises what `take` does, and ConfigError or DatabaseError where there is no database.
    """
    rotation = Rotation(config.backup.keep, config.backup.keep_weeks) if is_rotated else None
    database = open_sqlite(config.database, config.base, read_only=True, busy_timeout=config.sync.busy_timeout)
    try:
        with trouble.told(database.path):
            taken = take(database, shelf, rotation, told, now)
    finally:
        database.close()
    backup = taken.backup
    log.info(
        "backup taken",
        backup=str(backup.path),
        bytes=backup.manifest.archive.bytes,
        content_bytes=backup.manifest.content.bytes,
        schema_version=backup.manifest.schema_version,
        seconds=round(taken.seconds, 3),
    )
    for gone in taken.gone:
        log.info("backup deleted", backup=str(gone.path), taken_at=written(gone.manifest.taken_at))
    return taken


def put_back(config: Config, source: Path, told: Told = untold, *, is_trial: bool) -> Restored:
    """Put a backup into the place of the configured database, and log it. Raises what `restore` does."""
    rules = restore.Rules(is_trial, config.sync.lock_timeout, config.sync.busy_timeout)
    done = restore.restore(source, database_path(config.database, config.base), rules, told)
    if not is_trial:
        log.info(
            "database restored",
            database=str(done.database),
            backup=str(done.source),
            replaced=None if done.replaced is None else str(done.replaced),
            seconds=round(done.seconds, 3),
        )
    return done
