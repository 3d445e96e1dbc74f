"""Where an event waits until a hook has been told: one slot, in which a later state takes the place of an earlier."""

from __future__ import annotations

from dataclasses import dataclass

from visionflow_daemon.ops.hooks.event import Event


@dataclass(slots=True)
class Slot:
    """The event that waits, and the one that is being told; all times are seconds of one clock.

    Attempts are counted from `since` on. A later state inherits the wait for the next one: what ails the hook ails it
    for both.
    """

    due: float = 0.0
    since: float = 0.0
    attempts: int = 0
    waiting: Event | None = None
    told: Event | None = None
    is_outdated: bool = False
    """Whether what is being told is worth no further attempt."""

    @property
    def event(self) -> Event | None:
        """What the hook has yet to be told, should the delivery under way fail."""
        told = None if self.is_outdated else self.told
        return self.waiting.after(told) if self.waiting else told

    def put(self, event: Event | None, now: float) -> None:
        """Let an event wait; None where there is one that the hook is not told, and that outdates what waits."""
        if self.event is None:
            self.due = max(self.due, now)  # in the order in which they came
        if event is None or event.changes is None or self.event is None:
            self.since, self.attempts = now, 0
            self.is_outdated = self.told is not None
            self.waiting = event
        else:
            self.waiting = event.after(self.waiting)

    def take(self) -> Event | None:
        """Give what waits, which is being told from now on."""
        self.told, self.waiting, self.is_outdated = self.waiting, None, False
        self.attempts += 1
        return self.told

    def delivered(self, now: float) -> None:
        """Note that the hook has been told."""
        self.told, self.is_outdated, self.attempts, self.since = None, False, 0, now

    def failed(self, due: float) -> None:
        """Note that the hook could not be told; what waits, or else the same event, is due then."""
        self.waiting, self.due = self.event, due
        self.told, self.is_outdated = None, False
