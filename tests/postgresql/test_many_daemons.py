"""Several daemons on one server: each source has one writer, whoever dies, sleeps, or comes late."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.postgresql import server
from tests.postgresql.server import PASSWORD, Server
from tests.support import Daemon, Repo, class_page, eventually

SOURCES = 10
LEASE = 3.0
WATCH = """
CREATE TABLE writes (number BIGSERIAL, ontology_id TEXT, token BIGINT, holder TEXT, at TIMESTAMPTZ);
CREATE FUNCTION watch() RETURNS TRIGGER LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO writes (ontology_id, token, holder, at)
    SELECT new.ontology_id, l.token, current_setting('application_name') || ' ' || pg_backend_pid(), clock_timestamp()
    FROM leases l WHERE l.ontology_id = new.ontology_id;
  RETURN new;
END $$;
CREATE TRIGGER watch AFTER INSERT OR UPDATE ON source_files FOR EACH ROW EXECUTE FUNCTION watch();
"""


class Fleet:
    """Ten repositories, one database, and daemons that work on them."""

    def __init__(self, own: Server, folder: Path, sources: int = SOURCES) -> None:
        self.server, self.folder = own, folder
        self.name = server.database_name(folder)
        self.url = own.new_database(self.name)
        self.repos = [Repo(folder / f"r{number}.git") for number in range(sources)]
        for repo in self.repos:
            repo.commit({"start.md": class_page("urn:t:start", "start")})
        self.config = folder / "fleet.toml"
        self.config.write_text(
            f'database = "{self.url}"\n[http]\nport = 0\n[daemon]\ninterval = 1.0\njitter = 0.1\npoll = 0.3\n'
            f"[postgresql]\nlease = {LEASE}\nidle_timeout = 2.0\nconnections = 12\n[sync]\nworkers = 2\n"
            + "".join(
                f'[[sources]]\nontology_id = "o{at}"\nlocation = "{repo.path}"\n' for at, repo in enumerate(self.repos)
            )
        )
        self.daemons: dict[int, subprocess.Popen[bytes]] = {}
        self._numbers = iter(range(10_000))
        self.program(0).run("migrate", "--config", self.config)
        own.rows(WATCH, self.name)

    def program(self, number: int) -> Daemon:
        """Give a daemon with a home of its own."""
        folder = self.folder / f"daemon{number}"
        folder.mkdir(exist_ok=True)
        return Daemon(folder, {"VISIONFLOW_DATABASE_PASSWORD": PASSWORD})

    def join(self) -> int:
        """Start one more daemon."""
        number = next(self._numbers)
        log = (self.folder / f"daemon{number}.log").open("wb")
        program = self.program(number)
        self.daemons[number] = subprocess.Popen(
            program.command("--config", self.config), cwd=program.folder, env=program.env(), stdout=log, stderr=log
        )
        log.close()
        return number

    def end(self, number: int, how: signal.Signals) -> None:
        """End a daemon."""
        process = self.daemons.pop(number)
        process.send_signal(how)
        process.wait(20)

    def close(self) -> None:
        """End all daemons."""
        for process in self.daemons.values():
            process.send_signal(signal.SIGCONT)
            process.kill()
            process.wait()

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the database."""
        return self.server.rows(sql, self.name)

    def holders(self) -> dict[str, int]:
        """Say which process holds which ontology."""
        found = self.rows("SELECT ontology_id, holder FROM leases WHERE holder IS NOT NULL AND expires_at > now()")
        return {ontology_id: int(holder.split(":")[1]) for ontology_id, holder in found}

    def loads(self) -> list[int]:
        """Count what each process holds, the most first."""
        held = list(self.holders().values())
        return sorted((held.count(each) for each in set(held)), reverse=True)

    def assert_whole(self) -> None:
        """See that each ontology is what its repository says, by way of a file of SQLite's."""
        program = self.program(0)
        for at, repo in enumerate(self.repos):
            database = f"sqlite:///peace{at}.db"
            arguments = ("--ontology-id", f"o{at}", "--database")
            ran = program.run("--once", "--source", repo.path, *arguments, database)
            assert ran.code == 0, ran.err
            ours = program.run("dump", *arguments, self.url)
            assert ours.out == program.run("dump", *arguments, database).out
            assert ours.out

    def assert_one_writer(self) -> None:
        """See that no write came under a lease after one under a later lease of the same ontology."""
        late = self.rows(
            "SELECT * FROM (SELECT ontology_id, token, MAX(token) OVER (PARTITION BY ontology_id ORDER BY number)"
            " AS newest FROM writes) w WHERE token < newest"
        )
        assert late == []
        shared = self.rows("SELECT ontology_id, token FROM writes WHERE token IS NULL")
        assert shared == []


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """A fleet that has no daemon yet."""
    one = Fleet(server.shared(), tmp_path)
    yield one
    one.close()
    server.shared().rows(f'DROP DATABASE "{one.name}" WITH (FORCE)')


