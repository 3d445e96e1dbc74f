"""A clock, a board and summaries for the tests of what the daemon shows."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from visionflow_daemon.ops.board import Board
from visionflow_daemon.storage.checkpoint import Tally
from visionflow_daemon.sync.plan import Plan, Way
from visionflow_daemon.sync.run import Summary

START = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
NOTHING = Tally()


@dataclass(slots=True)
class Clock:
    """A clock that moves when a test says so."""

    seconds: float = 0.0

    def now(self) -> datetime:
        """Give the time of day."""
        return START + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        """Give the seconds since the start."""
        return self.seconds

    def pass_by(self, seconds: float) -> None:
        """Move the clock."""
        self.seconds += seconds


def board_at(clock: Clock) -> Board:
    """Make a board that knows one source, `kg`."""
    board = Board(clock.now, clock.monotonic)
    board.source_known("kg", "https://example.org/kg.git", "main", 60)
    return board


def summary(
    *,
    ontology_id: str = "kg",
    tally: Tally = NOTHING,
    ledger: int = 0,
    is_whole: bool = True,
    seconds: float = 0.2,
    commit: str = "c" * 40,
) -> Summary:
    """Tell of a pass."""
    run_id = "r1" if tally.done else None
    plan = Plan(Way.DIFF, "a test", (), tally.done, (), 0)
    return Summary(
        ontology_id, "https://example.org/kg.git", "main", commit, plan, tally, 0, seconds, ledger, run_id, is_whole
    )
