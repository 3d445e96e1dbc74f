"""Listens to the daemon, tells what is news, and has a thread for each hook that is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

import structlog

from visionflow_daemon.config.values import Config, NotificationConfig
from visionflow_daemon.errors import ExitCode
from visionflow_daemon.model import harmless, timestamp
from visionflow_daemon.ops.hooks.answer import Answer
from visionflow_daemon.ops.hooks.condition import after_failure
from visionflow_daemon.ops.hooks.delivery import deliver
from visionflow_daemon.ops.hooks.event import Changes, Event, Kind, new_id
from visionflow_daemon.ops.hooks.outbox import Fate, Outbox, Task
from visionflow_daemon.ops.hooks.patience import GRACE, Closing, Patience
from visionflow_daemon.ops.observer import Unobserved
from visionflow_daemon.ops.standing import shown, shown_location
from visionflow_daemon.storage.opening import address
from visionflow_daemon.sync.run import Summary

log = structlog.get_logger()

MARGIN = 0.5
"""Seconds that threads may take to end, beyond what deliveries may."""


@dataclass(frozen=True, slots=True)
class _Place:
    location: str
    branch: str | None


class Notifier(Unobserved):
    """An observer that has hooks told of what is news, and never waits for one; `count` is told of each delivery."""

    def __init__(
        self,
        state: Path,
        count: Callable[[str], None] = lambda _: None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._count = count
        self._now = now
        self._closing = Closing()
        self._outbox = Outbox(state, self._closing)
        self._places: dict[str, _Place] = {}
        self._unfinished: set[str] = set()
        """The sources of which an earlier pass may have changed something that was not told."""
        self._threads: list[threading.Thread] = []
        self._base = Path()

    def configured(self, config: Config) -> None:
        """Tell these hooks from now on, and no other."""
        self._base = config.base
        self._outbox.serve(
            address(config.database, config.base).identity, {_key(hook): hook for hook in config.notifications}
        )
        self._attend()

    def close(self) -> None:
        """Give deliveries a moment to end; what is not delivered then is at the next start."""
        self._closing.set()
        self._outbox.close()
        deadline = time.monotonic() + GRACE + MARGIN
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0.0))

    def source_known(self, ontology_id: str, location: str, branch: str | None, interval: float) -> None:  # noqa: ARG002
        """Remember what events say of a source, and let what was left untold be told."""
        if ontology_id not in self._places:
            self._unfinished.add(ontology_id)
        self._places[ontology_id] = _Place(shown_location(location), shown(branch) if branch else None)
        self._outbox.condition(ontology_id)

    def source_gone(self, ontology_id: str) -> None:
        """Tell nothing of a source any more."""
        self._places.pop(ontology_id, None)
        self._outbox.forget(ontology_id)

    def pass_done(self, ontology_id: str, summary: Summary) -> None:
        """Tell that a source is in step again, and what changed; a pass that was stopped is no news."""
        place = self._places.get(ontology_id)
        if place is None:
            return
        if not summary.is_whole:
            self._unfinished.add(ontology_id)
            return
        self._places[ontology_id] = place = _Place(place.location, shown(summary.branch))
        condition = self._outbox.condition(ontology_id)
        events = []
        if condition is not None:
            events.append(self._event(Kind.RECOVERED, ontology_id, place, summary.commit, trouble=condition.trouble))
        if _is_change(summary, is_rest=ontology_id in self._unfinished):
            events.append(self._event(Kind.CHANGED, ontology_id, place, summary.commit, changes=_changes(summary)))
        self._unfinished.discard(ontology_id)
        if events:
            self._outbox.tell(ontology_id, None, events)
            self._attend()

    def pass_failed(self, ontology_id: str, reason: str, code: ExitCode, mark: str | None = None) -> None:
        """Tell that a source fails, or is held, where that is news."""
        place = self._places.get(ontology_id)
        if place is None:
            return
        self._unfinished.add(ontology_id)
        before = self._outbox.condition(ontology_id)
        condition, is_news = after_failure(before, shown(reason), code, mark, timestamp(self._now()))
        event = self._event(condition.kind, ontology_id, place, None, trouble=condition.trouble)
        self._outbox.tell(ontology_id, condition, [event] if is_news else [])
        self._attend()

    def _event(self, kind: Kind, ontology_id: str, place: _Place, commit: str | None, **more: object) -> Event:
        at = timestamp(self._now())
        return Event(kind, new_id(), at, ontology_id, place.location, place.branch, commit, **more)  # type: ignore[arg-type]

    def _attend(self) -> None:
        """See that each hook has a thread. Where the system lets none start, the next event asks again."""
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        for key in self._outbox.attend():
            thread = threading.Thread(target=self._work, args=(key,), name="hook", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                self._outbox.leave(key)
                log.warning("notifications wait", reason=str(error))
            else:
                self._threads.append(thread)

    def _work(self, key: str) -> None:
        try:
            while task := self._outbox.take(key):
                with structlog.contextvars.bound_contextvars(ontology_id=task.event.ontology_id):
                    self._tell(task)
        except BaseException:
            self._outbox.leave(key)
            raise

    def _tell(self, task: Task) -> None:
        started = time.monotonic()
        try:
            answer = deliver(task.hook, self._base, task.event, Patience(task.hook.timeout, self._closing))
        except Exception as error:
            log.exception("notification fault", hook=harmless(task.hook.shown))
            answer = Answer(f"a fault of the program: {type(error).__name__}")
        fate, wait = self._outbox.done(task, answer)
        hook, kind, reason = harmless(task.hook.shown), task.event.kind.value, harmless(answer.reason or "")
        match fate:
            case Fate.SENT:
                seconds = round(time.monotonic() - started, 3)
                log.info("notification sent", hook=hook, notification=kind, attempt=task.attempt, seconds=seconds)
                self._count("sent")
            case Fate.GIVEN_UP:
                log.warning("notification given up", hook=hook, notification=kind, attempt=task.attempt, reason=reason)
                self._count("given_up")
            case _:
                log.info(
                    "notification not sent",
                    hook=hook,
                    notification=kind,
                    attempt=task.attempt,
                    reason=reason,
                    wait=round(wait, 1),
                )
                self._count("failed")


def _key(hook: NotificationConfig) -> str:
    """Name a hook by whom it tells of which sources, so that it is known again after a restart."""
    return sha256(repr((hook.command, hook.url, hook.url_file, hook.sources)).encode()).hexdigest()[:16]


def _is_change(summary: Summary, *, is_rest: bool) -> bool:
    """Tell a pass that changed something from one that met old failures again, or a commit that is about other files.

    The rest of passes that did not come through may be no more than the checkpoint.
    """
    tally = summary.tally
    is_other_commit = summary.run_id is not None and summary.commit != summary.from_commit
    return tally.done > tally.failed or (is_other_commit and (is_rest or tally.failed > 0))


def _changes(summary: Summary) -> Changes:
    tally = summary.tally
    counts = (tally.saved, tally.skipped, tally.failed, tally.deleted)
    return Changes(summary.from_commit, 1, *counts, summary.ledger, round(summary.seconds, 3))