def test_sources_are_spread_and_taken_over(fleet: Fleet) -> None:
    first = fleet.join()
    eventually(lambda: fleet.loads() == [10], 30)
    second = fleet.join()
    eventually(lambda: fleet.loads() == [5, 5], 30)
    third = fleet.join()
    eventually(lambda: len(fleet.loads()) == 3 and sum(fleet.loads()) == 10 and fleet.loads()[0] <= 4, 30)
    began = time.monotonic()
    fleet.end(third, signal.SIGTERM)
    eventually(lambda: fleet.loads() == [5, 5], 30)
    assert time.monotonic() - began < LEASE + 2
    began = time.monotonic()
    fleet.end(second, signal.SIGKILL)
    eventually(lambda: fleet.loads() == [10], 30)
    assert time.monotonic() - began < 10
    for repo in fleet.repos:
        repo.commit({"more.md": class_page("urn:t:more", "more")})
    eventually(lambda: fleet.rows("SELECT COUNT(*) FROM owl_classes WHERE label = 'more'") == [(10,)], 30)
    shown = fleet.program(9).run("status", "--config", fleet.config, "--ontology-id", "o3", "--json").json
    assert str(fleet.daemons[first].pid) in str(shown)
    fleet.end(first, signal.SIGTERM)
    assert fleet.holders() == {}
    fleet.assert_one_writer()
    fleet.assert_whole()


def test_a_daemon_that_slept_through_its_lease_writes_nothing(fleet: Fleet) -> None:
    sleeper = fleet.join()
    eventually(lambda: fleet.loads() == [10], 30)
    pid = fleet.daemons[sleeper].pid
    fleet.repos[0].commit({f"p{n}.md": class_page(f"urn:t:{n}", f"P{n}") for n in range(400)})
    eventually(lambda: fleet.rows("SELECT COUNT(*) FROM source_files WHERE ontology_id = 'o0'")[0][0] > 20, 30)
    fleet.daemons[sleeper].send_signal(signal.SIGSTOP)
    fleet.join()
    began = time.monotonic()
    eventually(lambda: set(fleet.holders().values()).isdisjoint({pid}) and len(fleet.holders()) == 10, 30)
    assert time.monotonic() - began < 10
    fleet.daemons[sleeper].send_signal(signal.SIGCONT)
    eventually(lambda: fleet.rows("SELECT COUNT(*) FROM source_files WHERE ontology_id = 'o0'") == [(401,)], 60)
    eventually(lambda: fleet.loads() == [5, 5], 30)
    fleet.assert_one_writer()
    fleet.assert_whole()


def test_a_command_that_waits_gets_the_lease_of_an_idle_daemon(fleet: Fleet) -> None:
    number = fleet.join()
    eventually(lambda: fleet.loads() == [10], 30)
    once = ("--once", "--source", fleet.repos[2].path, "--ontology-id", "o2", "--database", fleet.url)
    refused = fleet.program(8).run(*once, "--lock-timeout", "0")
    assert (refused.code, str(fleet.daemons[number].pid) in refused.err) == (6, True), refused.err
    served = fleet.program(8).run(*once, "--lock-timeout", "20")
    assert served.code == 0, served.err
    eventually(lambda: fleet.loads() == [10], 30)
    fleet.assert_one_writer()


