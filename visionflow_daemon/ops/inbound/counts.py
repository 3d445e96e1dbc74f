"""Counts what became of requests, for the metrics."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from enum import StrEnum

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector


class Outcome(StrEnum):
    """What became of a request."""

    ASKED = "asked"
    IGNORED = "ignored"
    PINGED = "pinged"
    MALFORMED = "malformed"
    REFUSED = "refused"
    LIMITED = "limited"


class Counts(Collector):
    """How many requests came to which end, since the start."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[Outcome] = Counter()

    def add(self, outcome: Outcome) -> None:
        """Count one."""
        with self._lock:
            self._counts[outcome] += 1

    def describe(self) -> list[Metric]:
        """Promise no names, so that registering asks for nothing."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Give them as a metric."""
        family = CounterMetricFamily(
            "visionflow_webhooks", "Webhook requests, by what became of them.", labels=["outcome"]
        )
        for outcome in Outcome:
            family.add_metric([outcome.value], self._counts[outcome])
        yield family
