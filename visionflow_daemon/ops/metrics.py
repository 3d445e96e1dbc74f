"""Gives the board's figures, and the database's totals, in Prometheus' words; docs/metrics.md names them all."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from itertools import accumulate

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from visionflow_daemon.model import timestamp
from visionflow_daemon.ops.board import Board
from visionflow_daemon.ops.health import ALIVE_SECONDS, READY_INTERVALS, is_alive, is_held, last_success, readiness
from visionflow_daemon.ops.readers import Readers
from visionflow_daemon.ops.standing import Activity, Histogram, Outcome, Snapshot
from visionflow_daemon.sync.breaker import State

STATES = {State.CLOSED: 0, State.HALF_OPEN: 1, State.OPEN: 2}
NOTIFICATION_OUTCOMES = ("sent", "failed", "given_up")
FILE_OUTCOMES = ("saved", "skipped", "failed", "deleted")
TOTALS = {
    "files": "known_files",
    "classes": "classes",
    "properties": "properties",
    "axioms": "axioms",
    "warnings": "warnings",
}
STEPS = {
    "fetch": "How long it took to ask the remote, and to bring what is new into the clone.",
    "parse": "How long it took to read one file.",
    "save": "How long it took to write what became of one file.",
    "record": "How long it took to write that a pass begins, or that it is finished.",
}


def program_version() -> str:
    """Give the version that is installed."""
    try:
        return version("visionflow-daemon")
    except PackageNotFoundError:
        return "unknown"


class Metrics:
    """A registry of its own: nothing is shared with another library's metrics."""

    def __init__(
        self,
        board: Board,
        readers: Readers,
        ready_intervals: float = READY_INTERVALS,
        alive_seconds: float = ALIVE_SECONDS,
    ) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(BoardCollector(board, readers, ready_intervals, alive_seconds))
        ProcessCollector(registry=self._registry)

    def add(self, collector: Collector) -> None:
        """Show what someone else counts, too."""
        self._registry.register(collector)

    def text(self) -> bytes:
        """Write all metrics in the text format, version 0.0.4."""
        return generate_latest(self._registry)


class BoardCollector(Collector):
    """Makes all metrics anew from one look at the board: a source that is gone leaves no series behind."""

    def __init__(self, board: Board, readers: Readers, ready_intervals: float, alive_seconds: float) -> None:
        self._board = board
        self._readers = readers
        self._ready_intervals = ready_intervals
        self._alive_seconds = alive_seconds

    def describe(self) -> list[Metric]:
        """Promise no names, so that registering asks for nothing."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Give all metrics."""
        snapshot = self._board.snapshot()
        build = GaugeMetricFamily("visionflow_build_info", "What runs here; always 1.", labels=["version", "python"])
        build.add_metric([program_version(), platform.python_version()], 1)
        yield build
        yield GaugeMetricFamily("visionflow_sources", "Sources that are followed.", len(snapshot.sources))
        running = sum(source.activity is Activity.RUNNING for source in snapshot.sources)
        yield GaugeMetricFamily("visionflow_passes_running", "Passes under way.", running)
        yield GaugeMetricFamily(
            "visionflow_loop_quiet_seconds",
            "Seconds since the quietest pass under way, or else the loop, gave a sign of life.",
            snapshot.quiet_seconds,
        )
        yield _notifications(snapshot)
        alive = is_alive(snapshot, self._alive_seconds)
        yield GaugeMetricFamily("visionflow_alive", "1 while the loop turns, as /livez tells, else 0.", alive)
        yield from self._disks()
        yield from _passes(snapshot)
        yield from _measured(snapshot)
        yield from self._standing(snapshot)
        yield self._breakers(snapshot)
        yield from self._held(snapshot)

    def _standing(self, snapshot: Snapshot) -> Iterator[Metric]:
        last = _gauge("last_success_timestamp_seconds", "When the source was last found in step with its database.")
        due = _gauge("next_pass_timestamp_seconds", "When the next pass is due.")
        interval = _gauge("interval_seconds", "The time between two looks at the source.")
        seen = _gauge("head_seen_timestamp_seconds", "When the commit at the head of the source was last asked for.")
        lag = _gauge("lag_seconds", "For how long the database has lacked a commit that was seen at the head.")
        failures = _gauge("consecutive_failures", "Passes that failed since the last that came through.")
        held = _gauge("held", "1 if the last pass was held (exit code 5), else 0.")
        planned = _gauge("pass_planned_files", "Files that the pass under way will touch.")
        done = _gauge("pass_done_files", "Files that the pass under way is done with.")
        for source in snapshot.sources:
            labels = [source.ontology_id]
            if moment := last_success(source, self._readers):
                last.add_metric(labels, moment.timestamp())
            if source.next_due:
                due.add_metric(labels, source.next_due.timestamp())
            interval.add_metric(labels, source.interval)
            if source.head:
                seen.add_metric(labels, source.head.seen_at.timestamp())
                lag.add_metric(labels, source.head.lag_seconds)
            failures.add_metric(labels, source.consecutive_failures)
            held.add_metric(labels, is_held(source))
            progress = source.progress
            planned.add_metric(labels, progress.planned or 0 if progress else 0)
            done.add_metric(labels, progress.done if progress else 0)
        ready = _gauge("ready", "1 if the source is fresh enough, as /readyz tells, else 0.")
        for each in readiness(snapshot, self._readers, self._ready_intervals):
            ready.add_metric([each.ontology_id], each.is_ready)
        yield from (last, due, interval, seen, lag, failures, held, planned, done, ready)

    def _disks(self) -> Iterator[Metric]:
        free = GaugeMetricFamily("visionflow_disk_free_bytes", "Space left to us on a disk.", labels=["place"])
        size = GaugeMetricFamily("visionflow_disk_size_bytes", "Size of a disk.", labels=["place"])
        for disk in self._readers.disks():
            free.add_metric([disk.place], disk.free_bytes)
            size.add_metric([disk.place], disk.size_bytes)
        yield from (free, size)

    def _breakers(self, snapshot: Snapshot) -> Metric:
        family = _gauge("breaker_state", "State of a circuit breaker: 0 closed, 1 half-open, 2 open.", "breaker")
        for source in snapshot.sources:
            for each in self._readers.breakers(source.ontology_id):
                family.add_metric([source.ontology_id, each.guards.value], STATES[each.state(timestamp(snapshot.at))])
        return family

    def _held(self, snapshot: Snapshot) -> Iterator[Metric]:
        readable = _gauge("database_readable", "1 if the database could be read for this answer, else 0.")
        rollout = _gauge("rollout_percent", "The share of the source's paths that are live, in percent.")
        lease = _gauge("lease_held", "1 if this daemon holds the source's lease, 0 if another one does.")
        failed = _gauge("ledger_files", "Failed files that wait in the ledger.")
        gauges = {name: _gauge(shown, f"How many {name} the ontology holds.") for name, shown in TOTALS.items()}
        for source in snapshot.sources:
            held = self._readers.held(source.ontology_id)
            totals, labels = held.totals, [source.ontology_id]
            if held.rollout_percent is not None:
                rollout.add_metric(labels, held.rollout_percent)
            if held.lease is not None:
                lease.add_metric(labels, held.lease.is_ours)
            readable.add_metric(labels, totals is not None)
            if totals is None:
                continue
            failed.add_metric(labels, totals.failed)
            for name, gauge in gauges.items():
                gauge.add_metric(labels, getattr(totals, name))
        yield from (readable, rollout, lease, failed, *gauges.values())


