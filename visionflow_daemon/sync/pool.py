"""The worker threads of a process, shared by all passes under way: each has a lane, and they are served in turns."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

import structlog

from visionflow_daemon.errors import ThreadError
from visionflow_daemon.sync.lane import Lane, MakeHandler
from visionflow_daemon.sync.turn import Turns
from visionflow_daemon.sync.worker import Worker

log = structlog.get_logger()

Task = TypeVar("Task")


class Pool:
    """Up to `workers` threads, started when they are first needed, that work until the pool is closed.

    They take from the lanes in turns, task by task. `at_once` is how many may work at the same time, while others wait
    for something; None sets no limit. With SQLite it is one: where every step needs the interpreter lock, and the write
    lock, threads that work at once only hand these to each other, and drop each other's page caches (ADR 0010).
    """

    def __init__(self, workers: int, at_once: int | None = 1) -> None:
        self.lock = threading.Lock()
        self._most = workers
        self._at_once = at_once
        self._active = 0
        self._called = 0
        self._turns: Turns[Lane[Any]] = Turns()
        self._workers: list[Worker] = []
        self._idle: list[Worker] = []
        """Who rests: the last one that has worked is called first, since it has open what is needed."""
        self._back: deque[Worker] = deque()
        """Who is back from a wait: they go on before anything else begins."""
        self._is_closed = False
        self._here = threading.local()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def use(self, workers: int, at_once: int | None) -> None:
        """Have so many workers from now on; who is too many goes when it is through with what it has in hand.

        One of them is started now, lest passes take the last threads that the system lets start, and wait for a worker.
        Raises ThreadError where there is none.
        """
        with self.lock:
            if not self.has_workers:
                self._hire(1)
            if (workers, at_once) != (self._most, self._at_once):
                self._most, self._at_once = workers, at_once
                self._call_all()
                self.call()

    def lane(self, make_handler: MakeHandler[Task], room: int, width: int) -> Lane[Task]:
        """Make a lane whose queue has so much room, for up to `width` of the workers."""
        return Lane(self, make_handler, room, width)

    def close(self) -> None:
        """End the workers; to be called when all lanes are at their end."""
        with self.lock:
            self._is_closed = True
            workers = list(self._workers)
            self._call_all()
        for worker in workers:
            worker.thread.join()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Let others work while something is waited for; by who works, in its handler."""
        worker: Worker | None = getattr(self._here, "worker", None)
        if worker is None:
            yield
            return
        with self.lock:
            self._rest(worker)
            self.call()
        try:
            yield
        finally:
            with self.lock:
                worker.stands_by = True
                self._back.append(worker)
                self.call()
            worker.go.acquire()

    def left_for(self, wait: Callable[[float], None]) -> Callable[[float], None]:
        """Make a wait during which others work."""

        def waiting(seconds: float) -> None:
            with self.away():
                wait(seconds)

        return waiting

    @property
    def has_workers(self) -> bool:
        """Whether any worker is alive."""
        return any(worker.is_alive for worker in self._workers)

    def admit(self, lane: Lane[Any]) -> None:
        """Serve a lane from now on. Raises ThreadError where there is no worker."""
        with self.lock:
            self._turns.join(lane)
            try:
                self._hire(min(self._most, sum(each.width for each in self._turns)))
            except BaseException:
                self._turns.leave(lane)
                raise

    def dismiss(self, lane: Lane[Any]) -> None:
        """Serve a lane no more, and have what was opened for it closed."""
        with self.lock:
            if lane not in self._turns:
                return
            self._turns.leave(lane)
            for worker in self._workers:
                if worker in lane.openers:
                    worker.to_close.append(lane)
            for worker in [each for each in self._idle if each.to_close]:
                self._idle.remove(worker)
                worker.go.release()

    def call(self) -> None:
        """Let as many go on, or come from their rest, as there is work for; to be called with the lock."""
        while self._at_once is None or self._active < self._at_once:
            if self._back:
                worker = self._back.popleft()
                worker.stands_by = False
            elif self._idle and sum(lane.ready for lane in self._turns) > self._called:
                worker = self._idle.pop()
                worker.is_called = True
                self._called += 1
            else:
                return
            worker.may_work = True
            self._active += 1
            worker.go.release()

    def _hire(self, wanted: int) -> None:
        """Start the workers that are missing, as many as the system lets; one is enough."""
        self._workers = [worker for worker in self._workers if worker.is_alive]
        numbers = set(range(1, wanted + 1)) - {each.number for each in self._workers}
        for number in sorted(numbers)[: max(0, wanted - len(self._workers))]:
            worker = Worker(number, self._work, self.lock)
            try:
                worker.thread.start()
            except (RuntimeError, MemoryError) as error:
                if not self._workers:
                    raise ThreadError.of("worker thread", error) from error
                log.warning("fewer workers than wanted", started=len(self._workers), wanted=wanted, reason=str(error))
                return
            self._workers.append(worker)

    def _call_all(self) -> None:
        """Have all who rest look what has changed; with the lock."""
        while self._idle:
            self._idle.pop().go.release()

    def _rest(self, worker: Worker) -> None:
        """Note that a worker does not work; with the lock."""
        if worker.may_work:
            worker.may_work = False
            self._active -= 1

    def _work(self, worker: Worker) -> None:
        self._here.worker = worker
        try:
            while act := self._next(worker):
                act()
        finally:
            worker.close_all()
            with self.lock:
                self._leave(worker)

    def _next(self, worker: Worker) -> Callable[[], None] | None:
        """Wait for what a worker is to do next, and give it; None when it is to go."""
        while True:
            with self.lock:
                self._settle(worker)
                if worker.to_close:
                    worker.at = lane = worker.to_close.pop()
                    lane.hands.add(worker)
                    return partial(worker.close, lane)
                if self._is_closed or len(self._workers) > self._most:
                    self._leave(worker)
                    return None
                if worker.may_work and not self._back and (found := self._turns.next(_is_ready)):
                    worker.at = found
                    return partial(worker.do, found, found.take(worker))
                self._rest(worker)
                self._idle.insert(0 if worker.is_new else len(self._idle), worker)
                worker.is_new = False
                self.call()
            worker.go.acquire()

    def _settle(self, worker: Worker) -> None:
        """Note that a worker has come for more; with the lock."""
        if worker.at is not None:
            worker.at.settle(worker)
            worker.at = None
        if worker.is_called:
            worker.is_called = False
            self._called -= 1

    def _leave(self, worker: Worker) -> None:
        """Count a worker no more; with the lock. What it had in hand stays there: its lane is to notice."""
        self._rest(worker)
        if worker.is_called:
            worker.is_called = False
            self._called -= 1
        if worker in self._workers:
            self._workers.remove(worker)
        self.call()


def _is_ready(lane: Lane[Any]) -> bool:
    return lane.ready > 0
