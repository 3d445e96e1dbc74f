"""Whom a pass tells how long its steps take, what is tried again, and how busy its workers are."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol


class StepMeter(Protocol):
    """Measures one kind of step; told by any thread, for each file: it must be quick, and neither raise nor wait."""

    def took(self, seconds: float) -> None:
        """Note how long one attempt took, also one that failed."""

    def again(self) -> None:
        """Note that another attempt begins, after one that failed."""


@dataclass(frozen=True, slots=True)
class Load:
    """How many files wait for a worker, and how many a worker has in hand."""

    queued: int = 0
    in_hand: int = 0


class Meter(Protocol):
    """Measures the passes of one source."""

    @property
    def fetch(self) -> StepMeter:
        """Asking the remote, and bringing what is new into the clone."""

    @property
    def parse(self) -> StepMeter:
        """Reading one file: its blob, and the page in it."""

    @property
    def save(self) -> StepMeter:
        """Writing what became of one file: its facts, its place in the ledger, or its deletion."""

    @property
    def record(self) -> StepMeter:
        """Writing that a pass begins, and that it is finished, with the checkpoint."""

    def watching(self, load: Callable[[], Load]) -> AbstractContextManager[None]:
        """Ask `load`, from any thread, how busy the workers are; while the block runs."""


class _UnmeasuredStep:
    def took(self, seconds: float) -> None:
        """Nobody measures."""

    def again(self) -> None:
        """Nobody measures."""


UNMEASURED_STEP = _UnmeasuredStep()


class Unmeasured:
    """A meter for when nobody measures."""

    fetch = parse = save = record = UNMEASURED_STEP

    def watching(self, load: Callable[[], Load]) -> AbstractContextManager[None]:  # noqa: ARG002 - nobody measures
        """Nobody measures."""
        return nullcontext()
