"""Clocks that jump, of daemons' machines and of the server's: sources may change hands, and each has one writer."""

from __future__ import annotations

import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.postgresql import server
from tests.postgresql.clock import Clock
from tests.postgresql.fleet import LEASE, Fleet
from tests.postgresql.server import Server
from tests.support import class_page, eventually


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that user postgres may enter."""
    one = Path(tempfile.mkdtemp(prefix="postgresql-", dir="/tmp"))
    one.chmod(0o755)
    yield one
    shutil.rmtree(one, ignore_errors=True)


@pytest.fixture
def clock(folder: Path) -> Clock:
    """A clock that is right as yet."""
    return Clock(folder / "clock")


@pytest.fixture
def of_that_clock(folder: Path, clock: Clock) -> Iterator[Server]:
    """A server that goes by that clock."""
    place = folder / "server"
    place.mkdir()
    one = server.started(place, clock.environment, fsync="off")
    yield one
    one.stop()


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """A fleet on the server that tests share."""
    one = Fleet(server.shared(), tmp_path, 4)
    yield one
    one.close()


def commit_to_all(fleet: Fleet, label: str) -> None:
    for repo in fleet.repos:
        repo.commit({f"{label}.md": class_page(f"urn:t:{label}", label)})


def followed(fleet: Fleet, label: str) -> bool:
    return fleet.count(f"SELECT COUNT(*) FROM owl_classes WHERE label = '{label}'") == len(fleet.repos)


def test_the_clock_of_a_daemons_machine_counts_for_nothing(fleet: Fleet, clock: Clock) -> None:
    one = fleet.join(environment=clock.environment)
    fleet.join()
    eventually(lambda: fleet.loads() == [2, 2], 30)
    before = fleet.holders()
    for number, seconds in enumerate((3_600, -86_400, 10 * 365 * 86_400)):
        clock.turn(seconds)
        commit_to_all(fleet, f"after{number}")
        eventually(partial(followed, fleet, f"after{number}"), 30)
    assert fleet.holders() == before
    assert "lease lost" not in {line["event"] for line in fleet.logged(one)}
    clock.turn(0)
    fleet.assert_one_writer()
    fleet.assert_whole()


@pytest.mark.parametrize("seconds", [3_600, -3_600], ids=["ahead", "back"])
def test_the_servers_clock_may_jump(of_that_clock: Server, clock: Clock, tmp_path: Path, seconds: int) -> None:
    fleet = Fleet(of_that_clock, tmp_path, 4)
    try:
        one = fleet.join()
        two = fleet.join()
        eventually(lambda: fleet.loads() == [2, 2], 30)
        (was,) = fleet.rows("SELECT extract(epoch FROM clock_timestamp())::float")
        fleet.repos[0].commit({f"p{n}.md": class_page(f"urn:t:{n}", f"P{n}") for n in range(150)})
        clock.turn(seconds)
        (now,) = fleet.rows("SELECT extract(epoch FROM clock_timestamp())::float")
        assert abs(now[0] - was[0] - seconds) < 60  # the clock is the server's indeed
        commit_to_all(fleet, "after")
        eventually(lambda: followed(fleet, "after"), 60)
        fleet.end(one, signal.SIGKILL)
        clock.turn(2 * seconds)
        began = time.monotonic()
        eventually(lambda: fleet.holders() == {f"o{at}": fleet.pid(two) for at in range(4)}, 30)
        assert time.monotonic() - began < LEASE + 3
        commit_to_all(fleet, "last")
        eventually(lambda: followed(fleet, "last"), 60)
        fleet.assert_one_writer()
        fleet.assert_whole()
    finally:
        fleet.close()
