"""Circuit breakers: after failures that more attempts would only repeat, the next attempt waits (ADR 0016).

A breaker is closed while all is well, open until its next attempt is due, and half-open from then until that attempt
has shown how things are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from visionflow_daemon.model import timestamp

JITTER = 0.2
"""The share by which a cool-down may be longer: many daemons of one remote are not to ask it at once."""


class Guarded(StrEnum):
    """What a circuit breaker guards against: each fails as a whole, and is tried again later."""

    FILES = "files"
    DATABASE = "database"
    REMOTE = "remote"


class State(StrEnum):
    """Whether a pass may try."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


@dataclass(frozen=True, slots=True)
class Rules:
    """When breakers open, and for how long.

    `failing_share`: of a pass's files, from 0 to 1; a pass with more failures stops, but never for less than
    `fewest_failing`; so many failures of the transient kind in a row stop it, too. `failing_passes`: passes in a row
    that may meet a remote or a database that fails. `cool_down` doubles with each further failure up to
    `longest_cool_down`, in seconds.
    """

    failing_share: float = 0.5
    fewest_failing: int = 20
    failing_passes: int = 5
    cool_down: float = 60.0
    longest_cool_down: float = 600.0


@dataclass(frozen=True, slots=True)
class Breaker:
    """One breaker: how often in a row, since when and why it failed, and when the next attempt is due if it is open."""

    guards: Guarded
    failures: int = 0
    since: str | None = None
    reason: str | None = None
    retry_at: str | None = None

    def state(self, now: str) -> State:
        """Say whether a pass may try."""
        if self.retry_at is None:
            return State.CLOSED
        return State.OPEN if now < self.retry_at else State.HALF_OPEN


def failed(breaker: Breaker, reason: str, rules: Rules, now: datetime, *, at_once: bool, jitter: float) -> Breaker:
    """Count a failure; `at_once` opens the breaker with the first. `jitter` is from 0 to 1."""
    failures = breaker.failures + 1
    first = 1 if at_once else rules.failing_passes
    retry_at = None
    if failures >= first:
        doubled = rules.cool_down * 2.0 ** min(failures - first, 30)
        seconds = min(doubled, rules.longest_cool_down) * (1 + JITTER * jitter)
        retry_at = timestamp(now + timedelta(seconds=seconds))
    return replace(breaker, failures=failures, since=breaker.since or timestamp(now), reason=reason, retry_at=retry_at)
