"""Turns: one worker works, until it has to wait; then another one does."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from tests.sync.test_pool import DEADLINE, Worker, alive, nothing
from visionflow_daemon.sync.pool import Pool
from visionflow_daemon.sync.turn import Turn


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_with_a_turn_one_worker_does_it_all(workers: int) -> None:
    names: Counter[str] = Counter()
    worker = Worker(lambda _: names.update([threading.current_thread().name]))
    assert Pool[int](workers, 4, worker.make, Turn()).run(range(500), threading.Event(), nothing) is True
    assert worker.done == list(range(500))
    assert len(names) == 1
    assert worker.opened == worker.closed == list(names)
    assert alive() == []


def test_a_wait_leaves_the_turn_to_another_worker_and_gets_it_back() -> None:
    turn = Turn()
    later = threading.Event()
    at_work: list[int] = []
    most: list[int] = []

    def wait(seconds: float) -> None:
        assert seconds == 7
        assert later.wait(DEADLINE), "nobody else worked meanwhile"

    waiting = turn.left_for(wait)

    def act(task: int) -> None:
        at_work.append(task)
        if task == 3:
            at_work.remove(task)
            waiting(7)
            at_work.append(task)
        if task == 10:
            later.set()
        most.append(len(at_work))
        at_work.remove(task)

    worker = Worker(act)
    assert Pool[int](4, 2, worker.make, turn).run(range(2_000), threading.Event(), nothing) is True
    assert Counter(worker.done) == Counter(range(2_000))
    assert max(most) == 1
    assert worker.done.index(3) > worker.done.index(10)


def test_who_is_back_from_a_wait_goes_on_before_the_work_is_through() -> None:
    turn = Turn()
    back = threading.Event()
    asked = threading.Event()

    def wait(_: float) -> None:
        assert asked.wait(DEADLINE)

    waiting = turn.left_for(wait)

    def act(task: int) -> None:
        if task == 0:
            waiting(1)
            back.set()
        elif task == 5:
            asked.set()
        elif task > 5 and not back.is_set():
            back.wait(0.001)  # the worker that is back needs a moment to ask for the turn

    worker = Worker(act)
    Pool[int](2, 2, worker.make, turn).run(range(1_500), threading.Event(), nothing)
    assert 5 < worker.done.index(0) < 1_499


def test_what_a_wait_raises_ends_the_pool() -> None:
    turn = Turn()

    def wait(_: float) -> None:
        raise ZeroDivisionError

    waiting = turn.left_for(wait)
    worker = Worker(lambda task: waiting(1) if task == 3 else None)
    with pytest.raises(ZeroDivisionError):
        Pool[int](3, 2, worker.make, turn).run(range(100), threading.Event(), nothing)
    assert alive() == []
    assert Counter(worker.opened) == Counter(worker.closed)
