"""Asks for passes are joined, and none is lost."""

from __future__ import annotations

import threading
import time

from visionflow_daemon.daemon.wake import LONGEST, QUIET, Wake


def test_a_storm_of_asks_costs_at_most_two_passes() -> None:
    wake = Wake()
    passes, began, go_on = [], threading.Event(), threading.Event()

    def work() -> None:
        while (asked := wake.take(1.0)) is not None:
            passes.append(asked)
            began.set()
            go_on.wait(10)

    worker = threading.Thread(target=work)
    worker.start()
    askers = [threading.Thread(target=lambda: [wake.ask("a", "storm") for _ in range(100)]) for _ in range(10)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert began.wait(10)
    go_on.set()
    worker.join(10)
    assert 1 <= len(passes) <= 2


def test_an_ask_while_a_pass_runs_leads_to_one_more() -> None:
    wake = Wake()
    wake.ask("a", "start")
    assert wake.take(0) == ("a", "start")
    wake.ask("a", "commit")
    wake.ask("a", "interval")
    assert wake.take(0) == ("a", "commit")
    assert wake.take(0) is None


def test_sources_take_turns() -> None:
    wake = Wake()
    for name in ("a", "b", "a", "c"):
        wake.ask(name, "start")
    assert wake.take(0) == ("a", "start")
    wake.ask("a", "again")
    assert [wake.take(0) for _ in range(3)] == [("b", "start"), ("c", "start"), ("a", "again")]


def test_a_nudge_comes_before_the_asks_and_loses_none() -> None:
    wake = Wake()
    wake.ask("a", "start")
    wake.nudge()
    assert wake.take(10) is None
    assert wake.take(10) == ("a", "start")


def test_an_ask_wakes_who_waits() -> None:
    wake = Wake()
    timer = threading.Timer(0.05, wake.ask, ("a", "commit"))
    timer.start()
    assert wake.take(10) == ("a", "commit")
    timer.join()


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """Give the seconds."""
        return self.seconds


def test_the_first_of_a_flurry_is_asked_for_at_once_and_one_more_when_it_lets_up() -> None:
    clock = Clock()
    wake = Wake(clock)
    taken = []
    for number in range(1_000):
        wake.ask_soon("a", f"webhook {number}")
        taken.append(wake.take(0))  # a pass that takes no time
        clock.seconds += 0.005
    assert taken == [("a", "webhook 0"), *[None] * 999]
    clock.seconds += QUIET - 0.01
    assert wake.take(0) is None
    clock.seconds += 0.01
    assert wake.take(0) == ("a", "webhook 999")
    clock.seconds += 100
    assert wake.take(0) is None


def test_a_flurry_without_end_is_heard_now_and_then() -> None:
    clock = Clock()
    wake = Wake(clock)
    taken = 0
    for _ in range(600):
        wake.ask_soon("a", "webhook")
        taken += wake.take(0) is not None
        clock.seconds += 0.1
    assert 1 + 60 / LONGEST - 1 <= taken <= 1 + 60 / LONGEST


def test_one_after_the_flurry_is_asked_for_at_once() -> None:
    clock = Clock()
    wake = Wake(clock)
    for _ in range(3):
        wake.ask_soon("a", "webhook")
        assert wake.take(0) == ("a", "webhook")
        clock.seconds += QUIET
    wake.ask_soon("a", "first")
    wake.ask_soon("b", "another source")
    wake.ask_soon("a", "last")
    assert [wake.take(0) for _ in range(3)] == [("a", "first"), ("b", "another source"), None]
    clock.seconds += QUIET
    assert wake.take(0) == ("a", "last")
    wake.ask_soon("a", "the one after it")
    assert wake.take(0) == ("a", "the one after it")


def test_an_ask_beside_a_flurry_takes_it_along_when_both_wait() -> None:
    clock = Clock()
    wake = Wake(clock)
    wake.ask_soon("a", "webhook")
    assert wake.take(0) == ("a", "webhook")
    wake.ask_soon("a", "webhook")
    clock.seconds += QUIET
    wake.ask("a", "interval")
    assert [wake.take(0), wake.take(0)] == [("a", "interval"), None]


def test_who_waits_is_woken_when_a_flurry_lets_up() -> None:
    wake = Wake()
    wake.ask_soon("a", "first")
    assert wake.take(10) == ("a", "first")
    timer = threading.Timer(0.05, wake.ask_soon, ("a", "last"))
    timer.start()
    began = time.monotonic()
    assert wake.take(10) == ("a", "last")
    assert QUIET <= time.monotonic() - began < 8
    timer.join()