class Chaos:
    """Kills daemons, lets them sleep through their leases, starts others, and notes how long ontologies were free."""

    def __init__(self, fleet: Fleet, seed: int) -> None:
        self.fleet = fleet
        self.draw = random.Random(seed)  # noqa: S311 - a seed, to be told again
        self.kills = self.sleeps = 0
        self.asleep: dict[int, float] = {}
        self.free_since: dict[str, float] = {}
        self.took: list[float] = []

    def step(self) -> None:
        """Do something, most often nothing."""
        now, holders = time.monotonic(), self.fleet.holders()
        self.took += [now - self.free_since.pop(each) for each in list(self.free_since) if each in holders]
        for each in [each for each, until in self.asleep.items() if now > until]:
            self.wake(each)
        awake = [each for each in self.fleet.daemons if each not in self.asleep]
        chance = self.draw.random()
        if chance < 0.07 and len(awake) > 1:
            victim = self.draw.choice(awake)
            pid = self.fleet.daemons[victim].pid
            self.free_since |= {each: now for each, holder in holders.items() if holder == pid}
            if chance < 0.04:
                self.fleet.end(victim, signal.SIGKILL)
                self.kills += 1
            else:
                self.fleet.daemons[victim].send_signal(signal.SIGSTOP)
                self.asleep[victim] = now + self.draw.uniform(LEASE, 3 * LEASE)
                self.sleeps += 1
            eventually(lambda: pid not in self.fleet.holders().values(), 15)
        if len(self.fleet.daemons) < 3 and self.draw.random() < 0.2:
            self.fleet.join()

    def wake(self, number: int) -> None:
        """Let a daemon go on."""
        del self.asleep[number]
        self.fleet.daemons[number].send_signal(signal.SIGCONT)


def chaos(fleet: Fleet, seconds: float, seed: int) -> None:
    """Commit to all sources while daemons are killed, stopped and started."""
    one, pause, over, number = Chaos(fleet, seed), threading.Event(), time.monotonic() + seconds, 0
    for _ in range(3):
        fleet.join()
    while time.monotonic() < over:
        number += 1
        changed = {f"c{number % 40}.md": class_page(f"urn:t:{number % 50}", f"C{number}")}
        one.draw.choice(fleet.repos).commit(changed)
        one.step()
        pause.wait(0.1)
    for each in list(one.asleep):
        one.wake(each)
    eventually(lambda: sum(fleet.loads()) == len(fleet.repos), 60)
    for repo in fleet.repos:
        repo.commit({"last.md": class_page("urn:t:last", "last")})
    eventually(lambda: fleet.rows("SELECT COUNT(*) FROM owl_classes WHERE label = 'last'") == [(10,)], 90)
    writes, tokens = fleet.rows("SELECT COUNT(*), (SELECT SUM(token) FROM leases) FROM writes")[0]
    took = sorted(one.took)
    print(f"{number} commits, {one.kills} kills, {one.sleeps} sleeps, {writes} writes, {tokens} leases taken")  # noqa: T201
    print(f"{len(took)} take-overs: median {took[len(took) // 2]:.1f} s, at most {took[-1]:.1f} s")  # noqa: T201
    assert took[-1] < 10
    fleet.assert_one_writer()
    fleet.assert_whole()


@pytest.mark.deep
def test_three_daemons_survive_some_chaos(fleet: Fleet) -> None:
    chaos(fleet, 15, 1)


@pytest.mark.deep
def test_three_daemons_survive_ten_minutes_of_chaos(fleet: Fleet) -> None:
    chaos(fleet, float(os.environ.get("VISIONFLOW_CHAOS_SECONDS", "600")), 2)
