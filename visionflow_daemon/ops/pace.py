"""A pass under way: how far it has come, how fast, and how long it will take."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

from visionflow_daemon.ops.standing import Progress
from visionflow_daemon.storage.checkpoint import Tally

WINDOW = 30.0
"""Seconds that a rate looks back: long enough to be steady, short enough to show a pass that slows down."""

SHORTEST = 0.5
"""Seconds before a rate is worth telling."""

SAMPLE_EVERY = 0.25
"""Seconds between two remembered points of a pass, however often it moves."""

NOTHING = Tally()


@dataclass(slots=True)
class RunningPass:
    """A pass under way, and the points (seconds, files done) that its rate is made of."""

    since: datetime
    why: str
    began: float
    lived_at: float
    """When it last gave a sign of life."""

    planned: int | None = None
    tally: Tally = NOTHING
    points: deque[tuple[float, int]] = field(default_factory=deque)

    def plan(self, files: int, now: float) -> None:
        """Note how many files it will touch."""
        self.lived_at = now
        self.planned = files
        self.points = deque([(now, self.tally.done)])

    def move(self, tally: Tally, now: float) -> None:
        """Note how far it has come."""
        self.lived_at = now
        self.tally = tally
        if not self.points or now - self.points[-1][0] >= SAMPLE_EVERY:
            self.points.append((now, tally.done))
        while len(self.points) > 1 and now - self.points[0][0] > WINDOW:
            self.points.popleft()

    def progress(self, now: float) -> Progress:
        """Say how far it has come, and how long it will take at this pace."""
        done, rate, left = self.tally.done, None, None
        if self.points:
            at, before = self.points[0]
            passed = now - at
            rate = (done - before) / passed if passed >= SHORTEST and done > before else None
        if rate and self.planned is not None:
            left = max(self.planned - done, 0) / rate
        return Progress(self.since, self.why, self.planned, done, self.tally.failed, rate, left)
