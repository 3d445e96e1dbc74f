"""Keeps what the daemon does in memory: its loop writes, HTTP reads."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from visionflow_daemon.errors import ExitCode
from visionflow_daemon.ops.meter import PASS_BUCKETS, SourceMeter, Step
from visionflow_daemon.ops.pace import NOTHING, RunningPass
from visionflow_daemon.ops.standing import (
    Activity,
    Counts,
    Failure,
    Head,
    Outcome,
    Snapshot,
    SourceStanding,
    outcome_of,
    shown,
    shown_location,
)
from visionflow_daemon.storage.checkpoint import Tally
from visionflow_daemon.sync.meter import Meter
from visionflow_daemon.sync.run import Summary


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class _Head:
    """The commit at a source's head; since when the database is known to lack it, or one before it."""

    commit: str
    seen_at: datetime
    lacked_since: float | None


@dataclass(slots=True)
class _Source:
    """What is remembered of one source."""

    location: str
    branch: str | None
    interval: float
    running: RunningPass | None = None
    commit: str | None = None
    last_success: datetime | None = None
    last_failure: Failure | None = None
    failures: int = 0
    ledger: int | None = None
    next_due: datetime | None = None
    passes: Counter[Outcome] = field(default_factory=Counter)
    files: Tally = NOTHING
    head: _Head | None = None
    durations: Step = field(default_factory=lambda: Step(PASS_BUCKETS))
    meter: SourceMeter = field(default_factory=SourceMeter)


