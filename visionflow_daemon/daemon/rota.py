"""When the passes of each source are asked for: at intervals, when its branch moves, and when a cool-down is over."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.jobstores.base import JobLookupError
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.date import DateTrigger

from visionflow_daemon.config.values import FOLLOW_WORKTREE, Config
from visionflow_daemon.daemon.rhythm import Rhythm
from visionflow_daemon.daemon.wake import Wake
from visionflow_daemon.errors import MORE_TASKS
from visionflow_daemon.git import changes
from visionflow_daemon.git.credentials import is_remote

if TYPE_CHECKING:
    from visionflow_daemon.git.watch import Watch
    from visionflow_daemon.git.watched import Watched

log = structlog.get_logger()

MOST_JITTER = 0.5
"""The share of the interval by which a look may be earlier or later, at most."""


@dataclass(frozen=True, slots=True)
class _Turn:
    """What decides when a source's passes are asked for."""

    location: str
    branch: str | None
    base: Path
    poll: float
    interval: float
    jitter: float
    selection: tuple[tuple[str, ...], tuple[str, ...], float] | None
    """Include, exclude and rollout, where the files on disk are followed; None where commits are."""


class Rota:
    """Asks for the passes of all sources; it runs none itself."""

    def __init__(self, wake: Wake) -> None:
        logging.getLogger("apscheduler").setLevel(logging.ERROR)
        self._wake = wake
        self._turns: dict[str, _Turn] = {}
        self._watches: dict[str, Watch] = {}
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            executors={"default": ThreadPoolExecutor(1)},
            # However late it is, one ask is as good as many: a machine that slept looks as soon as it wakes.
            job_defaults={"max_instances": 1, "coalesce": True, "misfire_grace_time": None},
        )
        self._scheduler.start()

    def plan(self, config: Config) -> None:
        """Ask for the passes of these sources from now on, and of no other."""
        wanted = {
            source.ontology_id: _Turn(
                source.location,
                source.branch,
                config.base,
                config.daemon.poll,
                interval := config.interval(source),
                min(config.daemon.jitter, interval * MOST_JITTER),
                (source.include, source.exclude, source.rollout_percent) if source.follow == FOLLOW_WORKTREE else None,
            )
            for source in config.sources
        }
        for ontology_id, turn in list(self._turns.items()):
            if wanted.get(ontology_id) != turn:
                self._forget(ontology_id)
        for ontology_id, turn in wanted.items():
            if ontology_id not in self._turns:
                self._begin(ontology_id, turn)

    def retry_at(self, ontology_id: str, when: datetime) -> None:
        """Ask for one more pass at that time: a cool-down is over then."""
        self._scheduler.add_job(
            self._asker(ontology_id),
            DateTrigger(when, timezone=UTC),
            args=["the cool-down is over"],
            id=_retry(ontology_id),
            replace_existing=True,
        )

    def next_due(self, ontology_id: str) -> datetime | None:
        """Say when the next pass is asked for at the latest."""
        job = self._scheduler.get_job(ontology_id)
        return job.next_run_time if job else None

    def close(self) -> None:
        """Ask for nothing any more."""
        for ontology_id in list(self._turns):
            self._forget(ontology_id)
        self._scheduler.shutdown()

    def _begin(self, ontology_id: str, turn: _Turn) -> None:
        ask = self._asker(ontology_id)
        self._turns[ontology_id] = turn
        self._scheduler.add_job(
            ask,
            Rhythm(turn.interval, turn.jitter),
            args=["interval"],
            id=ontology_id,
        )
        if not is_remote(turn.location):
            from visionflow_daemon.git.watch import Watch  # noqa: PLC0415 - for local sources alone

            try:
                self._watches[ontology_id] = Watch(_watched(turn), turn.poll, ask)
            except RuntimeError as error:
                reason = f"{error}: {MORE_TASKS}"
                log.warning("changes are not reported", path=turn.location, reason=reason, seconds=turn.interval)

    def _forget(self, ontology_id: str) -> None:
        del self._turns[ontology_id]
        for job in (ontology_id, _retry(ontology_id)):
            try:
                self._scheduler.remove_job(job)
            except JobLookupError:
                continue
        if watch := self._watches.pop(ontology_id, None):
            watch.close()

    def _asker(self, ontology_id: str) -> Callable[[str], None]:
        def ask(why: str) -> None:
            self._wake.ask(ontology_id, why)

        return ask


def _watched(turn: _Turn) -> Watched:
    from visionflow_daemon.git.watched import Branch  # noqa: PLC0415 - for local sources alone

    branch = Branch(turn.location, turn.branch, turn.base)
    if turn.selection is None:
        return branch
    from visionflow_daemon.git.worktree.watched import WorkTree  # noqa: PLC0415 - for work trees alone

    return WorkTree(branch, changes.selection(*turn.selection))


def _retry(ontology_id: str) -> str:
    return f"{ontology_id}\0retry"
