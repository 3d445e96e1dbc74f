"""Who may fetch: a few at once, and whoever hangs waits with its like."""

from __future__ import annotations

import threading

import pytest

from visionflow_daemon.errors import StoppedError
from visionflow_daemon.git.credentials import server_of
from visionflow_daemon.sync.fetches import PATIENCE, QUICK, SLOW, Fetches, Line

LATER = PATIENCE + 0.1


class Crowd:
    """Fetches by name, all asked for at once, and a clock."""

    def __init__(self) -> None:
        self.line = Line()
        self.now = 0.0
        self.waiting: dict[str, object] = {}
        self.under_way: dict[str, object] = {}

    def ask(self, *names: str) -> None:
        """Ask for fetches; a name is that of the server, and may have that of a repository behind it."""
        for name in names:
            self.waiting[name] = self.line.ask(f"https://{name.replace('/', '.example/')}")

    def begun(self) -> list[str]:
        """Let all that may begin do so."""
        admitted = self.line.admit(self.now)
        found = [name for name, each in self.waiting.items() if each in admitted]
        for name in found:
            self.under_way[name] = self.waiting.pop(name)
        return found

    def end(self, *names: str) -> None:
        """End fetches."""
        for name in names:
            self.line.end(self.under_way.pop(name), self.now)  # type: ignore[arg-type]


def test_a_few_at_once_in_the_order_of_asking() -> None:
    crowd = Crowd()
    crowd.ask(*"abcdefgh")
    assert crowd.begun() == list("abcd")[:QUICK]
    assert crowd.begun() == []
    crowd.end("b", "c")
    assert crowd.begun() == ["e", "f"]


def test_who_is_slow_leaves_its_place_as_long_as_there_is_room_for_slow_ones() -> None:
    crowd = Crowd()
    crowd.ask(*"abcdefghijkl")
    crowd.begun()
    crowd.now = LATER
    assert crowd.begun() == list("efgh")
    crowd.now = 2 * LATER
    assert crowd.begun() == [], "more than there may be"
    assert len(crowd.under_way) == QUICK + SLOW
    crowd.end("a")
    assert crowd.begun() == ["i"]


def test_who_hung_the_last_time_keeps_nobody_waiting_but_its_like() -> None:
    crowd = Crowd()
    bad = [f"bad{number}" for number in range(12)]
    for each in bad:  # as they come one after the other
        crowd.ask(each)
        crowd.begun()
        crowd.now += LATER
        crowd.end(each)
    crowd.ask(*bad, "good1", "good2")
    assert crowd.begun() == [*bad[:SLOW], "good1", "good2"]
    crowd.end("good1", "good2")
    crowd.now += 60
    assert crowd.begun() == []
    crowd.ask("good3", "good4")
    assert crowd.begun() == ["good3", "good4"]
    crowd.end(*bad[:2])
    assert crowd.begun() == bad[SLOW : SLOW + 2], "who hung does not get on"


def test_who_is_quick_again_is_trusted_again() -> None:
    crowd = Crowd()
    crowd.ask("a")
    crowd.begun()
    crowd.now += LATER
    crowd.end("a")
    crowd.ask(*"abcde")
    assert crowd.begun() == list("abcde"), "one of them is among the slow ones"
    crowd.end(*"abcde")
    crowd.ask(*"abcde")
    assert crowd.begun() == list("abcd")


def test_those_who_ask_a_server_that_hangs_wait_for_it_alone() -> None:
    crowd = Crowd()
    crowd.ask(*(f"bad/{number}" for number in range(20)), "good")
    assert crowd.begun() == [f"bad/{number}" for number in range(QUICK)]
    crowd.now = LATER
    assert crowd.begun() == ["good"], "a server that hangs keeps others waiting"
    crowd.end("good")
    crowd.ask("good", "better")
    assert crowd.begun() == ["good", "better"]


def test_who_no_longer_waits_is_in_nobodys_way() -> None:
    crowd = Crowd()
    crowd.ask(*"abcdef")
    crowd.begun()
    crowd.line.end(crowd.waiting.pop("e"), crowd.now)  # type: ignore[arg-type]
    crowd.end("a")
    assert crowd.begun() == ["f"]


@pytest.mark.parametrize(
    ("location", "server"),
    [
        ("https://me:secret@Git.Example/a/b.git", "git.example"),
        ("http://127.0.0.1:8080/r.git", "127.0.0.1:8080"),
        ("git@git.example:a/b.git", "git.example"),
        ("file:///srv/a.git", "file:///srv/a.git"),
    ],
)
def test_the_server_of_a_remote(location: str, server: str) -> None:
    assert server_of(location) == server


def test_places_are_given_on_and_a_stop_is_heard() -> None:
    fetches = Fetches()
    go_on, stop = threading.Event(), threading.Event()
    most: list[int] = []
    at_once = set[int]()
    full = threading.Event()

    def fetch(number: int) -> None:
        with fetches.place(f"https://h{number}/", threading.Event()):
            at_once.add(number)
            most.append(len(at_once))
            if len(at_once) == QUICK:
                full.set()
            go_on.wait(20)
            at_once.discard(number)

    threads = [threading.Thread(target=fetch, args=(number,)) for number in range(3 * QUICK)]
    for thread in threads:
        thread.start()
    assert full.wait(20)
    stop.set()
    with pytest.raises(StoppedError), fetches.place("https://late/", stop):
        raise AssertionError
    go_on.set()
    for thread in threads:
        thread.join(20)
    assert len(most) == 3 * QUICK
    assert max(most) == QUICK
