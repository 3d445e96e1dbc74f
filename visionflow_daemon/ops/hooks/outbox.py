"""What hooks have yet to be told, kept in the state directory until they are: nobody who puts something in waits."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

import structlog

from visionflow_daemon.config.values import NotificationConfig
from visionflow_daemon.ops.hooks import note
from visionflow_daemon.ops.hooks.answer import Answer, wait_after
from visionflow_daemon.ops.hooks.condition import Condition
from visionflow_daemon.ops.hooks.event import Event
from visionflow_daemon.ops.hooks.note import Note
from visionflow_daemon.ops.hooks.patience import Closing
from visionflow_daemon.ops.hooks.slot import Slot

log = structlog.get_logger()


class Fate(Enum):
    """What becomes of an event after a delivery."""

    SENT = auto()
    TRIED_AGAIN = auto()
    GIVEN_UP = auto()
    DROPPED = auto()


@dataclass(frozen=True, slots=True)
class Task:
    """One delivery: what to tell whom, and the how-manieth attempt it is."""

    key: str
    hook: NotificationConfig
    event: Event
    attempt: int


class Outbox:
    """A slot for each hook, source and sort of event; safe to use from many threads.

    Hooks are known by a key that outlives restarts. What a slot holds of a source that is gone, or for a hook that is,
    is dropped.
    """

    def __init__(
        self,
        state: Path,
        closing: Closing,
        monotonic: Callable[[], float] = time.monotonic,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._state = state
        self._closing = closing
        self._monotonic = monotonic
        self._draw = draw
        self._changed = threading.Condition()
        self._database = ""
        self._hooks: dict[str, NotificationConfig] = {}
        self._attended: set[str] = set()
        self._slots: dict[tuple[str, str, bool], Slot] = {}
        self._conditions: dict[str, Condition | None] = {}

    def serve(self, database: str, hooks: Mapping[str, NotificationConfig]) -> None:
        """Serve these hooks from now on, and no other; notes are those of this database's ontologies."""
        with self._changed:
            if database != self._database:
                self._slots.clear()
                self._conditions.clear()
            self._database = database
            self._hooks = dict(hooks)
            self._slots = {place: slot for place, slot in self._slots.items() if place[0] in hooks}
            self._changed.notify_all()

    def attend(self) -> list[str]:
        """Give the hooks that nobody attends to: who asks does so from now on, by `take`."""
        with self._changed:
            unattended = [key for key in self._hooks if key not in self._attended]
            self._attended.update(unattended)
            return unattended

    def leave(self, key: str) -> None:
        """Note that nobody attends to a hook any more."""
        with self._changed:
            self._attended.discard(key)

    def condition(self, ontology_id: str) -> Condition | None:
        """Give how a source is doing, as far as is known; what its hooks have yet to be told is told from now on."""
        with self._changed:
            if ontology_id not in self._conditions:
                held = note.load(self._path(ontology_id))
                self._conditions[ontology_id] = held.condition
                for key, events in held.untold.items():
                    for event in events:
                        self._put(key, event)
                self._changed.notify_all()
            return self._conditions[ontology_id]

    def tell(self, ontology_id: str, condition: Condition | None, events: Iterable[Event]) -> None:
        """Remember how a source is doing, and let the hooks that want to know be told."""
        with self._changed:
            self._conditions[ontology_id] = condition
            for event in events:
                for key in self._hooks:
                    self._put(key, event)
            if self._hooks or condition is None:
                self._keep(ontology_id)
            self._changed.notify_all()

    def forget(self, ontology_id: str) -> None:
        """Tell nothing of a source any more."""
        with self._changed:
            self._slots = {place: slot for place, slot in self._slots.items() if place[1] != ontology_id}
            self._conditions[ontology_id] = None
            self._keep(ontology_id)
            del self._conditions[ontology_id]

    def take(self, key: str) -> Task | None:
        """Wait until there is something to tell a hook, and give it; None when there will be nothing more."""
        with self._changed:
            while key in self._hooks:
                slot = min(self._waiting(key), key=lambda slot: slot.due, default=None)
                now = self._monotonic()
                if slot is not None and slot.due <= now and (event := slot.take()):
                    return Task(key, self._hooks[key], event, slot.attempts)
                if self._closing.is_set():
                    break
                self._changed.wait(None if slot is None else max(slot.due - now, 0.0))
            self._attended.discard(key)
            return None

    def done(self, task: Task, answer: Answer) -> tuple[Fate, float]:
        """Note how a delivery ended; give what becomes of its event, and the seconds until it is tried again."""
        with self._changed:
            slot = self._slots.get((task.key, task.event.ontology_id, task.event.changes is not None))
            if slot is None or slot.told is not task.event:
                return (Fate.DROPPED if answer.reason else Fate.SENT), 0.0
            fate, wait = self._settle(slot, task, answer)
            self._keep(task.event.ontology_id)
            return fate, wait

    def close(self) -> None:
        """Let those who wait look whether the daemon is about to end."""
        with self._changed:
            self._changed.notify_all()

    def _settle(self, slot: Slot, task: Task, answer: Answer) -> tuple[Fate, float]:
        now = self._monotonic()
        if answer.reason is None:
            slot.delivered(now)
            return Fate.SENT, 0.0
        if slot.is_outdated:
            slot.failed(now + wait_after(answer, 1, self._draw()))
            return Fate.DROPPED, 0.0
        wait = wait_after(answer, slot.attempts, self._draw())
        is_over = answer.is_final or now + wait - slot.since > task.hook.keep_trying
        if is_over and not self._closing.is_set():
            slot.delivered(now)
            return Fate.GIVEN_UP, 0.0
        slot.failed(now + wait)
        return Fate.TRIED_AGAIN, wait

    def _put(self, key: str, event: Event) -> None:
        hook = self._hooks.get(key)
        if hook is None or (hook.sources and event.ontology_id not in hook.sources):
            return
        place = (key, event.ontology_id, event.changes is not None)
        if event.kind in hook.on:
            self._slots.setdefault(place, Slot()).put(event, self._monotonic())
        elif event.changes is None and place in self._slots:
            self._slots[place].put(None, self._monotonic())

    def _waiting(self, key: str) -> list[Slot]:
        """Give what there is to tell a hook; about to end, only what was never tried, and only while there is time."""
        slots = [slot for place, slot in self._slots.items() if place[0] == key and slot.waiting and not slot.told]
        if not self._closing.is_set():
            return slots
        return [slot for slot in slots if slot.attempts == 0 and self._monotonic() < self._closing.ends_at]

    def _keep(self, ontology_id: str) -> None:
        """Write down what is to outlive a restart."""
        untold: dict[str, list[Event]] = {}
        for (key, owner, _), slot in self._slots.items():
            if owner == ontology_id and slot.event:
                untold.setdefault(key, []).append(slot.event)
        try:
            note.store(self._path(ontology_id), Note(self._conditions.get(ontology_id), untold))
        except OSError as error:
            log.warning("state directory not writable", directory=str(self._state), reason=str(error.strerror))

    def _path(self, ontology_id: str) -> Path:
        return note.path_of(self._state, self._database, ontology_id)
