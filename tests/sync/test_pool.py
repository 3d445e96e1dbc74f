"""The thread pool: bounded, stopped by what goes wrong, and neither losing nor repeating a task."""

from __future__ import annotations

import contextvars
import itertools
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest

from visionflow_daemon.errors import SystemicError
from visionflow_daemon.sync.lane import MakeHandler
from visionflow_daemon.sync.pool import Pool

DEADLINE = 20.0


class Worker:
    """Opens and closes handlers, and counts what they were given."""

    def __init__(self, act: Callable[[int], None] = lambda _: None) -> None:
        self.done: list[int] = []
        self.opened: list[str] = []
        self.closed: list[str] = []
        self._act = act

    @contextmanager
    def make(self) -> Iterator[Callable[[int], None]]:
        """Open one worker's handler."""
        name = threading.current_thread().name
        self.opened.append(name)
        try:
            yield self._handle
        finally:
            self.closed.append(name)

    def _handle(self, task: int) -> None:
        self._act(task)
        self.done.append(task)


def nothing() -> None:
    """Stand for a tick that does nothing."""


def run(
    workers: int,
    room: int,
    make: MakeHandler[int],
    tasks: Iterable[int],
    stop: threading.Event | None = None,
    tick: Callable[[], None] = nothing,
    at_once: int | None = None,
) -> bool:
    """Work off tasks in the one lane of a pool."""
    with Pool(workers, at_once) as pool:
        return pool.lane(make, room, workers).run(tasks, stop or threading.Event(), tick)


def alive() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("worker-")]


@pytest.mark.parametrize("workers", range(1, 9))
def test_every_task_is_done_once_with_any_number_of_workers(workers: int) -> None:
    worker = Worker()
    assert run(workers, 3, worker.make, range(2_000)) is True
    assert Counter(worker.done) == Counter(range(2_000))
    assert sorted(worker.opened) == sorted(worker.closed)
    assert set(worker.opened) <= {f"worker-{number}" for number in range(1, workers + 1)}
    assert len(worker.opened) == len(set(worker.opened)) > 0
    assert alive() == []


def test_one_worker_keeps_the_order() -> None:
    worker = Worker()
    run(1, 4, worker.make, range(500))
    assert worker.done == list(range(500))


def test_no_tasks_are_work_well_done() -> None:
    worker = Worker()
    assert run(3, 2, worker.make, []) is True
    assert worker.done == []


@pytest.mark.parametrize(("workers", "room"), [(1, 1), (1, 5), (4, 2), (8, 32)])
def test_the_feeder_is_never_more_than_queue_and_workers_ahead(workers: int, room: int) -> None:
    worker = Worker()
    ahead: list[int] = []

    def tasks() -> Iterator[int]:
        for number in range(3_000):
            ahead.append(number - len(worker.done))
            yield number

    run(workers, room, worker.make, tasks())
    assert max(ahead) <= workers + room


@pytest.mark.parametrize(("workers", "room"), [(1, 1), (3, 4)])
def test_a_full_queue_makes_the_feeder_wait_and_tick(workers: int, room: int) -> None:
    gate = threading.Event()
    pulled: list[int] = []
    seen: list[int] = []

    def tasks() -> Iterator[int]:
        for number in range(50):
            pulled.append(number)
            yield number

    def tick() -> None:
        seen.append(len(pulled))
        if len(seen) > 1 and seen[-1] == seen[-2]:
            gate.set()  # the feeder came round twice without handing a task over

    worker = Worker(lambda _: None if gate.wait(DEADLINE) else pytest.fail("the feeder never waited"))
    assert run(workers, room, worker.make, tasks(), tick=tick) is True
    waited = next(now for before, now in pairwise(seen) if before == now)
    assert waited == workers + room + 1  # one is in the feeder's hand
    assert sorted(worker.done) == list(range(50))


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_a_handler_that_raises_ends_the_pool_and_run_raises_it(workers: int) -> None:
    def act(task: int) -> None:
        if task == 20:
            raise ZeroDivisionError("task 20")

    worker = Worker(act)
    pulled: list[int] = []

    def tasks() -> Iterator[int]:
        for number in range(100_000):
            pulled.append(number)
            yield number

    with pytest.raises(ZeroDivisionError, match="task 20"):
        run(workers, 4, worker.make, tasks())
    assert len(pulled) < 100_000
    assert 20 not in worker.done
    assert len(set(worker.done)) == len(worker.done)
    assert sorted(worker.opened) == sorted(worker.closed)
    assert alive() == []


