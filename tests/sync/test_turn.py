"""Turns: who has waited longest is next; and one worker works, until it has to wait; then another one does."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from tests.sync.test_pool import DEADLINE, Worker, alive, nothing, run
from visionflow_daemon.sync.pool import Pool
from visionflow_daemon.sync.turn import Turns


def served(turns: Turns[str], ready: str, times: int) -> str:
    """Say who is served, one piece after the other, while these have something."""
    return "".join(turns.next(lambda member: member in ready) or "-" for _ in range(times))


def test_who_was_served_longest_ago_is_next() -> None:
    turns = Turns[str]()
    assert served(turns, "abc", 1) == "-"
    for member in "abc":
        turns.join(member)
    assert served(turns, "abc", 7) == "abcabca"
    assert served(turns, "a", 3) == "aaa"
    assert served(turns, "ac", 4) == "caca", "who had nothing lost its place"
    assert served(turns, "abc", 3) == "bca"
    assert served(turns, "", 2) == "--"
    turns.join("d")
    assert served(turns, "abcd", 4) == "bcad", "who comes is not last"
    turns.leave("c")
    assert served(turns, "abcd", 4) == "badb"
    assert list(turns) == ["a", "d", "b"]


def test_one_piece_of_each_other_is_all_that_anyone_waits_for() -> None:
    turns = Turns[str]()
    members = [chr(ord("a") + number) for number in range(20)]
    for member in members:
        turns.join(member)
    for quiet in members:
        served(turns, "".join(set(members) - {quiet}), 1_000)
        assert quiet in served(turns, "".join(members), 20)


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_with_a_turn_one_worker_does_it_all(workers: int) -> None:
    names: Counter[str] = Counter()
    worker = Worker(lambda _: names.update([threading.current_thread().name]))
    assert run(workers, 4, worker.make, range(500), at_once=1) is True
    assert worker.done == list(range(500))
    assert len(names) == 1
    assert worker.opened == worker.closed == list(names)
    assert alive() == []


def test_a_wait_leaves_the_turn_to_another_worker_and_gets_it_back() -> None:
    pool = Pool(4, 1)
    later = threading.Event()
    at_work: list[int] = []
    most: list[int] = []

    def wait(seconds: float) -> None:
        assert seconds == 7
        assert later.wait(DEADLINE), "nobody else worked meanwhile"

    waiting = pool.left_for(wait)

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
    with pool:
        assert pool.lane(worker.make, 2, 4).run(range(2_000), threading.Event(), nothing) is True
    assert Counter(worker.done) == Counter(range(2_000))
    assert max(most) == 1
    assert worker.done.index(3) > worker.done.index(10)


def test_who_is_back_from_a_wait_goes_on_before_the_work_is_through() -> None:
    pool = Pool(2, 1)
    back = threading.Event()
    asked = threading.Event()

    def wait(_: float) -> None:
        assert asked.wait(DEADLINE)

    waiting = pool.left_for(wait)

    def act(task: int) -> None:
        if task == 0:
            waiting(1)
            back.set()
        elif task == 5:
            asked.set()
        elif task > 5 and not back.is_set():
            back.wait(0.001)  # the worker that is back needs a moment to ask for the turn

    worker = Worker(act)
    with pool:
        pool.lane(worker.make, 2, 2).run(range(1_500), threading.Event(), nothing)
    assert 5 <= worker.done.index(0) < 1_499


def test_what_a_wait_raises_ends_the_pool() -> None:
    pool = Pool(3, 1)

    def wait(_: float) -> None:
        raise ZeroDivisionError

    waiting = pool.left_for(wait)
    worker = Worker(lambda task: waiting(1) if task == 3 else None)
    with pool, pytest.raises(ZeroDivisionError):
        pool.lane(worker.make, 2, 3).run(range(100), threading.Event(), nothing)
    assert alive() == []
    assert Counter(worker.opened) == Counter(worker.closed)
