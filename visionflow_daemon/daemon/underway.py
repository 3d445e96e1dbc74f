"""The passes under way: each in a thread of its own, one at most of each source."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass

from visionflow_daemon import passes
from visionflow_daemon.config.values import Config
from visionflow_daemon.daemon.vigil import Stop, Vigil

Run = Callable[[Stop], passes.Attempt]


@dataclass(frozen=True, slots=True)
class Ended:
    """A pass that is over, how it ended, and the configuration that it was run by."""

    ontology_id: str
    done: passes.Attempt
    config: Config


@dataclass(frozen=True, slots=True)
class _Pass:
    ontology_id: str
    config: Config
    stop: Stop
    run: Run


class Underway:
    """Starts passes, and gives them back when they are over; all of it in the loop's thread.

    `nudge` is called, by a pass's own thread, when it is over.
    """

    def __init__(self, vigil: Vigil, nudge: Callable[[], None]) -> None:
        self._vigil = vigil
        self._nudge = nudge
        self._passes: dict[str, tuple[_Pass, threading.Thread]] = {}
        self._over: deque[Ended] = deque()

    @property
    def ontologies(self) -> Collection[str]:
        """The ontologies of the passes under way, with those that are over and were not yet given back."""
        return self._passes.keys()

    def begin(self, ontology_id: str, config: Config, run: Run) -> None:
        """Begin a pass. Raises RuntimeError where the system lets no thread start."""
        one = _Pass(ontology_id, config, self._vigil.begin(ontology_id), run)
        thread = threading.Thread(target=self._work, args=(one,), name="pass", daemon=True)
        try:
            thread.start()
        except BaseException:
            self._vigil.end(one.stop)
            raise
        self._passes[ontology_id] = (one, thread)

    def stop(self, ontology_id: str) -> None:
        """Have a pass stop, if there is one: its files in hand are finished."""
        if ontology_id in self._passes:
            one, _ = self._passes[ontology_id]
            one.stop.set()

    def ended(self) -> list[Ended]:
        """Give the passes that are over, each once."""
        found = []
        while self._over:
            each = self._over.popleft()
            one, thread = self._passes.pop(each.ontology_id)
            thread.join()
            self._vigil.end(one.stop)
            found.append(each)
        return found

    def finish(self) -> list[Ended]:
        """Have all passes stop, wait until they are over, and give them."""
        for one, _ in self._passes.values():
            one.stop.set()
        for _, thread in list(self._passes.values()):
            thread.join()
        return self.ended()

    def _work(self, one: _Pass) -> None:
        try:
            done = one.run(one.stop)
        except Exception as error:  # noqa: BLE001 - a fault of ours is told as any other
            done = passes.failed(error)
        self._over.append(Ended(one.ontology_id, done, one.config))
        self._nudge()