@pytest.mark.parametrize("at_once", [None, 1])
def test_nothing_more_is_begun_once_a_task_has_failed(at_once: int | None) -> None:
    def act(task: int) -> None:
        if task == 20:
            raise ZeroDivisionError

    worker = Worker(act)
    with pytest.raises(ZeroDivisionError):
        run(1, 8, worker.make, range(100), at_once=at_once)
    assert worker.done == list(range(20))


def test_the_tasks_in_hand_are_finished_when_another_one_fails() -> None:
    both = threading.Barrier(2, timeout=DEADLINE)
    failed = threading.Event()

    def act(task: int) -> None:
        both.wait()
        if task == 0:
            failed.set()
            raise ZeroDivisionError
        assert failed.wait(DEADLINE)

    worker = Worker(act)
    with pytest.raises(ZeroDivisionError):
        run(2, 2, worker.make, [0, 1])
    assert worker.done == [1]


def test_a_base_exception_of_a_handler_is_no_different() -> None:
    def act(_: int) -> None:
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        run(2, 2, Worker(act).make, range(50))


@pytest.mark.parametrize("workers", [1, 4])
def test_workers_that_cannot_start_end_the_pool(workers: int) -> None:
    @contextmanager
    def make() -> Iterator[Callable[[int], None]]:
        raise ConnectionError("no connection")
        yield lambda _: None

    with pytest.raises(ConnectionError, match="no connection"):
        run(workers, 2, make, range(100_000))


def test_tasks_that_fail_to_come_end_the_pool() -> None:
    def tasks() -> Iterator[int]:
        yield 1
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        run(2, 2, Worker().make, tasks())
    assert alive() == []


def test_a_stop_before_the_start_does_nothing() -> None:
    stop, worker = threading.Event(), Worker()
    stop.set()
    assert run(4, 2, worker.make, range(10), stop) is False
    assert worker.done == []


@pytest.mark.parametrize("workers", [1, 4])
def test_a_stop_on_the_way_finishes_what_is_in_hand_and_drops_the_rest(workers: int) -> None:
    stop = threading.Event()
    worker = Worker(lambda task: stop.set() if task == 30 else None)
    assert run(workers, 4, worker.make, range(100_000), stop) is False
    assert 30 in worker.done
    assert len(worker.done) < 100_000
    assert len(set(worker.done)) == len(worker.done)
    assert alive() == []


def test_workers_see_the_context_of_whoever_made_the_lane() -> None:
    name = contextvars.ContextVar("name", default="nobody")
    seen: list[str] = []
    token = name.set("run 7")
    with Pool(2) as pool:
        try:
            lane = pool.lane(Worker(lambda _: seen.append(name.get())).make, 2, 2)
        finally:
            name.reset(token)
        lane.run(range(8), threading.Event(), nothing)
    assert seen == ["run 7"] * 8


def test_a_tick_that_raises_leaves_no_worker_behind() -> None:
    begun, gate = threading.Event(), threading.Event()
    worker = Worker(lambda _: begun.set() or gate.wait(DEADLINE) or None)

    def tick() -> None:
        assert begun.wait(DEADLINE)
        gate.set()
        raise ZeroDivisionError("tick")

    with pytest.raises(ZeroDivisionError, match="tick"):
        run(2, 2, worker.make, range(10), tick=tick)
    left = alive()
    for thread in left:
        thread.join(1.0)
    assert left == []
    assert sorted(worker.opened) == sorted(worker.closed)


def test_a_tick_that_raises_while_all_is_closed_is_no_different() -> None:
    gate, closing = threading.Event(), threading.Event()

    @contextmanager
    def make() -> Iterator[Callable[[int], None]]:
        yield lambda _: None
        closing.set()
        assert gate.wait(DEADLINE)

    def tick() -> None:
        if closing.is_set():
            gate.set()
            raise ZeroDivisionError("tick")

    with pytest.raises(ZeroDivisionError, match="tick"):
        run(2, 2, make, range(10), tick=tick)
    assert alive() == []