def _notifications(snapshot: Snapshot) -> Metric:
    family = CounterMetricFamily(
        "visionflow_notifications", "Deliveries of notifications, by how they ended.", labels=["outcome"]
    )
    for outcome in NOTIFICATION_OUTCOMES:
        family.add_metric([outcome], snapshot.notifications.get(outcome, 0))
    return family


def _passes(snapshot: Snapshot) -> Iterator[Metric]:
    passes = CounterMetricFamily("visionflow_passes", "Passes, by how they ended.", labels=["ontology_id", "outcome"])
    files = CounterMetricFamily(
        "visionflow_files", "Files that passes dealt with, by what became of them.", labels=["ontology_id", "outcome"]
    )
    durations = HistogramMetricFamily(
        "visionflow_pass_duration_seconds", "How long passes took.", labels=["ontology_id"]
    )
    for source in snapshot.sources:
        for outcome in Outcome:
            passes.add_metric([source.ontology_id, outcome.value], source.counts.passes.get(outcome, 0))
        for name in FILE_OUTCOMES:
            files.add_metric([source.ontology_id, name], getattr(source.counts.files, name))
        _add_histogram(durations, source.ontology_id, source.counts.durations)
    yield from (passes, files, durations)


def _measured(snapshot: Snapshot) -> Iterator[Metric]:
    queue = _gauge("queue_depth", "Files that wait for a worker.")
    workers = _gauge("active_workers", "Workers that have a file in hand.")
    retries = CounterMetricFamily(
        "visionflow_retries", "Further attempts, after one that failed.", labels=["ontology_id", "step"]
    )
    steps = {
        step: HistogramMetricFamily(f"visionflow_{step}_duration_seconds", told, labels=["ontology_id"])
        for step, told in STEPS.items()
    }
    for source in snapshot.sources:
        queue.add_metric([source.ontology_id], source.measured.load.queued)
        workers.add_metric([source.ontology_id], source.measured.load.in_hand)
        for step, family in steps.items():
            histogram: Histogram = getattr(source.measured, step)
            _add_histogram(family, source.ontology_id, histogram)
            retries.add_metric([source.ontology_id, step], histogram.again)
    yield from (queue, workers, retries, *steps.values())


def _add_histogram(family: HistogramMetricFamily, ontology_id: str, histogram: Histogram) -> None:
    bounds = [*map(str, histogram.bounds), "+Inf"]
    buckets = [(bound, float(count)) for bound, count in zip(bounds, accumulate(histogram.counts), strict=True)]
    family.add_metric([ontology_id], buckets, histogram.seconds)


def _gauge(name: str, help_text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"visionflow_{name}", help_text, labels=["ontology_id", *labels])
