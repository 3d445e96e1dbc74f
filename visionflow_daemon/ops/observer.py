"""Whom the daemon tells of its sources and passes."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from visionflow_daemon.errors import ExitCode
from visionflow_daemon.storage.checkpoint import Tally
from visionflow_daemon.sync.run import Summary


class Observer(Protocol):
    """Is told, by the thread that runs the passes, what the daemon does; it must neither raise nor wait."""

    def source_known(self, ontology_id: str, location: str, branch: str | None, interval: float) -> None:
        """Note a source, without its secrets; again when its settings change. `interval` is in seconds."""

    def source_gone(self, ontology_id: str) -> None:
        """Note that a source is no longer configured."""

    def pass_begun(self, ontology_id: str, why: str) -> None:
        """Note that a pass begins, and what asked for it; one of the two ends below follows."""

    def head_found(self, ontology_id: str, commit: str, *, is_there: bool) -> None:
        """Note the commit at the source's head, and whether the database is there; not told where none is found."""

    def planned(self, ontology_id: str, files: int) -> None:
        """Note how many files the pass is going to touch; not told where that is none."""

    def moved(self, ontology_id: str, tally: Tally) -> None:
        """Note how far the pass has come."""

    def pass_done(self, ontology_id: str, summary: Summary) -> None:
        """Note that the pass is over, also where there was nothing to do, and where a stop ended it."""

    def pass_failed(self, ontology_id: str, reason: str, code: ExitCode) -> None:
        """Note what ended the pass instead."""

    def next_due(self, ontology_id: str, when: datetime | None) -> None:
        """Note when the next pass is due at the latest, if that is known."""


class Unobserved:
    """An observer for when nobody looks."""

    def source_known(self, ontology_id: str, location: str, branch: str | None, interval: float) -> None:
        """Nobody looks."""

    def source_gone(self, ontology_id: str) -> None:
        """Nobody looks."""

    def pass_begun(self, ontology_id: str, why: str) -> None:
        """Nobody looks."""

    def head_found(self, ontology_id: str, commit: str, *, is_there: bool) -> None:
        """Nobody looks."""

    def planned(self, ontology_id: str, files: int) -> None:
        """Nobody looks."""

    def moved(self, ontology_id: str, tally: Tally) -> None:
        """Nobody looks."""

    def pass_done(self, ontology_id: str, summary: Summary) -> None:
        """Nobody looks."""

    def pass_failed(self, ontology_id: str, reason: str, code: ExitCode) -> None:
        """Nobody looks."""

    def next_due(self, ontology_id: str, when: datetime | None) -> None:
        """Nobody looks."""
