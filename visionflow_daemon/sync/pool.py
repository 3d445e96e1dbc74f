"""A thread pool behind a bounded queue: a full queue makes the feeder wait, it doesn't grow."""

from __future__ import annotations

import contextvars
import queue
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Generic, TypeVar

Task = TypeVar("Task")
TICK = 0.25
"""Seconds after which a waiting feeder looks up, so that progress shows and a stop is heard."""

MakeHandler = Callable[[], AbstractContextManager[Callable[[Task], None]]]
"""Opens what one worker needs for itself (a connection, a repository), and gives its handler."""


class _End:
    """Put into the queue once for each worker when no more tasks come."""


class Pool(Generic[Task]):
    """Runs one handler over many tasks in several threads.

    A handler deals with its task's failures itself. What it raises all the same ends the pool: the tasks in hand are
    finished, the rest is dropped, and `run` raises it.
    """

    def __init__(self, workers: int, queue_size: int, make_handler: MakeHandler[Task]) -> None:
        self._queue: queue.Queue[Task | _End] = queue.Queue(queue_size)
        self._make_handler = make_handler
        self._dropping = threading.Event()
        self._failures: list[BaseException] = []
        self._threads = [
            # Each in a copy of our context, so that its log lines carry the run.
            threading.Thread(
                target=contextvars.copy_context().run, args=(self._work,), name=f"worker-{number}", daemon=True
            )
            for number in range(1, workers + 1)
        ]

    def run(self, tasks: Iterable[Task], stop: threading.Event, tick: Callable[[], None]) -> bool:
        """Work off all tasks; tell whether that was all, or `stop` was set first. `tick` is called now and then."""
        for thread in self._threads:
            thread.start()
        try:
            is_whole = all(self._put(task, stop, tick) for task in tasks)
            self._end(tick)
        except BaseException:
            self._dropping.set()
            self._end(lambda: None)
            raise
        if self._failures:
            raise self._failures[0]
        return is_whole

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
            try:
                self._queue.put(task, timeout=TICK)
            except queue.Full:
                tick()
            else:
                tick()
                return True
        return False

    def _work(self) -> None:
        try:
            with self._make_handler() as handle:
                while not isinstance(task := self._queue.get(), _End):
                    if not self._dropping.is_set():
                        handle(task)
        except BaseException as error:  # noqa: BLE001 - the feeder raises it again
            self._failures.append(error)
            self._dropping.set()
