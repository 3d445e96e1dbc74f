"""How a delivery ended, and when the next one of the same event is worth a try."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_WAIT = 1.0
"""Seconds to the second attempt; each further wait is twice as long."""

LONGEST_WAIT = 300.0
"""Seconds that a wait is at most, also where a server asks for more."""

SHARE_OF_CHANCE = 0.5
"""The share of a wait that is left to chance, so that many daemons don't come at once."""


@dataclass(frozen=True, slots=True)
class Answer:
    """How a delivery ended: well where there is no reason; `is_final` where another attempt would end the same.

    `wait` is what a server asks for, in seconds.
    """

    reason: str | None = None
    is_final: bool = False
    wait: float | None = None


DELIVERED = Answer()


def wait_after(answer: Answer, attempts: int, draw: float) -> float:
    """Give the seconds to the next attempt, after so many; `draw` is from 0 to 1."""
    wait: float = min(FIRST_WAIT * 2 ** min(attempts - 1, 20), LONGEST_WAIT)
    wait *= 1 - SHARE_OF_CHANCE * draw
    return min(max(wait, answer.wait or 0.0), LONGEST_WAIT)
