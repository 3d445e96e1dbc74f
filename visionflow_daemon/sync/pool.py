"""The worker threads of a process, shared by all passes under way: each has a lane, and they are served in turns."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import Context
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Any, Self, TypeVar

import structlog

from visionflow_daemon.errors import SystemicError
from visionflow_daemon.sync.lane import Lane, MakeHandler
from visionflow_daemon.sync.turn import Turns

log = structlog.get_logger()

Task = TypeVar("Task")


@dataclass(frozen=True, slots=True)
class _Opened:
    """What a worker has opened for a lane, and the context in which it works for it."""

    context: Context
    held: AbstractContextManager[Callable[[Any], None]]
    handle: Callable[[Any], None]


class _Worker:
    """One thread. Its state is guarded by the pool's lock, but for what it has opened, which is its own."""

    def __init__(self, number: int, work: Callable[[_Worker], None]) -> None:
        self.thread = threading.Thread(target=work, args=(self,), name=f"worker-{number}", daemon=True)
        self.go = threading.Lock()
        """Released to call it from its rest, or to let it go on after a wait."""
        self.go.acquire()
        self.at: Lane[Any] | None = None
        self.is_new = True
        self.may_work = False
        self.is_called = False
        """Whether it was called for a task, and has not come to take it yet."""
        self.stands_by = False
        self.to_close: list[Lane[Any]] = []
        self.opened: dict[Lane[Any], _Opened] = {}

    @property
    def is_alive(self) -> bool:
        """Whether its thread runs."""
        return self.thread.is_alive()

    @property
    def is_idle(self) -> bool:
        """Whether it has nothing in hand."""
        return self.at is None


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
        self._workers: list[_Worker] = []
        self._idle: list[_Worker] = []
        """Who rests: the last one that has worked is called first, since it has open what is needed."""
        self._back: deque[_Worker] = deque()
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
        """Have so many workers from now on; who is too many goes when it is through with what it has in hand."""
        with self.lock:
            if (workers, at_once) != (self._most, self._at_once):
                self._most, self._at_once = workers, at_once
                self._call_all()

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
        worker: _Worker | None = getattr(self._here, "worker", None)
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
        """Serve a lane from now on. Raises SystemicError where there is no worker."""
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
        numbers = set(range(1, wanted + 1)) - {int(each.thread.name.rpartition("-")[2]) for each in self._workers}
        for number in sorted(numbers)[: max(0, wanted - len(self._workers))]:
            worker = _Worker(number, self._work)
            try:
                worker.thread.start()
            except (RuntimeError, MemoryError) as error:
                if not self._workers:
                    raise SystemicError(
                        f"the system lets no worker thread start ({error}): raise the limit of tasks (TasksMax= in the "
                        "unit, `ulimit -u` in a shell) or of memory; what was saved stays saved"
                    ) from error
                log.warning("fewer workers than wanted", started=len(self._workers), wanted=wanted, reason=str(error))
                return
            self._workers.append(worker)

    def _call_all(self) -> None:
        """Have all who rest look what has changed; with the lock."""
        while self._idle:
            self._idle.pop().go.release()

    def _rest(self, worker: _Worker) -> None:
        """Note that a worker does not work; with the lock."""
        if worker.may_work:
            worker.may_work = False
            self._active -= 1

    def _work(self, worker: _Worker) -> None:
        self._here.worker = worker
        try:
            while act := self._next(worker):
                act()
        finally:
            for lane in list(worker.opened):
                self._close(worker, lane)
            with self.lock:
                self._leave(worker)

    def _next(self, worker: _Worker) -> Callable[[], None] | None:
        """Wait for what a worker is to do next, and give it; None when it is to go."""
        while True:
            with self.lock:
                self._settle(worker)
                if worker.to_close:
                    worker.at = lane = worker.to_close.pop()
                    lane.hands.add(worker)
                    return partial(self._close, worker, lane)
                if self._is_closed or len(self._workers) > self._most:
                    self._leave(worker)
                    return None
                if worker.may_work and not self._back and (found := self._turns.next(_is_ready)):
                    worker.at = found
                    return partial(self._do, worker, found, found.take(worker))
                self._rest(worker)
                self._idle.insert(0 if worker.is_new else len(self._idle), worker)
                worker.is_new = False
                self.call()
            worker.go.acquire()

    def _settle(self, worker: _Worker) -> None:
        """Note that a worker has come for more; with the lock."""
        if worker.at is not None:
            worker.at.settle(worker)
            worker.at = None
        if worker.is_called:
            worker.is_called = False
            self._called -= 1

    def _leave(self, worker: _Worker) -> None:
        """Count a worker no more; with the lock. What it had in hand stays there: its lane is to notice."""
        self._rest(worker)
        if worker.is_called:
            worker.is_called = False
            self._called -= 1
        if worker in self._workers:
            self._workers.remove(worker)
        self.call()

    def _do(self, worker: _Worker, lane: Lane[Task], task: Task) -> None:
        try:
            opened = worker.opened.get(lane) or self._open(worker, lane)
            opened.context.run(opened.handle, task)
        except MemoryError as error:
            for each in list(worker.opened):
                self._close(worker, each)
            try:
                lane.put_off(task, error)
            except SystemicError as failure:
                lane.fail(failure)
        except BaseException as error:  # noqa: BLE001 - the lane's feeder raises it again
            lane.fail(error)

    def _open(self, worker: _Worker, lane: Lane[Task]) -> _Opened:
        context, held = lane.context.copy(), lane.make_handler()
        opened = worker.opened[lane] = _Opened(context, held, context.run(held.__enter__))
        with self.lock:
            lane.openers.add(worker)
        return opened

    def _close(self, worker: _Worker, lane: Lane[Any]) -> None:
        opened = worker.opened.pop(lane, None)
        try:
            if opened is not None:
                opened.context.run(opened.held.__exit__, None, None, None)
        except BaseException as error:  # noqa: BLE001 - as above
            lane.fail(error)
        finally:
            with self.lock:
                lane.openers.discard(worker)


def _is_ready(lane: Lane[Any]) -> bool:
    return lane.ready > 0
