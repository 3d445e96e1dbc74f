"""Gives the board's figures, and the database's totals, in Prometheus' words; docs/metrics.md names them all."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from visionflow_daemon.model import timestamp
from visionflow_daemon.ops.board import Board
from visionflow_daemon.ops.health import READY_INTERVALS, last_success, readiness
from visionflow_daemon.ops.readers import Readers
from visionflow_daemon.ops.standing import DURATION_BUCKETS, Activity, Outcome, Snapshot, SourceStanding
from visionflow_daemon.sync.breaker import State

STATES = {State.CLOSED: 0, State.HALF_OPEN: 1, State.OPEN: 2}
FILE_OUTCOMES = ("saved", "skipped", "failed", "deleted")
TOTALS = {
    "files": "known_files",
    "classes": "classes",
    "properties": "properties",
    "axioms": "axioms",
    "warnings": "warnings",
}
BOUNDS = [*map(str, DURATION_BUCKETS), "+Inf"]


def program_version() -> str:
    """Give the version that is installed."""
    try:
        return version("visionflow-daemon")
    except PackageNotFoundError:
        return "unknown"


class Metrics:
    """A registry of its own: nothing is shared with another library's metrics."""

    def __init__(self, board: Board, readers: Readers, ready_intervals: float = READY_INTERVALS) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(BoardCollector(board, readers, ready_intervals))
        ProcessCollector(registry=self._registry)

    def add(self, collector: Collector) -> None:
        """Show what someone else counts, too."""
        self._registry.register(collector)

    def text(self) -> bytes:
        """Write all metrics in the text format, version 0.0.4."""
        return generate_latest(self._registry)


class BoardCollector(Collector):
    """Makes all metrics anew from one look at the board: a source that is gone leaves no series behind."""

    def __init__(self, board: Board, readers: Readers, ready_intervals: float) -> None:
        self._board = board
        self._readers = readers
        self._ready_intervals = ready_intervals

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
            "visionflow_loop_quiet_seconds", "Seconds since the loop last said something.", snapshot.quiet_seconds
        )
        yield from _passes(snapshot)
        yield from self._standing(snapshot)
        yield self._breakers(snapshot)
        yield from self._held(snapshot)

    def _standing(self, snapshot: Snapshot) -> Iterator[Metric]:
        last = _gauge("last_success_timestamp_seconds", "When the source was last found in step with its database.")
        due = _gauge("next_pass_timestamp_seconds", "When the next pass is due.")
        interval = _gauge("interval_seconds", "The time between two looks at the source.")
        failures = _gauge("consecutive_failures", "Passes that failed since the last that came through.")
        planned = _gauge("pass_planned_files", "Files that the pass under way will touch.")
        done = _gauge("pass_done_files", "Files that the pass under way is done with.")
        for source in snapshot.sources:
            labels = [source.ontology_id]
            if moment := last_success(source, self._readers):
                last.add_metric(labels, moment.timestamp())
            if source.next_due:
                due.add_metric(labels, source.next_due.timestamp())
            interval.add_metric(labels, source.interval)
            failures.add_metric(labels, source.consecutive_failures)
            progress = source.progress
            planned.add_metric(labels, progress.planned or 0 if progress else 0)
            done.add_metric(labels, progress.done if progress else 0)
        ready = _gauge("ready", "1 if the source is fresh enough, as /readyz tells, else 0.")
        for each in readiness(snapshot, self._readers, self._ready_intervals):
            ready.add_metric([each.ontology_id], each.is_ready)
        yield from (last, due, interval, failures, planned, done, ready)

    def _breakers(self, snapshot: Snapshot) -> Metric:
        family = _gauge("breaker_state", "State of a circuit breaker: 0 closed, 1 half-open, 2 open.", "breaker")
        for source in snapshot.sources:
            for each in self._readers.breakers(source.ontology_id):
                family.add_metric([source.ontology_id, each.guards.value], STATES[each.state(timestamp(snapshot.at))])
        return family

    def _held(self, snapshot: Snapshot) -> Iterator[Metric]:
        readable = _gauge("database_readable", "1 if the database could be read for this answer, else 0.")
        failed = _gauge("ledger_files", "Failed files that wait in the ledger.")
        gauges = {name: _gauge(shown, f"How many {name} the ontology holds.") for name, shown in TOTALS.items()}
        for source in snapshot.sources:
            totals = self._readers.held(source.ontology_id).totals
            labels = [source.ontology_id]
            readable.add_metric(labels, totals is not None)
            if totals is None:
                continue
            failed.add_metric(labels, totals.failed)
            for name, gauge in gauges.items():
                gauge.add_metric(labels, getattr(totals, name))
        yield from (readable, failed, *gauges.values())


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
        durations.add_metric([source.ontology_id], _buckets(source), source.counts.seconds)
    yield from (passes, files, durations)


def _buckets(source: SourceStanding) -> list[tuple[str, float]]:
    counted, buckets = 0, []
    for bound, count in zip(BOUNDS, source.counts.durations, strict=True):
        counted += count
        buckets.append((bound, float(counted)))
    return buckets


def _gauge(name: str, help_text: str, *labels: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"visionflow_{name}", help_text, labels=["ontology_id", *labels])
