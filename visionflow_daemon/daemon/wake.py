"""Where passes are asked for: one slot a source, so that any number of asks costs one pass."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

QUIET = 1.0
LONGEST = 10.0
"""Seconds without an ask after which a flurry of them is over, and for how long one is waited for at most."""


@dataclass(slots=True)
class _Flurry:
    """Asks that come in quick succession: when the last one came, and by when those that wait have to be heard."""

    last: float
    waits_since: float | None = None
    why: str = ""

    @property
    def due(self) -> float | None:
        """Give when the pass that they wait for is asked for."""
        return None if self.waits_since is None else min(self.last + QUIET, self.waits_since + LONGEST)


class Wake:
    """The asks that wait; from any thread but a signal handler.

    A slot is emptied when its pass begins: what is asked while it runs stays there, and leads to exactly one more.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._changed = threading.Condition()
        self._asked: dict[str, str] = {}
        self._flurries: dict[str, _Flurry] = {}
        self._is_nudged = False

    def ask(self, ontology_id: str, why: str) -> None:
        """Ask for a pass; where one is asked for already, that one will do."""
        with self._changed:
            self._asked.setdefault(ontology_id, why)
            self._changed.notify()

    def ask_soon(self, ontology_id: str, why: str) -> None:
        """Ask for a pass at once; where such asks come in quick succession, for one more when they let up.

        Passes are short, and who asks from afar may do so a thousand times: each pass would meet an ask that came
        while it ran.
        """
        with self._changed:
            now = self._monotonic()
            flurry = self._flurries.get(ontology_id)
            if flurry is None or (flurry.due is None and now - flurry.last >= QUIET):
                self._flurries[ontology_id] = _Flurry(now)
                self._asked.setdefault(ontology_id, why)
            else:
                flurry.last, flurry.why = now, why
                flurry.waits_since = now if flurry.waits_since is None else flurry.waits_since
            self._changed.notify()

    def nudge(self) -> None:
        """Let `take` return, with or without an ask: something else is to be looked at."""
        with self._changed:
            self._is_nudged = True
            self._changed.notify()

    def take(self, timeout: float, besides: Collection[str] = ()) -> tuple[str, str] | None:
        """Wait for an ask, and give the oldest: for which ontology, and why. None when the time is over, or a nudge.

        What is asked for the ontologies `besides`, whose passes are under way, is left for later.
        """
        with self._changed:
            until = self._monotonic() + timeout
            while True:
                soon = self._heed()
                left = min(until, soon) - self._monotonic()
                ontology_id = next((each for each in self._asked if each not in besides), None)
                if ontology_id is not None or self._is_nudged or left <= 0:
                    break
                self._changed.wait(left)
            if self._is_nudged or ontology_id is None:
                self._is_nudged = False
                return None
            return ontology_id, self._asked.pop(ontology_id)

    def _heed(self) -> float:
        """Ask for the passes of flurries that are due, and give when the next one is."""
        now, soon = self._monotonic(), math.inf
        for ontology_id, flurry in self._flurries.items():
            if flurry.due is None:
                continue
            if flurry.due <= now:
                flurry.waits_since = None
                self._asked.setdefault(ontology_id, flurry.why)
            else:
                soon = min(soon, flurry.due)
        return soon
