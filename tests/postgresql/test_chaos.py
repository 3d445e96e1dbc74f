"""Three daemons and ten sources, while daemons are killed, sleep through their leases, and clocks jump."""

from __future__ import annotations

import os
import random
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.postgresql import server
from tests.postgresql.clock import Clock
from tests.postgresql.fleet import LEASE, Fleet
from tests.support import class_page, eventually

DAEMONS = 3
PAUSE = 2.5
"""Seconds from one strike to the next, at the mean."""

LONGEST = 10.0
"""Seconds that a source may be without a holder who lives."""


@dataclass(frozen=True, slots=True)
class Orphan:
    """A source whose holder is gone: its token, its process, and since when."""

    token: int
    pid: int
    since: float


class Chaos:
    """What is done to the daemons, by chance; notes how long it takes until another one has what the victim had."""

    def __init__(self, fleet: Fleet, clocks: list[Clock], seed: int) -> None:
        self.fleet = fleet
        self.clocks = clocks
        self.draw = random.Random(seed)  # noqa: S311 - a seed, to be told again
        self.commits = self.kills = self.sleeps = self.jumps = 0
        self.asleep: dict[int, float] = {}
        self.orphans: dict[str, Orphan] = {}
        self.due = time.monotonic()
        self.took: list[float] = []

    def commit(self) -> None:
        """Commit to a source: mostly a page, now and then enough for a pass to be met in."""
        self.commits += 1
        pages = 60 if self.draw.random() < 0.1 else 1
        names = [f"c{self.draw.randrange(120)}" for _ in range(pages)]
        text = f"written by commit {self.commits}"
        self.draw.choice(self.fleet.repos).commit(
            {f"{name}.md": class_page(f"urn:t:{name}", name, comment=text) for name in names}
        )

    def step(self) -> None:
        """Do something where it is time for it."""
        now, held = time.monotonic(), self.held()
        for ontology_id, gone in list(self.orphans.items()):
            token, holder = held[ontology_id]
            if token > gone.token and holder is not None:
                self.took.append(now - gone.since)
                del self.orphans[ontology_id]
            else:
                assert now - gone.since < LONGEST, (ontology_id, held[ontology_id])
        for each in [each for each, until in self.asleep.items() if now > until]:
            self.wake(each)
        if now > self.due:
            self.due = now + self.draw.expovariate(1 / PAUSE)
            self.strike(now, held)
        if len(self.fleet.daemons) < DAEMONS and self.draw.random() < 0.3:
            self.join()

    def held(self) -> dict[str, tuple[int, int | None]]:
        """Give the newest token of each source, and the process that has it."""
        rows = self.fleet.rows("SELECT ontology_id, token, split_part(holder, ':', 2)::int FROM leases")
        return {ontology_id: (token, pid) for ontology_id, token, pid in rows}

    def strike(self, now: float, held: dict[str, tuple[int, int | None]]) -> None:
        """Turn a clock, kill a daemon, or let one sleep through its lease; one is left awake."""
        awake = [each for each in self.fleet.daemons if each not in self.asleep]
        what = self.draw.choice(("jump", "kill", "sleep", "kill", "sleep"))
        if what == "jump" or len(awake) < 2:
            self.draw.choice(self.clocks).turn(self.draw.choice((-86_400, -3_600, -7, 0, 7, 3_600, 86_400)))
            self.jumps += 1
            return
        victim = self.draw.choice(awake)
        pid = self.fleet.pid(victim)
        if what == "kill":
            self.fleet.end(victim, signal.SIGKILL)
            self.kills += 1
        else:
            self.fleet.send(victim, signal.SIGSTOP)
            self.asleep[victim] = now + self.draw.uniform(1.2 * LEASE, 3 * LEASE)
            self.sleeps += 1
        self.orphans |= {each: Orphan(token, pid, now) for each, (token, holder) in held.items() if holder == pid}

    def join(self) -> None:
        """Start a daemon, whose machine has one of the clocks."""
        self.fleet.join(environment=self.draw.choice(self.clocks[1:]).environment)

    def wake(self, number: int) -> None:
        """Let a daemon go on: what nobody has taken over by then is its own again."""
        del self.asleep[number]
        self.fleet.send(number, signal.SIGCONT)
        pid = self.fleet.pid(number)
        self.orphans = {each: gone for each, gone in self.orphans.items() if gone.pid != pid}


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that user postgres may enter."""
    one = Path(tempfile.mkdtemp(prefix="postgresql-", dir="/tmp"))
    one.chmod(0o755)
    yield one
    shutil.rmtree(one, ignore_errors=True)


def chaos(folder: Path, tmp_path: Path, seconds: float, seed: int) -> None:
    """Commit to all sources meanwhile, and see that they are whole in the end."""
    clocks = [Clock(folder / f"clock{number}") for number in range(3)]
    place = folder / "server"
    place.mkdir()
    own = server.started(place, clocks[0].environment, fsync="off", max_connections="200")
    fleet = Fleet(own, tmp_path)
    one, pause = Chaos(fleet, clocks, seed), threading.Event()
    try:
        for _ in range(DAEMONS):
            one.join()
        eventually(lambda: sum(fleet.loads()) == len(fleet.repos), 60)
        over = time.monotonic() + seconds
        while (now := time.monotonic()) < over or (not one.took and now < over + LONGEST * 4):
            one.commit()
            one.step()
            pause.wait(0.1)
        settle(one)
    finally:
        fleet.close()
        own.stop()


def settle(one: Chaos) -> None:
    """Let all that live go on in peace, and look at what they left."""
    fleet = one.fleet
    for each in list(one.asleep):
        one.wake(each)
    eventually(lambda: sum(fleet.loads()) == len(fleet.repos), 60)
    for repo in fleet.repos:
        repo.commit({"last.md": class_page("urn:t:last", "last")})
    eventually(lambda: fleet.count("SELECT COUNT(*) FROM owl_classes WHERE label = 'last'") == len(fleet.repos), 120)
    took = sorted(one.took)
    writes, tokens = fleet.count("SELECT COUNT(*) FROM writes"), fleet.count("SELECT SUM(token) FROM leases")
    passes = fleet.count("SELECT COUNT(*) FROM sync_runs")
    median, longest = took[len(took) // 2], took[-1]
    print(  # noqa: T201 - the figures of docs/adr/0031
        f"{one.commits} commits, {one.kills} kills, {one.sleeps} sleeps, {one.jumps} jumps of clocks; {passes} passes "
        f"that wrote, {writes} files, {tokens} leases taken; {len(took)} take-overs, median {median:.1f} s, longest "
        f"{longest:.1f} s"
    )
    assert longest < LONGEST
    fleet.assert_one_writer()
    fleet.assert_whole()


def test_three_daemons_survive_some_chaos(folder: Path, tmp_path: Path) -> None:
    chaos(folder, tmp_path, 12, 1)


@pytest.mark.deep
def test_three_daemons_survive_ten_minutes_of_chaos(folder: Path, tmp_path: Path) -> None:
    chaos(folder, tmp_path, float(os.environ.get("VISIONFLOW_CHAOS_SECONDS", "600")), 2)
