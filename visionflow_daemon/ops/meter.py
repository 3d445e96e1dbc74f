"""Measures the steps of each source's passes; read at any time, and as exact as the clock."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from visionflow_daemon.ops.standing import Histogram, Measured
from visionflow_daemon.sync.meter import Load

PASS_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0)
"""Upper bounds in seconds for a pass; one with nothing to do takes a tenth."""

FILE_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0, 120.0)
"""Upper bounds in seconds for what is done with one file: a tenth of a millisecond to twice a reader's deadline."""

FETCH_BUCKETS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Upper bounds in seconds for a fetch: nothing new in the same room, to the deadline."""

IDLE = Load()


class Step:
    """Measures one kind of step, from any thread."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._seconds = 0.0
        self._again = 0
        self._lock = threading.Lock()

    def took(self, seconds: float) -> None:
        """Count one attempt."""
        place = bisect_left(self._bounds, seconds)
        with self._lock:
            self._counts[place] += 1
            self._seconds += seconds

    def again(self) -> None:
        """Count one more attempt after one that failed."""
        with self._lock:
            self._again += 1

    def read(self) -> Histogram:
        """Say what was counted."""
        with self._lock:
            return Histogram(self._bounds, tuple(self._counts), self._seconds, self._again)


class SourceMeter:
    """Measures the passes of one source."""

    def __init__(self) -> None:
        self.fetch = Step(FETCH_BUCKETS)
        self.parse = Step(FILE_BUCKETS)
        self.save = Step(FILE_BUCKETS)
        self.record = Step(FILE_BUCKETS)
        self._load: Callable[[], Load] = _idle

    @contextmanager
    def watching(self, load: Callable[[], Load]) -> Iterator[None]:
        """Ask `load` how busy the workers are, while the block runs."""
        self._load = load
        try:
            yield
        finally:
            self._load = _idle

    def read(self) -> Measured:
        """Say what was measured."""
        return Measured(self.fetch.read(), self.parse.read(), self.save.read(), self.record.read(), self._load())


def _idle() -> Load:
    return IDLE