class Board:
    """All that the daemon tells of its sources; safe to use from many threads.

    What is said of a source that nobody made known, or that is gone, is dropped: a pass may end after its source left
    the configuration.
    """

    def __init__(self, now: Callable[[], datetime] = _utc_now, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._sources: dict[str, _Source] = {}
        self._started_at = now()
        self._fed_at = monotonic()
        self._notifications: Counter[str] = Counter()

    def tick(self) -> None:
        """Note that the daemon's loop turns, where it has nothing else to tell."""
        self._fed_at = self._monotonic()

    def source_known(self, ontology_id: str, location: str, branch: str | None, interval: float) -> None:
        """Note a source, or what changed of it; what is known of its passes stays."""
        with self._lock:
            self.tick()
            where = shown_location(location)
            source = self._sources.setdefault(ontology_id, _Source(where, None, interval))
            source.location, source.interval = where, interval
            source.branch = shown(branch) if branch else source.branch

    def source_gone(self, ontology_id: str) -> None:
        """Forget a source."""
        with self._lock:
            self.tick()
            self._sources.pop(ontology_id, None)

    def source_left(self, ontology_id: str) -> None:
        """Note that another daemon works on a source: what it lacks, or ails it, is that one's to tell."""
        with self._lock:
            self.tick()
            if source := self._sources.get(ontology_id):
                source.passes[Outcome.STOPPED] += source.running is not None
                self._settle(source, None)
                source.failures, source.head, source.next_due = 0, None, None

    def meter(self, ontology_id: str) -> Meter:
        """Give what measures a source's passes."""
        with self._lock:
            source = self._sources.get(ontology_id)
            return source.meter if source else SourceMeter()

    def lives(self, ontology_id: str) -> None:
        """Note that a pass under way gives a sign of life; told far too often to wait for the lock."""
        source = self._sources.get(ontology_id)
        running = source.running if source else None
        if running:
            running.lived_at = self._monotonic()

    def pass_begun(self, ontology_id: str, why: str) -> None:
        """Note that a pass begins."""
        with self._lock:
            self.tick()
            if source := self._sources.get(ontology_id):
                self._settle(source, None)  # a pass that was never ended counts for what it did
                source.running = RunningPass(self._now(), shown(why), self._monotonic(), self._monotonic())

    def head_found(self, ontology_id: str, commit: str, *, is_there: bool) -> None:
        """Note the commit at the source's head, and whether the database is there already.

        What it lacks counts from when the first commit that it lacks was seen, however many have come since.
        """
        with self._lock:
            self.tick()
            if source := self._sources.get(ontology_id):
                since = source.head.lacked_since if source.head else None
                since = self._monotonic() if since is None else since
                source.head = _Head(shown(commit), self._now(), None if is_there else since)

    def planned(self, ontology_id: str, files: int) -> None:
        """Note how many files the running pass will touch."""
        with self._lock:
            self.tick()
            if (source := self._sources.get(ontology_id)) and source.running:
                source.running.plan(files, self._monotonic())

    def moved(self, ontology_id: str, tally: Tally) -> None:
        """Note how far the running pass has come."""
        with self._lock:
            self.tick()
            if (source := self._sources.get(ontology_id)) and source.running:
                source.running.move(tally, self._monotonic())

    def pass_done(self, ontology_id: str, summary: Summary) -> None:
        """Note that a pass came through, also one with nothing to do; one that was stopped is no success."""
        with self._lock:
            self.tick()
            source = self._sources.get(ontology_id)
            if source is None:
                return
            if source.running:
                source.running.tally = summary.tally
            else:
                source.files = _sum(source.files, summary.tally)
            self._settle(source, summary.seconds)
            source.branch, source.ledger = shown(summary.branch), summary.ledger
            if not summary.is_whole:
                source.passes[Outcome.STOPPED] += 1
                return
            source.passes[Outcome.UNCHANGED if summary.run_id is None else Outcome.CHANGED] += 1
            source.commit, source.last_success, source.failures = summary.commit, self._now(), 0
            if source.head:
                source.head.lacked_since = None

    def pass_failed(self, ontology_id: str, reason: str, code: ExitCode, mark: str | None = None) -> None:  # noqa: ARG002
        """Note that a pass failed."""
        with self._lock:
            self.tick()
            if source := self._sources.get(ontology_id):
                self._settle(source, self._monotonic() - source.running.began if source.running else None)
                source.passes[outcome_of(code)] += 1
                source.last_failure = Failure(self._now(), shown(reason), code)
                source.failures += 1

    def next_due(self, ontology_id: str, when: datetime | None) -> None:
        """Note when the source's next pass is due; None when nothing is planned."""
        with self._lock:
            self.tick()
            if source := self._sources.get(ontology_id):
                source.next_due = when

    def notified(self, outcome: str) -> None:
        """Count how a delivery of a notification ended."""
        with self._lock:
            self._notifications[outcome] += 1

    def snapshot(self) -> Snapshot:
        """Say how everything stands."""
        with self._lock:
            running = [source.running.lived_at for source in self._sources.values() if source.running]
            quiet = self._monotonic() - min(running, default=self._fed_at)
            sources = tuple(self._standing(name, source) for name, source in self._sources.items())
            return Snapshot(self._now(), self._started_at, quiet, sources, dict(self._notifications))

    def _settle(self, source: _Source, seconds: float | None) -> None:
        """Close the running pass, if there is one, and count what it did."""
        if source.running:
            source.files = _sum(source.files, source.running.tally)
            source.running = None
        if seconds is not None:
            source.durations.took(seconds)

    def _standing(self, ontology_id: str, source: _Source) -> SourceStanding:
        running = source.running
        files = _sum(source.files, running.tally) if running else source.files
        return SourceStanding(
            ontology_id=ontology_id,
            location=source.location,
            branch=source.branch,
            commit=source.commit,
            interval=source.interval,
            activity=Activity.RUNNING if running else Activity.IDLE,
            progress=running.progress(self._monotonic()) if running else None,
            last_success=source.last_success,
            last_failure=source.last_failure,
            consecutive_failures=source.failures,
            ledger=source.ledger,
            next_due=source.next_due,
            head=self._head(source.head) if source.head else None,
            counts=Counts(dict(source.passes), files, source.durations.read()),
            measured=source.meter.read(),
        )

    def _head(self, head: _Head) -> Head:
        lag = 0.0 if head.lacked_since is None else self._monotonic() - head.lacked_since
        return Head(head.commit, head.seen_at, lag)


def _sum(one: Tally, other: Tally) -> Tally:
    return Tally(
        one.saved + other.saved, one.skipped + other.skipped, one.failed + other.failed, one.deleted + other.deleted
    )
