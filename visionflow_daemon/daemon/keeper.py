"""Takes the daemon's backups when they are due, beside the passes."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime, timedelta

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger

from visionflow_daemon.backups import back_up, shelf_of
from visionflow_daemon.config.values import Config
from visionflow_daemon.errors import LockedError, StoppedError, VisionflowError
from visionflow_daemon.ops.backup_counts import BackupCounts
from visionflow_daemon.storage.backups.manifest import written
from visionflow_daemon.storage.backups.take import Now, utc_now
from visionflow_daemon.storage.sqlite import database_path

log = structlog.get_logger()

LOOK_EVERY = 60.0
"""Seconds between two looks whether one is due: a machine that slept, or was off, takes one soon after it wakes."""

RETRY = 600.0
"""Seconds after which one that failed is tried again, at most."""


class Keeper:
    """Looks now and then whether a backup is due, and takes it, in a thread of its own.

    One is due when the newest that is there is older than the interval: the folder is all its memory, and however many
    were missed, one is taken.
    """

    def __init__(self, counts: BackupCounts, now: Now = utc_now) -> None:
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        self._counts = counts
        self._now = now
        self._config = Config()
        self._waits_until: datetime | None = None
        self._is_over = threading.Event()
        self._scheduler: BackgroundScheduler | None = None

    def use(self, config: Config) -> None:
        """Go by this configuration from the next look on."""
        self._config = config
        self._waits_until = None
        self._counts.planned(config.backup.interval)

    def plan(self, config: Config) -> None:
        """Look whether a backup is due by this configuration, at once and now and then."""
        self.use(config)
        if self._scheduler is None:
            if not config.backup.interval:
                return
            self._scheduler = BackgroundScheduler(
                timezone=UTC,
                executors={"default": ThreadPoolExecutor(1)},
                job_defaults={"max_instances": 1, "coalesce": True, "misfire_grace_time": None},
            )
            self._scheduler.start()
        self._scheduler.add_job(
            self.look,
            IntervalTrigger(seconds=LOOK_EVERY, timezone=UTC),
            next_run_time=datetime.now(UTC),
            id="look",
            replace_existing=True,
        )

    def look(self) -> None:
        """Take a backup, if one is due."""
        config, now = self._config, self._now()
        try:
            if self._is_due(config, now):
                taken = back_up(config, shelf_of(config), self._heed, is_rotated=True, now=self._now)
                self._counts.taken(taken.backup.manifest.taken_at, taken.backup.manifest.archive.bytes)
        except (StoppedError, LockedError):  # who else takes one, takes it for all
            return
        except Exception as error:
            self._counts.failed()
            self._waits_until = now + timedelta(seconds=min(RETRY, config.backup.interval))
            fault = None if isinstance(error, VisionflowError) else error
            log.error("backup failed", reason=str(error), next_attempt=written(self._waits_until), exc_info=fault)  # noqa: TRY400 - the reason says it

    def close(self) -> None:
        """Take none any more; one that is under way is given up."""
        self._is_over.set()
        if self._scheduler is not None:
            self._scheduler.shutdown()

    def _is_due(self, config: Config, now: datetime) -> bool:
        interval = timedelta(seconds=config.backup.interval)
        if not interval or not database_path(config.database, config.base).is_file():
            return False
        newest = shelf_of(config).newest(now)
        if newest is not None:
            self._counts.found(newest.manifest.taken_at, newest.manifest.archive.bytes)
        # A clock that is set back does not let a failure wait for longer.
        if self._waits_until is not None and now < self._waits_until <= now + timedelta(seconds=RETRY):
            return False
        return newest is None or now - newest.manifest.taken_at >= interval

    def _heed(self, _doing: str, _done: int, _of: int) -> None:
        if self._is_over.is_set():
            raise StoppedError("stopped while a backup was taken")
