"""One pass's way through the pool: a bounded queue, which makes its feeder wait, and what becomes of its tasks."""

from __future__ import annotations

import contextvars
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Generic, Protocol, TypeVar

import structlog

from visionflow_daemon.errors import SystemicError
from visionflow_daemon.sync.meter import Load

log = structlog.get_logger()

Task = TypeVar("Task")
TICK = 0.25
"""Seconds after which a waiting feeder looks up, so that progress shows and a stop is heard."""

MOST_AGAIN = 100
"""Tasks that are put off when memory runs out; beyond, it is no matter of single tasks."""

MORE_MEMORY = (
    "give the process more (MemoryMax= in the unit, `ulimit -v` in a shell), or fewer workers (sync.workers); "
    "what was saved stays saved"
)

MakeHandler = Callable[[], AbstractContextManager[Callable[[Task], None]]]
"""Opens what one worker needs for a lane (a connection, a repository), and gives its handler."""


class Hand(Protocol):
    """A worker, as a lane sees it."""

    @property
    def is_alive(self) -> bool:
        """Whether its thread runs."""

    @property
    def is_idle(self) -> bool:
        """Whether it has nothing in hand, of any lane."""

    @property
    def stands_by(self) -> bool:
        """Whether it is back from a wait, and waits for those that work now."""


class Crew(Protocol):
    """The workers of a pool, as a lane sees them. `lock` guards the state of all lanes."""

    lock: threading.Lock

    def admit(self, lane: Lane[Task]) -> None:
        """Serve a lane from now on. Raises SystemicError where there is no worker."""

    def dismiss(self, lane: Lane[Task]) -> None:
        """Serve a lane no more, and have what was opened for it closed."""

    def call(self) -> None:
        """See that a task that waits is worked on; to be called with the lock."""

    @property
    def has_workers(self) -> bool:
        """Whether any worker is alive."""


