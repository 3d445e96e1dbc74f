"""Looks by the real scheduler: in time, one at a time, and fewer while a remote is away, until it is back."""

from __future__ import annotations

import math
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

import pytest

from tests.git.servers import Answer, GitHandler, free_port, git_http
from tests.support import Daemon, Repo, class_page
from visionflow_daemon.config.values import Config, DaemonConfig, SourceConfig
from visionflow_daemon.daemon.rota import Rota
from visionflow_daemon.daemon.wake import Wake

Note = Callable[[str, object], None]
LATE = 1.0
"""Seconds by which looks may come later in the end than at first, as a machine grows busier; a single one, fourfold."""


def assert_in_time(looks: list[float], interval: float, jitter: float, late: float = LATE) -> float:
    """See that all looks keep to one beat, none far from it; give the drift from the first quarter to the last."""
    off = [look - looks[0] - number * interval for number, look in enumerate(looks)]
    assert max(off) - min(off) <= 2 * jitter + 4 * late
    quarter = len(off) // 4
    drift = statistics.median(off[-quarter:]) - statistics.median(off[:quarter])
    assert abs(drift) <= late
    return drift


def test_a_hundred_asks_of_the_scheduler_keep_the_time(record_property: Note) -> None:
    wake = Wake()
    source = SourceConfig("http://127.0.0.1:9/r.git", "main", "a")
    rota = Rota(wake)
    rota.plan(Config((source,), daemon=DaemonConfig(interval=0.1, jitter=0.04)))
    try:
        looks = []
        for _ in range(100):
            assert wake.take(10) == ("a", "interval")
            looks.append(time.monotonic())
    finally:
        rota.close()
    record_property("drift in seconds", round(assert_in_time(looks, 0.1, 0.04), 3))
    assert wake.take(0.3) is None


@dataclass
class Visits:
    """When a server was asked for its branches; an ailment that makes it none the worse."""

    wanted: int
    times: list[float] = field(default_factory=list)
    enough: threading.Event = field(default_factory=threading.Event)

    def __call__(self, handler: GitHandler, _: Answer) -> bool:
        """Note a request, and leave it to the server."""
        if "info/refs" in handler.path:
            self.times.append(time.monotonic())
            if len(self.times) >= self.wanted:
                self.enough.set()
        return False


def seconds_between(one: dict[str, Any], other: dict[str, Any]) -> float:
    """Give the time from one log line to another."""
    return (datetime.fromisoformat(other["timestamp"]) - datetime.fromisoformat(one["timestamp"])).total_seconds()


@pytest.mark.parametrize(
    ("looks", "interval", "jitter", "late"),
    [(8, 0.6, 0.1, math.inf), pytest.param(101, 1.0, 0.3, LATE, marks=pytest.mark.deep)],  # eight are too few to tell
)
def test_a_remote_is_asked_in_time_waited_for_while_it_is_away_and_found_when_it_is_back(
    repo: Repo,
    daemon: Daemon,
    looks: int,
    interval: float,
    jitter: float,
    late: float,
    record_property: Note,
) -> None:
    repo.commit({"p.md": class_page("urn:t:p", "P")})
    visits, port = Visits(looks + 1), free_port()
    config = daemon.folder / "config.toml"
    config.write_text(
        f'database = "kg.db"\n[[sources]]\nlocation = "http://127.0.0.1:{port}/{repo.path.name}"\n'
        f"[daemon]\ninterval = {interval}\njitter = {jitter}\n"
        '[breaker]\nfailing_passes = 2\ncool_down = 2.0\nlongest_cool_down = 4.0\n[log]\nlevel = "debug"\n'
    )
    with daemon.running("--config", config) as running:
        with git_http(repo.path.parent, ail=visits, port=port):
            assert visits.enough.wait(interval * looks * 2 + 20)
        drift = assert_in_time(visits.times[1:], interval, jitter, late)  # the first one is of the start
        gaps = [later - earlier for earlier, later in pairwise(visits.times[1:])]
        began = running.until("pass failed")
        running.until("breaker opened")
        running.until("breaker half-open")
        half_open = running.until("breaker half-open")
        commit = repo.commit({"p.md": class_page("urn:t:p", "Q")})
        with git_http(repo.path.parent, port=port):
            found = running.until("pass finished", timeout=30)
            assert found["commit"] == commit
            assert running.until("breaker closed")["failures"] >= 3
            running.until("nothing to do")
            assert running.end() == 0
    assert_one_at_a_time(running.events)
    away, tries = seconds_between(began, half_open), running.count("pass failed")
    assert tries <= 2 + 1 + away / 2.0, "the breaker held nothing back"
    record_property("gaps", f"{min(gaps):.2f} to {max(gaps):.2f}, median {statistics.median(gaps):.3f} s")
    record_property("drift in seconds", round(drift, 3))
    record_property("tries while away", f"{tries} in {seconds_between(began, found):.1f} s")


def assert_one_at_a_time(events: list[dict[str, Any]]) -> None:
    """See that each pass ended before the next one began."""
    ends = {"nothing to do", "pass finished", "pass failed", "pass stopped"}
    turns = [event["event"] in ends for event in events if event["event"] in {*ends, "pass asked for"}]
    assert turns[::2] == [False] * len(turns[::2])
    assert turns[1::2] == [True] * len(turns[1::2])
