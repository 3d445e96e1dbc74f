"""A thread pool behind a bounded queue: a full queue makes the feeder wait, it doesn't grow."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from itertools import count
from typing import Generic, TypeVar

import structlog

from visionflow_daemon.errors import SystemicError
from visionflow_daemon.sync.meter import Load
from visionflow_daemon.sync.turn import Turn

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
"""Opens what one worker needs for itself (a connection, a repository), and gives its handler."""


class _End:
    """Put into the queue once for each worker when no more tasks come."""


class Pool(Generic[Task]):
    """Runs one handler over many tasks in several threads; with a turn, they work one at a time.

    A handler deals with its task's failures itself. What it raises all the same ends the pool: the tasks in hand are
    finished, the rest is dropped, and `run` raises it. Only a want of memory doesn't: the worker lets go of all that it
    has opened, and the task is done once more at the end, by one worker alone. If that fails, too, the pool ends.
    """

    def __init__(
        self, workers: int, queue_size: int, make_handler: MakeHandler[Task], turn: Turn | None = None
    ) -> None:
        self._queue: queue.Queue[Task | _End] = queue.Queue(queue_size)
        self._refill_at = queue_size // 2
        self._has_room = threading.Event()
        self._make_handler = make_handler
        self._turn = turn
        self._dropping = threading.Event()
        self._failures: list[BaseException] = []
        self._again: list[Task] = []
        """Tasks for which the memory did not suffice."""
        self._is_last_try = False
        self._in_hand: deque[Task] = deque()
        """Tasks that a handler works on, in no order: to add and to take away are one step each."""
        self._finished = count()
        """Counts tasks; `next` is one step that no other thread gets in between."""
        self._threads = [self._thread(f"worker-{number}") for number in range(1, workers + 1)]

    def run(self, tasks: Iterable[Task], stop: threading.Event, tick: Callable[[], None]) -> bool:
        """Work off all tasks; tell whether that was all, or `stop` was set first. `tick` is called now and then.

        Raises SystemicError where no worker can be started, or one alone has too little memory.
        """
        is_whole = self._run(tasks, stop, tick)
        if self._again and is_whole:
            log.warning("too little memory for all workers", files=len(self._again))
            self._is_last_try = True
            self._threads = [self._thread("worker-alone")]
            is_whole = self._run(self._again, stop, tick)
        return is_whole

    def load(self) -> Load:
        """Say how busy the workers are; from any thread."""
        with self._queue.mutex:
            queued = sum(not isinstance(task, _End) for task in self._queue.queue)
        return Load(queued, len(self._in_hand))

    def _run(self, tasks: Iterable[Task], stop: threading.Event, tick: Callable[[], None]) -> bool:
        self._finished = count()
        given = 0
        self._start()
        try:
            is_whole = True
            for task in tasks:
                if not (is_whole := self._put(task, stop, tick)):
                    break
                given += 1
            self._end(tick)
        except BaseException:
            self._dropping.set()
            self._end(lambda: None)
            raise
        if self._failures:
            raise self._failures[0]
        is_done = is_whole and next(self._finished) >= given
        if not is_done and not stop.is_set():
            # A thread that can't even note its failure leaves no other trace; the checkpoint must not pass over it.
            raise SystemicError(
                "a worker thread ended without a word, with files in its hands; the next pass does them"
            )
        return is_done

    def _thread(self, name: str) -> threading.Thread:
        # In a copy of our context, so that its log lines carry the run.
        return threading.Thread(target=contextvars.copy_context().run, args=(self._work,), name=name, daemon=True)

    def _start(self) -> None:
        """Start the workers, as many as the system lets; one is enough."""
        for number, thread in enumerate(self._threads):
            try:
                thread.start()
            except (RuntimeError, MemoryError) as error:
                if not number:
                    raise SystemicError(
                        f"the system lets no worker thread start ({error}): raise the limit of tasks (TasksMax= in the "
                        "unit, `ulimit -u` in a shell) or of memory; what was saved stays saved"
                    ) from error
                log.warning("fewer workers than wanted", started=number, wanted=len(self._threads), reason=str(error))
                del self._threads[number:]
                return

    def _end(self, tick: Callable[[], None]) -> None:
        """Tell each worker that no more tasks come, and wait until all have gone."""
        for _ in self._threads:
            self._put(_End(), None, tick)
        for thread in self._threads:
            while thread.is_alive():
                thread.join(TICK)
                tick()

    def _put(self, task: Task | _End, stop: threading.Event | None, tick: Callable[[], None]) -> bool:
        """Hand a task to the workers, waiting for room; not if they are to stop, or are all gone."""
        while any(thread.is_alive() for thread in self._threads):
            if stop is not None and (stop.is_set() or self._dropping.is_set()):
                self._dropping.set()
                return False
            if self._put_now(task):
                return True
            # Woken for each task that goes, the feeder would take the interpreter from the workers as often. The
            # flag is taken down before the last look: who made room after it raises it again.
            self._has_room.clear()
            if self._put_now(task):
                return True
            self._has_room.wait(TICK)
            tick()
        return False

    def _put_now(self, task: Task | _End) -> bool:
        try:
            self._queue.put_nowait(task)
        except queue.Full:
            return False
        return True

    def _take(self) -> Task | _End:
        task = self._queue.get()
        if self._queue.qsize() <= self._refill_at and not self._has_room.is_set():
            self._has_room.set()
        return task

    def _work(self) -> None:
        try:
            with self._turn or nullcontext():
                task = self._take()
                while not isinstance(task, _End):  # nothing is opened for a worker that never gets to work
                    task = self._work_from(task)
        except BaseException as error:  # noqa: BLE001 - the feeder raises it again
            self._failures.append(error)
            self._dropping.set()

    def _work_from(self, task: Task | _End) -> Task | _End:
        """Open what a worker needs and work off tasks, up to the end, or until memory runs out; give the next one."""
        try:
            with self._make_handler() as handle:
                while not isinstance(task, _End):
                    if not self._dropping.is_set():
                        self._in_hand.append(task)
                        try:
                            handle(task)
                        finally:
                            self._in_hand.pop()
                    next(self._finished)
                    if self._turn is not None:
                        self._turn.give_way()
                    task = self._take()
        except MemoryError as error:
            if isinstance(task, _End):
                return task
            if self._is_last_try:
                raise SystemicError(f"too little memory, even for one file at a time: {MORE_MEMORY}") from error
            if len(self._again) >= MOST_AGAIN:
                raise SystemicError(f"too little memory for {MOST_AGAIN} files and more: {MORE_MEMORY}") from error
            self._again.append(task)
            next(self._finished)
            task = self._take()
        return task