def out_of_memory_at(first: set[int], again: Collection[int] = ()) -> Callable[[int], None]:
    """Make an act that runs out of memory at the first try of some tasks, and at each try of others."""
    seen: set[int] = set()

    def act(task: int) -> None:
        if task in again or (task in first and task not in seen):
            seen.add(task)
            raise MemoryError

    return act


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_tasks_for_which_memory_did_not_suffice_are_done_again_by_one_worker_at_the_end(workers: int) -> None:
    at_work, most = set[int](), list[int]()
    runs_out = out_of_memory_at({0, 7, 99})

    def act(task: int) -> None:
        at_work.add(task)
        try:
            most.append(len(at_work))
            runs_out(task)
        finally:
            at_work.remove(task)

    worker = Worker(act)
    assert run(workers, 4, worker.make, range(100)) is True
    assert Counter(worker.done) == Counter(range(100))
    assert set(worker.done[-3:]) == {0, 7, 99}
    assert most[-3:] == [1, 1, 1]
    assert sorted(worker.opened) == sorted(worker.closed), "what a worker had opened was not let go of"
    assert alive() == []


def test_a_task_for_which_one_worker_alone_has_too_little_memory_ends_the_pool() -> None:
    worker = Worker(out_of_memory_at({3}, {7}))
    with pytest.raises(SystemicError, match="too little memory, even for one file at a time"):
        run(4, 4, worker.make, range(100))
    assert 7 not in worker.done
    assert alive() == []


def test_memory_that_lacks_for_everything_ends_the_pool_soon() -> None:
    pulled: list[int] = []

    def tasks() -> Iterator[int]:
        for number in range(100_000):
            pulled.append(number)
            yield number

    def act(_: int) -> None:
        raise MemoryError

    with pytest.raises(SystemicError, match="too little memory for 100 files and more"):
        run(2, 4, Worker(act).make, tasks())
    assert len(pulled) < 200


def test_a_worker_that_has_no_memory_to_open_what_it_needs_leaves_its_task_to_the_others() -> None:
    calls = itertools.count()
    worker = Worker()

    @contextmanager
    def make() -> Iterator[Callable[[int], None]]:
        if not next(calls):
            raise MemoryError
        with worker.make() as handle:
            yield handle

    assert run(3, 4, make, range(100)) is True
    assert Counter(worker.done) == Counter(range(100))


class Dies(BaseException):
    """What ends a worker at its last step."""


@pytest.mark.parametrize("at_once", [None, 1])
def test_a_worker_that_ends_without_a_word_is_missed(monkeypatch: pytest.MonkeyPatch, at_once: int | None) -> None:
    def act(task: int) -> None:
        if task == 50:
            raise Dies

    worker = Worker(act)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    with Pool(2, at_once) as pool:
        lane = pool.lane(worker.make, 4, 2)
        monkeypatch.setattr(lane, "_failures", _Refuses())
        with pytest.raises(SystemicError, match="a worker thread ended without a word"):
            lane.run(range(100), threading.Event(), nothing)
        assert sorted(worker.opened) == sorted(worker.closed)
        assert pool.lane(worker.make, 4, 2).run(range(51, 100), threading.Event(), nothing), "nobody took its place"
    assert alive() == []


class _Refuses(list[BaseException]):
    def append(self, _: BaseException) -> None:
        raise MemoryError


@pytest.mark.parametrize("lets", [1, 3])
def test_as_many_workers_as_the_system_lets_start_do_all(monkeypatch: pytest.MonkeyPatch, lets: int) -> None:
    start, started = threading.Thread.start, itertools.count()

    def limited(thread: threading.Thread) -> None:
        if next(started) >= lets:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    worker = Worker()
    assert run(8, 4, worker.make, range(500)) is True
    assert Counter(worker.done) == Counter(range(500))
    assert set(worker.opened) <= {f"worker-{number}" for number in range(1, lets + 1)}


def test_without_a_single_worker_the_pool_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    with pytest.raises(SystemicError, match=r"lets no worker thread start .*TasksMax"):
        run(8, 4, Worker().make, range(500))
