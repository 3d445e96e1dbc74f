"""What keeps passes in touch with the world: a stop that is heard, a sign of life, and who watches for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from visionflow_daemon.daemon.status import Status
from visionflow_daemon.errors import StoppedError
from visionflow_daemon.ops.observer import Observer
from visionflow_daemon.ops.systemd import Notify
from visionflow_daemon.storage.checkpoint import Tally

log = structlog.get_logger()


class Vigil:
    """Watches over the passes under way: systemd hears that all is well while each has lately given a sign of life.

    So one that is stuck is noticed, however well the others do; and since it is the loop that looks, so is a loop that
    is. Passes begin, end and are looked at in the loop's thread; signs of life come from any.
    """

    def __init__(
        self,
        notify: Notify,
        lives: Callable[[str], None] = lambda _: None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._notify = notify
        self._lives = lives
        self._monotonic = monotonic
        self._watched: set[Stop] = set()
        self._told_at = float("-inf")

    def begin(self, ontology_id: str) -> Stop:
        """Watch over a pass from now on; give its stop, through which it gives signs of life."""
        stop = Stop(ontology_id, self._note)
        stop.lives()
        self._watched.add(stop)
        return stop

    def end(self, stop: Stop) -> None:
        """Watch over a pass no more."""
        self._watched.discard(stop)

    def look(self) -> None:
        """Tell systemd that all is well, or have it end a process in which a pass is stuck."""
        now = self._monotonic()
        silent = {stop.ontology_id: now - stop.lived_at for stop in self._watched}
        stuck = {name: seconds for name, seconds in silent.items() if seconds > self._notify.allowed}
        if not stuck:
            self._notify.beat()
            return
        if now - self._told_at >= self._notify.every:
            self._told_at = now
            for name, seconds in stuck.items():
                with structlog.contextvars.bound_contextvars(ontology_id=name):
                    log.error("pass stuck", seconds=round(seconds, 1))
            self._notify.trigger()

    def _note(self, stop: Stop) -> None:
        stop.lived_at = self._monotonic()
        self._lives(stop.ontology_id)


class Stop(threading.Event):
    """Set when a pass is to end. Whoever waits for what has a deadline, as a fetch, looks at it now and then.

    Such a look is a sign of life. Only the thread that hands work to others looks also while it waits for them: then,
    between `feeds` and `fed`, its looks tell nothing, since a worker may hang. A file that is done does.
    """

    def __init__(self, ontology_id: str, note: Callable[[Stop], None]) -> None:
        super().__init__()
        self.ontology_id = ontology_id
        self.lived_at = float("-inf")
        """When the last sign of life was given, by the vigil's clock."""
        self._note = note
        self._feeder: int | None = None

    def is_set(self) -> bool:
        """Tell whether to end."""
        if threading.get_ident() != self._feeder:
            self.lives()
        return super().is_set()

    def lives(self) -> None:
        """Give a sign of life."""
        self._note(self)

    def feeds(self) -> None:
        """Note that this thread hands work to others from now on, and waits for them."""
        self._feeder = threading.get_ident()

    def fed(self) -> None:
        """Note that it works by itself again."""
        self._feeder = None

    def sleep(self, seconds: float) -> None:
        """Wait, but not beyond the end. Raises StoppedError there."""
        if super().wait(seconds):
            raise StoppedError("stopped while something was waited for")
        self.is_set()


@dataclass(slots=True)
class Telling:
    """Tells the observer and systemd how far a pass has come."""

    ontology_id: str
    observer: Observer
    status: Status
    stop: Stop
    files: int = 0
    done: int = 0

    def found(self, commit: str, *, is_there: bool) -> None:
        """Tell what is to be reached."""
        self.observer.head_found(self.ontology_id, commit, is_there=is_there)

    def started(self, planned: int) -> None:
        """Tell how many files it will touch."""
        self.stop.feeds()
        self.files, self.done = planned, 0
        self.observer.planned(self.ontology_id, planned)

    def moved(self, tally: Tally) -> None:
        """Tell how far it has come; where it stands still, nothing."""
        if tally.done == self.done:
            return
        self.done = tally.done
        self.stop.lives()
        self.status.moves(self.ontology_id, tally.done, self.files)
        self.observer.moved(self.ontology_id, tally)

    def waits(self) -> None:
        """Give a sign of life: whoever has the workers gives their own."""
        self.stop.lives()

    def ended(self) -> None:
        """Have the pass's own signs of life count again. The end itself is told with its summary."""
        self.stop.fed()
