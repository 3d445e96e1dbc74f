"""Several lanes of one pool: served in turns, and what happens in one is no matter of another."""

from __future__ import annotations

import contextvars
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.sync.test_pool import DEADLINE, Worker, alive, nothing
from visionflow_daemon.errors import SystemicError
from visionflow_daemon.sync.pool import Pool

AT_ONCE = [None, 1]


class Lanes:
    """Lanes of one pool by name, each run in a thread of its own, as a pass does."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.order: list[str] = []
        self.result: dict[str, object] = {}
        self.stops: dict[str, threading.Event] = {}
        self._threads: list[threading.Thread] = []

    def run(
        self,
        name: str,
        count: int,
        act: Callable[[int], None] = lambda _: None,
        at_end: Callable[[], object] = lambda: None,
    ) -> Worker:
        """Begin to work off so many tasks; `at_end` is called when all are in the queue, or were."""

        def note(task: int) -> None:
            act(task)
            self.order.append(name)

        worker = Worker(note)
        stop = self.stops[name] = threading.Event()

        def tasks() -> Iterator[int]:
            yield from range(count)
            at_end()

        def work() -> None:
            try:
                self.result[name] = self.pool.lane(worker.make, 8, 8).run(tasks(), stop, nothing)
            except BaseException as error:  # noqa: BLE001 - it is looked at
                self.result[name] = error

        thread = threading.Thread(target=work)
        self._threads.append(thread)
        thread.start()
        return worker

    def join(self) -> None:
        """Wait for all."""
        for thread in self._threads:
            thread.join(DEADLINE)
            assert not thread.is_alive()


@contextmanager
def lanes(workers: int, at_once: int | None) -> Iterator[Lanes]:
    with Pool(workers, at_once) as pool:
        made = Lanes(pool)
        yield made
        made.join()
    assert alive() == []


@pytest.mark.parametrize("at_once", AT_ONCE)
@pytest.mark.parametrize("workers", [1, 2, 8])
def test_every_task_of_every_lane_is_done_once(workers: int, at_once: int | None) -> None:
    with lanes(workers, at_once) as held:
        made = {f"lane {number}": held.run(f"lane {number}", 300) for number in range(10)}
    assert held.result == dict.fromkeys(made, True)
    for worker in made.values():
        assert Counter(worker.done) == Counter(range(300))
        assert sorted(worker.opened) == sorted(worker.closed)


def test_lanes_that_have_work_are_served_task_by_task() -> None:
    with lanes(1, 1) as held:
        gate, begun = threading.Event(), threading.Event()
        queued = threading.Barrier(4, timeout=DEADLINE)
        held.run("first", 1, lambda _: begun.set() or gate.wait(DEADLINE) or None)
        assert begun.wait(DEADLINE)
        for name in "abc":
            held.run(name, 8, at_end=queued.wait)
        queued.wait()
        gate.set()
    served = "".join(held.order[1:])
    assert len(served) == 24
    for at in range(0, 24, 3):
        assert sorted(served[at : at + 3]) == ["a", "b", "c"], served


@pytest.mark.parametrize("at_once", AT_ONCE)
def test_one_task_waits_for_about_one_of_each_other_lane(at_once: int | None) -> None:
    began, waited = [0], list[int]()

    def tasks() -> Iterator[int]:
        began[0] = len(held.order)
        yield 1

    with lanes(2, at_once) as held:
        for number in range(5):
            held.run(f"large {number}", 1_000_000)
        for _ in range(21):
            worker = Worker(lambda _: waited.append(len(held.order) - began[0]))
            assert held.pool.lane(worker.make, 4, 1).run(tasks(), threading.Event(), nothing)
        for stop in held.stops.values():
            stop.set()
    # Between the look at the order and the place in the queue, the others go on for a moment.
    assert sorted(waited)[10] <= 5 + 10, waited


@pytest.mark.parametrize("at_once", AT_ONCE)
@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit])
def test_what_a_handler_raises_ends_its_own_lane_alone(at_once: int | None, error: type[BaseException]) -> None:
    def act(task: int) -> None:
        if task == 20:
            raise error

    with lanes(3, at_once) as held:
        good = held.run("good", 3_000)
        bad = held.run("bad", 100_000, act)
        other = held.run("other", 3_000)
    assert isinstance(held.result["bad"], error)
    assert (held.result["good"], held.result["other"]) == (True, True)
    assert Counter(good.done) == Counter(other.done) == Counter(range(3_000))
    assert len(bad.done) < 100
    for worker in (good, bad, other):
        assert sorted(worker.opened) == sorted(worker.closed)


@pytest.mark.parametrize("at_once", AT_ONCE)
def test_a_stop_of_one_lane_leaves_the_others_alone(at_once: int | None) -> None:
    with lanes(2, at_once) as held:
        stopped = held.run("stopped", 1_000_000, lambda task: held.stops["stopped"].set() if task == 30 else None)
        good = held.run("good", 3_000)
    assert held.result == {"stopped": False, "good": True}
    assert len(stopped.done) < 1_000
    assert Counter(good.done) == Counter(range(3_000))


@pytest.mark.parametrize("at_once", AT_ONCE)
def test_a_want_of_memory_is_a_matter_of_its_lane(at_once: int | None) -> None:
    tried = Counter[int]()

    def act(task: int) -> None:
        tried[task] += 1
        if task % 10 == 0 and tried[task] == 1:
            raise MemoryError

    def never(_: int) -> None:
        raise MemoryError

    with lanes(4, at_once) as held:
        short = held.run("short", 100, act)
        good = held.run("good", 2_000)
        hopeless = held.run("hopeless", 1_000, never)
    assert held.result["short"] is held.result["good"] is True
    assert Counter(short.done) == Counter(range(100))
    assert Counter(good.done) == Counter(range(2_000))
    assert isinstance(held.result["hopeless"], SystemicError)
    for worker in (short, good, hopeless):
        assert sorted(worker.opened) == sorted(worker.closed)


def test_a_handler_runs_in_the_context_of_its_lane() -> None:
    name = contextvars.ContextVar("name", default="nobody")
    seen: dict[str, set[str]] = {"a": set(), "b": set()}
    with Pool(2, 1) as pool:
        made = {}
        for each, names in seen.items():
            token = name.set(each)
            made[each] = pool.lane(Worker(lambda _, names=names: names.add(name.get())).make, 4, 2)  # type: ignore[misc]
            name.reset(token)
        threads = [
            threading.Thread(target=lane.run, args=(range(500), threading.Event(), nothing)) for lane in made.values()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE)
    assert seen == {"a": {"a"}, "b": {"b"}}


def test_with_one_at_once_the_worker_that_rested_last_goes_on() -> None:
    worker = Worker()
    with Pool(4, 1) as pool:
        for _ in range(20):
            assert pool.lane(worker.make, 8, 4).run(range(20), threading.Event(), nothing)
    assert len(worker.opened) == 20
    assert len(set(worker.opened)) == 1


def test_who_waits_leaves_its_turn_to_other_lanes() -> None:
    with lanes(3, 1) as held:
        later = threading.Event()

        def act(task: int) -> None:
            if task == 0:
                with held.pool.away():
                    assert later.wait(DEADLINE), "nobody else worked meanwhile"

        held.run("waiting", 1, act)
        held.run("other", 100, lambda task: later.set() if task == 50 else None)
    assert held.result == {"waiting": True, "other": True}


def test_a_lane_that_is_over_does_not_wait_for_a_worker_that_has_another_lanes_task_in_hand() -> None:
    gate, begun = threading.Event(), threading.Event()
    both = threading.Barrier(3, timeout=DEADLINE)
    with lanes(2, None) as held:
        slow: list[Worker] = []

        def begin_slow() -> None:
            both.wait()
            slow.append(held.run("slow", 1, lambda _: begun.set() or gate.wait(DEADLINE) or None))
            assert begun.wait(DEADLINE)

        first = held.run("first", 2, lambda _: both.wait() and None, at_end=begin_slow)
        until = time.monotonic() + DEADLINE
        while "first" not in held.result:
            assert time.monotonic() < until, "it waits for the slow one"
            threading.Event().wait(0.01)
        assert (len(first.opened), len(first.closed)) == (2, 1)
        gate.set()
    for worker in (first, *slow):
        assert sorted(worker.opened) == sorted(worker.closed)
    assert held.result == {"first": True, "slow": True}


def test_a_pool_takes_more_workers_and_lets_go_of_some() -> None:
    def busy(pool: Pool, workers: int) -> int:
        """Give how many work at once at the most, where each waits until so many do."""
        at_work, most, full = set[str](), [0], threading.Event()

        def act(_: int) -> None:
            name = threading.current_thread().name
            at_work.add(name)
            most[0] = max(most[0], len(at_work))
            if len(at_work) == workers:
                full.set()
            full.wait(0.2)
            at_work.discard(name)

        assert pool.lane(Worker(act).make, 16, 16).run(range(16), threading.Event(), nothing)
        return most[0]

    with Pool(2, None) as pool:
        assert busy(pool, 2) == 2
        pool.use(5, None)
        assert busy(pool, 5) == 5
        pool.use(3, None)
        assert busy(pool, 3) == 3
        assert len(alive()) == 3
        pool.use(3, 1)
        assert busy(pool, 1) == 1
    assert alive() == []


def test_idle_workers_stay_and_cost_nothing() -> None:
    with Pool(4, None) as pool:
        for _ in range(50):
            assert pool.lane(Worker().make, 8, 8).run(range(20), threading.Event(), nothing)
        assert len(alive()) == 4
        before = time.process_time()
        threading.Event().wait(0.5)
        assert time.process_time() - before < 0.05
    assert alive() == []
