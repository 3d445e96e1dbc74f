"""Counts what a pass has done, and tells whoever watches."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from visionflow_daemon.storage.checkpoint import Tally

WRITE_EVERY = 2.0
"""Seconds between two writes of a running pass's progress into its row."""


class Watcher(Protocol):
    """Shows a pass's progress to someone."""

    def found(self, commit: str, *, is_there: bool) -> None:
        """Note the commit at the source's head, and whether the database is there already, as far as it knows."""

    def started(self, planned: int) -> None:
        """Note that a pass begins that will touch so many files."""

    def moved(self, tally: Tally) -> None:
        """Note how far it has come."""

    def waits(self) -> None:
        """Note that it waits its turn: the workers have other passes' files in hand."""

    def ended(self) -> None:
        """Note that it is over."""


class Unwatched:
    """A watcher for when nobody looks."""

    def found(self, commit: str, *, is_there: bool) -> None:
        """Nobody looks."""

    def started(self, planned: int) -> None:
        """Nobody looks."""

    def moved(self, tally: Tally) -> None:
        """Nobody looks."""

    def waits(self) -> None:
        """Nobody looks."""

    def ended(self) -> None:
        """Nobody looks."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file: one of Tally's counts, and how many of its statements were left out.

    `is_transient`: it failed for what another attempt may not meet.
    """

    kind: str
    warnings: int = 0
    is_transient: bool = False


class Progress:
    """The running count of one pass; safe to use from many threads."""

    def __init__(self, watcher: Watcher, write: Callable[[Tally], None], monotonic: Callable[[], float]) -> None:
        self.warnings = 0
        self._counts: Counter[str] = Counter()
        self._watcher = watcher
        self._write = write
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._written_at = monotonic()

    def add(self, outcome: Outcome) -> None:
        """Count one file."""
        with self._lock:
            self._counts[outcome.kind] += 1
            self.warnings += outcome.warnings

    @property
    def tally(self) -> Tally:
        """How far it has come."""
        with self._lock:
            return Tally(**self._counts)

    def tick(self) -> None:
        """Show the count; write it down when it is time."""
        tally = self.tally
        with suppress(OSError):  # a terminal that is gone ends no pass
            self._watcher.moved(tally)
        if self._monotonic() - self._written_at >= WRITE_EVERY:
            self._write(tally)
            self._written_at = self._monotonic()
