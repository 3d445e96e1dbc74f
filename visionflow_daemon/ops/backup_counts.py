"""Counts the daemon's backups, for the metrics."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from visionflow_daemon.ops.standing import BackupStanding

OUTCOMES = ("taken", "failed")


class BackupCounts(Collector):
    """What became of backups since the start, and when the newest one was taken."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._interval = 0.0
        self._newest: tuple[datetime, int] | None = None
        self._is_failing = False

    def planned(self, interval: float) -> None:
        """Note the seconds between two backups, 0 where none is taken."""
        with self._lock:
            self._interval = interval
            self._newest = self._newest if interval else None

    def found(self, moment: datetime, size: int) -> None:
        """Note when the newest backup that is there was taken, and how many bytes it has."""
        with self._lock:
            self._newest = (moment, size)

    def taken(self, moment: datetime, size: int) -> None:
        """Count one that was taken."""
        self.found(moment, size)
        with self._lock:
            self._counts["taken"] += 1
            self._is_failing = False

    def failed(self) -> None:
        """Count one that failed."""
        with self._lock:
            self._counts["failed"] += 1
            self._is_failing = True

    def standing(self) -> BackupStanding | None:
        """Say how they stand; None where the daemon takes none."""
        with self._lock:
            if not self._interval:
                return None
            taken_at, size = self._newest or (None, 0)
            return BackupStanding(self._interval, taken_at, size, self._is_failing)

    def describe(self) -> list[Metric]:
        """Promise no names, so that registering asks for nothing."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Give them as metrics."""
        with self._lock:
            counts, interval, newest = dict(self._counts), self._interval, self._newest
        yield GaugeMetricFamily(
            "visionflow_backup_interval_seconds", "The time between two backups; 0 where none is taken.", interval
        )
        family = CounterMetricFamily("visionflow_backups", "Backups, by what became of them.", labels=["outcome"])
        for outcome in OUTCOMES:
            family.add_metric([outcome], counts.get(outcome, 0))
        yield family
        if newest is not None:
            moment, size = newest
            name = "visionflow_backup_last_success_timestamp_seconds"
            yield GaugeMetricFamily(name, "When the newest backup was taken.", moment.timestamp())
            yield GaugeMetricFamily("visionflow_backup_last_bytes", "How large the newest backup is.", size)
