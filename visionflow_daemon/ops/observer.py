"""Whom the daemon tells of its sources and passes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

import structlog

from visionflow_daemon.errors import ExitCode
from visionflow_daemon.storage.checkpoint import Tally
from visionflow_daemon.sync.run import Summary

log = structlog.get_logger()


class Observer(Protocol):
    """Is told what the daemon does; it must neither raise nor wait.

    What goes on within a pass is told by the pass's own thread: `head_found`, `planned` and `moved`; all else by the
    loop's.
    """

    def source_known(self, ontology_id: str, location: str, branch: str | None, interval: float) -> None:
        """Note a source, without its secrets; again when its settings change. `interval` is in seconds."""

    def source_gone(self, ontology_id: str) -> None:
        """Note that a source is no longer configured."""

    def source_left(self, ontology_id: str) -> None:
        """Note that another daemon works on a source, or soon does; told again and again while that lasts."""

    def pass_begun(self, ontology_id: str, why: str) -> None:
        """Note that a pass begins, and what asked for it; one of the two ends below follows, or `source_left`."""

    def head_found(self, ontology_id: str, commit: str, *, is_there: bool) -> None:
        """Note the commit at the source's head, and whether the database is there; not told where none is found."""

    def planned(self, ontology_id: str, files: int) -> None:
        """Note how many files the pass is going to touch; not told where that is none."""

    def moved(self, ontology_id: str, tally: Tally) -> None:
        """Note how far the pass has come."""

    def pass_done(self, ontology_id: str, summary: Summary) -> None:
        """Note that the pass is over, also where there was nothing to do, and where a stop ended it."""

    def pass_failed(self, ontology_id: str, reason: str, code: ExitCode, mark: str | None = None) -> None:
        """Note what ended the pass instead; `mark` names what deletions are held at, where they are."""

    def next_due(self, ontology_id: str, when: datetime | None) -> None:
        """Note when the next pass is due at the latest, if that is known."""

    def notified(self, outcome: str) -> None:
        """Note how a delivery of a notification ended; told by threads of their own."""


class Unobserved:
    """An observer for when nobody looks."""

    def source_known(self, ontology_id: str, location: str, branch: str | None, interval: float) -> None:
        """Nobody looks."""

    def source_gone(self, ontology_id: str) -> None:
        """Nobody looks."""

    def source_left(self, ontology_id: str) -> None:
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

    def pass_failed(self, ontology_id: str, reason: str, code: ExitCode, mark: str | None = None) -> None:
        """Nobody looks."""

    def next_due(self, ontology_id: str, when: datetime | None) -> None:
        """Nobody looks."""

    def notified(self, outcome: str) -> None:
        """Nobody looks."""


class Each:
    """Tells several observers, one after the other. A fault of one is logged: it ends no pass, and others are told."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def source_known(self, ontology_id: str, location: str, branch: str | None, interval: float) -> None:
        """Tell all."""
        self._tell(lambda each: each.source_known(ontology_id, location, branch, interval))

    def source_gone(self, ontology_id: str) -> None:
        """Tell all."""
        self._tell(lambda each: each.source_gone(ontology_id))

    def source_left(self, ontology_id: str) -> None:
        """Tell all."""
        self._tell(lambda each: each.source_left(ontology_id))

    def pass_begun(self, ontology_id: str, why: str) -> None:
        """Tell all."""
        self._tell(lambda each: each.pass_begun(ontology_id, why))

    def head_found(self, ontology_id: str, commit: str, *, is_there: bool) -> None:
        """Tell all."""
        self._tell(lambda each: each.head_found(ontology_id, commit, is_there=is_there))

    def planned(self, ontology_id: str, files: int) -> None:
        """Tell all."""
        self._tell(lambda each: each.planned(ontology_id, files))

    def moved(self, ontology_id: str, tally: Tally) -> None:
        """Tell all."""
        self._tell(lambda each: each.moved(ontology_id, tally))

    def pass_done(self, ontology_id: str, summary: Summary) -> None:
        """Tell all."""
        self._tell(lambda each: each.pass_done(ontology_id, summary))

    def pass_failed(self, ontology_id: str, reason: str, code: ExitCode, mark: str | None = None) -> None:
        """Tell all."""
        self._tell(lambda each: each.pass_failed(ontology_id, reason, code, mark))

    def next_due(self, ontology_id: str, when: datetime | None) -> None:
        """Tell all."""
        self._tell(lambda each: each.next_due(ontology_id, when))

    def notified(self, outcome: str) -> None:
        """Tell all."""
        self._tell(lambda each: each.notified(outcome))

    def _tell(self, call: Callable[[Observer], None]) -> None:
        for observer in self._observers:
            try:
                call(observer)
            except Exception:
                log.exception("observer failed", observer=type(observer).__name__)