class Lane(Generic[Task]):
    """Runs one handler over many tasks, by the workers of a pool, of which others' tasks are done in between.

    A handler deals with its task's failures itself. What it raises all the same ends the lane: the tasks in hand are
    finished, the rest is dropped, and `run` raises it. Only a want of memory doesn't: the worker lets go of all that it
    has opened, and the task is done once more at the end, by one worker at a time. If that fails, too, the lane ends.
    """

    def __init__(self, crew: Crew, make_handler: MakeHandler[Task], room: int, width: int) -> None:
        self.make_handler = make_handler
        self.width = width
        """How many workers may have a task of it in hand at once."""
        self.context = contextvars.copy_context()
        """Handlers run in copies of it, so that their log lines carry the run."""
        self.hands: set[Hand] = set()
        """The workers that work for it: on a task, or on closing what they had opened."""
        self.openers: set[Hand] = set()
        """The workers that have something open for it."""
        self._crew = crew
        self._room = room
        self._refill_at = room // 2
        self._queue: deque[Task] = deque()
        self._news = threading.Event()
        """Set when the feeder is to look: there is room again, or nothing is left, or something failed."""
        self._failures: list[BaseException] = []
        self._again: list[Task] = []
        """Tasks for which the memory did not suffice."""
        self._is_last_try = False
        self._is_dropping = False
        self._has_lost = False

    def run(self, tasks: Iterable[Task], stop: threading.Event, tick: Callable[[], None]) -> bool:
        """Work off all tasks; tell whether that was all, or `stop` was set first. `tick` is called now and then.

        Raises SystemicError where there is no worker, or one alone has too little memory.
        """
        is_whole = self._run(tasks, stop, tick)
        if self._again and is_whole:
            log.warning("too little memory for all workers", files=len(self._again))
            again, self._again = self._again, []
            self._is_last_try, self.width = True, 1
            is_whole = self._run(again, stop, tick)
        return is_whole

    def load(self) -> Load:
        """Say how busy its workers are; from any thread."""
        return Load(len(self._queue), len(self.hands))

    @property
    def waits_for_others(self) -> bool:
        """Whether no worker is at work for it: those that are have others' tasks in hand."""
        with self._crew.lock:
            return all(hand.stands_by for hand in self.hands)

    @property
    def ready(self) -> int:
        """How many more workers could take a task; to be asked with the lock, as all below."""
        return 0 if self._is_dropping else min(len(self._queue), self.width - len(self.hands))

    def take(self, hand: Hand) -> Task:
        """Give a worker the next task, which `settle` ends."""
        self.hands.add(hand)
        task = self._queue.popleft()
        # Woken for each task that goes, the feeder would take the interpreter from the workers as often.
        if len(self._queue) <= self._refill_at and not self._news.is_set():
            self._news.set()
        return task

    def settle(self, hand: Hand) -> None:
        """Note that a worker is through with what it had in hand."""
        self.hands.discard(hand)
        if not self.hands and not self._queue:
            self._news.set()

    def put_off(self, task: Task, error: MemoryError) -> None:
        """Do a task again at the end. Raises SystemicError where that will not help."""
        if self._is_last_try:
            raise SystemicError(f"too little memory, even for one file at a time: {MORE_MEMORY}") from error
        if len(self._again) >= MOST_AGAIN:
            raise SystemicError(f"too little memory for {MOST_AGAIN} files and more: {MORE_MEMORY}") from error
        self._again.append(task)

    def fail(self, error: BaseException) -> None:
        """End the lane; `run` raises the first of such errors. Called without the lock."""
        try:
            self._failures.append(error)
        finally:
            self._is_dropping = True
            self._news.set()

    def _run(self, tasks: Iterable[Task], stop: threading.Event, tick: Callable[[], None]) -> bool:
        self._crew.admit(self)
        try:
            is_whole = all(self._put(task, stop, tick) for task in tasks)
            is_whole = self._drain(stop, tick) and is_whole
            self._close(tick)
        except BaseException:
            self._drop()
            self._drain(stop, _nothing)
            self._close(_nothing)
            raise
        if self._failures:
            raise self._failures[0]
        if self._has_lost:
            # A thread that can't even note its failure leaves no other trace; the checkpoint must not pass over it.
            raise SystemicError(
                "a worker thread ended without a word, with files in its hands; the next pass does them"
            )
        return is_whole

    def _put(self, task: Task, stop: threading.Event, tick: Callable[[], None]) -> bool:
        """Hand a task to the workers, waiting for room; not if they are to stop, or are all gone."""
        while not (stop.is_set() or self._is_dropping):
            if self._put_now(task):
                return True
            # The flag is taken down before the last look: who made room after it raises it again.
            self._news.clear()
            if self._put_now(task):
                return True
            self._pause(tick)
        return False

    def _put_now(self, task: Task) -> bool:
        with self._crew.lock:
            if len(self._queue) >= self._room:
                return False
            self._queue.append(task)
            self._crew.call()
            return True

    def _drain(self, stop: threading.Event, tick: Callable[[], None]) -> bool:
        """Wait until no task is left; tell whether all were done, and none was dropped on the way."""
        is_whole = True
        while True:
            if self._is_dropping or stop.is_set():
                is_whole = self._drop() and is_whole
            self._news.clear()
            with self._crew.lock:
                if not self._queue and not self.hands:
                    return is_whole
            self._pause(tick)

    def _close(self, tick: Callable[[], None]) -> None:
        """Have all closed that was opened; a worker that is at work for another lane does so when it is through."""
        self._crew.dismiss(self)
        while True:
            self._news.clear()
            with self._crew.lock:
                if not self.hands and not any(hand.is_idle and hand.is_alive for hand in self.openers):
                    return
            self._pause(tick)

    def _drop(self) -> bool:
        """Drop what nobody has in hand; tell whether there was nothing."""
        with self._crew.lock:
            self._is_dropping = True
            had = len(self._queue)
            self._queue.clear()
            return not had

    def _pause(self, tick: Callable[[], None]) -> None:
        """Wait for news, and see that there are those who would bring them."""
        self._news.wait(TICK)
        with self._crew.lock:
            gone = {hand for hand in self.hands if not hand.is_alive}
            self.hands -= gone
            if gone or (self._queue and not self._crew.has_workers):
                self._has_lost = True
                self._is_dropping = True
        tick()


def _nothing() -> None:
    """Stand for a tick where nobody is to be told."""
