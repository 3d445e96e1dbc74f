"""What keeps the loop in touch with the world while it works: a stop that is heard, a sign of life, and progress."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from visionflow_daemon.errors import StoppedError
from visionflow_daemon.ops.observer import Observer
from visionflow_daemon.ops.systemd import Notify
from visionflow_daemon.storage.checkpoint import Tally


class Stop(threading.Event):
    """Set when the daemon is to end. Whoever waits for what has a deadline, as a fetch, looks at it now and then.

    Such a look is a sign of life, which the watchdog hears of. Only the thread that made it looks also while it waits
    for workers: then, between `feeds` and `fed`, its looks tell nothing, since a worker may hang. A file that is done
    does.
    """

    def __init__(self, notify: Notify) -> None:
        super().__init__()
        self._notify = notify
        self._owner = threading.get_ident()
        self._feeds = False

    def is_set(self) -> bool:
        """Tell whether to end."""
        if not self._feeds or threading.get_ident() != self._owner:
            self._notify.beat()
        return super().is_set()

    def feeds(self) -> None:
        """Note that its owner hands work to others from now on, and waits for them."""
        self._feeds = True

    def fed(self) -> None:
        """Note that its owner works by itself again."""
        self._feeds = False

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
    notify: Notify
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
        self.notify.beat()
        self.notify.status(f"syncing {self.ontology_id}: {tally.done} of {self.files} files", is_progress=True)
        self.observer.moved(self.ontology_id, tally)

    def ended(self) -> None:
        """Have the loop's own signs of life count again. The end itself is told with its summary."""
        self.stop.fed()
