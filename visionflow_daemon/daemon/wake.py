"""Where passes are asked for: one slot a source, so that any number of asks costs one pass."""

from __future__ import annotations

import threading


class Wake:
    """The asks that wait; from any thread but a signal handler.

    A slot is emptied when its pass begins: what is asked while the pass runs leads to exactly one more.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._asked: dict[str, str] = {}
        self._is_nudged = False

    def ask(self, ontology_id: str, why: str) -> None:
        """Ask for a pass; where one is asked for already, that one will do."""
        with self._changed:
            self._asked.setdefault(ontology_id, why)
            self._changed.notify()

    def nudge(self) -> None:
        """Let `take` return, with or without an ask: something else is to be looked at."""
        with self._changed:
            self._is_nudged = True
            self._changed.notify()

    def take(self, timeout: float) -> tuple[str, str] | None:
        """Wait for an ask, and give the oldest: for which ontology, and why. None when the time is over, or a nudge."""
        with self._changed:
            self._changed.wait_for(lambda: self._asked or self._is_nudged, timeout)
            if self._is_nudged or not self._asked:
                self._is_nudged = False
                return None
            ontology_id = next(iter(self._asked))
            return ontology_id, self._asked.pop(ontology_id)
