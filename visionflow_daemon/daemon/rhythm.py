"""When the looks at a source come: once an interval, none of them exactly on time."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta

from apscheduler.triggers.interval import IntervalTrigger


class Rhythm(IntervalTrigger):  # type: ignore[misc] # APScheduler ships no types
    """Fires once an interval, each time up to `jitter` seconds earlier or later, of which the next look knows nothing.

    APScheduler's own takes the jitter for a delay, and counts the next interval from the delayed look: at intervals of
    a second with half a second of jitter, a hundred looks take two minutes.
    """

    def __init__(self, seconds: float, jitter: float) -> None:
        super().__init__(seconds=seconds, timezone=UTC)
        self._off = jitter

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """Give the time of the next look; those that were missed are passed over."""
        number = math.ceil((now - self.start_date) / self.interval)
        if previous_fire_time is not None:
            number = max(number, round((previous_fire_time - self.start_date) / self.interval) + 1)
        off = random.uniform(-self._off, self._off)  # noqa: S311 - nobody gains by guessing it
        due: datetime = self.start_date + max(number, 0) * self.interval + timedelta(seconds=off)
        return due
