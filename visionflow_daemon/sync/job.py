"""What a pass is about: its source, its settings, and what it needs of the world around it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from threading import Event
from typing import TypeVar

import orjson

from visionflow_daemon.formats.choose import reading_digest
from visionflow_daemon.git import changes, rollout
from visionflow_daemon.git.changes import Selects
from visionflow_daemon.model import ApartRules, Reading
from visionflow_daemon.storage.database import Database
from visionflow_daemon.sync.breaker import Rules
from visionflow_daemon.sync.fetches import Fetches
from visionflow_daemon.sync.meter import Meter, Unmeasured
from visionflow_daemon.sync.pool import Pool
from visionflow_daemon.sync.progress import Unwatched, Watcher
from visionflow_daemon.sync.retry import persistently

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Job:
    """One source, where it goes to, and how.

    `mass_delete_share` is the share of its classes, from 0 to 1, that deletions may leave declared by nobody; 1: all.
    `held_at` is the mark of the HeldError that ended the last pass: it is not run once more for the same deletions.
    `rollout_percent` is the share of the paths that are live.
    """

    ontology_id: str
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    reading: Reading
    workers: int
    queue: int
    lock_timeout: float
    mass_delete_share: float = 1.0
    breaker: Rules = field(default_factory=Rules)
    apart: ApartRules = field(default_factory=ApartRules)
    full: bool = False
    replace_source: bool = False
    held_at: str | None = None
    rollout_percent: float = rollout.ALL
    allow_lower_rollout: bool = False


@dataclass(frozen=True, slots=True)
class Services:
    """What a pass needs of the world around it; tests bring their own clock.

    `pool` has the workers that it shares with other passes, without, it has some of its own; `fetches` the places.
    """

    database: Database
    stop: Event = field(default_factory=Event)
    watcher: Watcher = field(default_factory=Unwatched)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep
    meter: Meter = field(default_factory=Unmeasured)
    pool: Pool | None = None
    fetches: Fetches = field(default_factory=Fetches)

    def asked(self, ask: Callable[[], Result]) -> Result:
        """Ask the database something, which may be asked again where its server is away for a while.

        Within a transaction it is asked once: lost with its connection, only the whole can be asked again.
        """
        if self.database.is_within:
            return ask()
        return persistently(ask, self.sleep, patience=self.database.patience)


def selection(job: Job) -> Selects:
    """Make the test for the paths that belong to a job. Raises ConfigError for globs that can't be understood."""
    return changes.selection(job.include, job.exclude, job.rollout_percent)


def selection_digest(job: Job) -> str:
    """Give the digest of all that decides, beside the commit, what the database holds: globs, rollout and reading."""
    rules: list[object] = [reading_digest(job.reading), list(job.include), list(job.exclude)]
    if job.rollout_percent < rollout.ALL:
        rules.append(job.rollout_percent)
    return sha256(orjson.dumps(rules)).hexdigest()[:16]
