"""Asks for passes are joined, and none is lost."""

from __future__ import annotations

import threading

from visionflow_daemon.daemon.wake import Wake


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
