"""What keeps the loop in touch with the world while it works: a stop that is heard, a sign of life, and progress."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from visionflow_daemon.errors import StoppedError
from visionflow_daemon.ops.observer import Observer
from visionflow_daemon.ops.systemd import Notify
from visionflow_daemon.storage.checkpoint import Tally


class Stop(threading.Event):
    """Set when the daemon is to end. Whoever waits for something long, a fetch, looks at it now and then.

    Where the thread that works looks, that is a sign of life: the watchdog hears of it.
    """

    def __init__(self, notify: Notify) -> None:
        super().__init__()
        self._notify = notify
        self._worker = threading.get_ident()

    def is_set(self) -> bool:
        """Tell whether to end."""
        if threading.get_ident() == self._worker:
            self._notify.beat()
        return super().is_set()

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
    files: int = 0

    def found(self, commit: str, *, is_there: bool) -> None:
        """Tell what is to be reached."""
        self.observer.head_found(self.ontology_id, commit, is_there=is_there)

    def started(self, planned: int) -> None:
        """Tell how many files it will touch."""
        self.files = planned
        self.observer.planned(self.ontology_id, planned)

    def moved(self, tally: Tally) -> None:
        """Tell how far it has come."""
        self.notify.beat()
        self.notify.status(f"syncing {self.ontology_id}: {tally.done} of {self.files} files", is_progress=True)
        self.observer.moved(self.ontology_id, tally)

    def ended(self) -> None:
        """Its end is told with its summary."""
