"""The loop in one process: what it tells its observer, and that it needs no more for many passes than for a few."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog

from tests.support import Repo, class_page, eventually, git
from visionflow_daemon import logs
from visionflow_daemon.config.values import Config, SourceConfig
from visionflow_daemon.daemon.around import Around
from visionflow_daemon.daemon.keeper import Keeper
from visionflow_daemon.daemon.loop import Loop
from visionflow_daemon.daemon.rota import Rota
from visionflow_daemon.daemon.wake import Wake
from visionflow_daemon.errors import ConfigError, ExitCode
from visionflow_daemon.ops.backup_counts import BackupCounts
from visionflow_daemon.ops.inbound.receiver import Receiver
from visionflow_daemon.ops.systemd import Notify
from visionflow_daemon.storage.checkpoint import Tally
from visionflow_daemon.sync.breaker import Rules
from visionflow_daemon.sync.run import Summary

ROUNDS = 300


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Log nothing but errors, to standard error."""
    logs.configure("json", "error", to_stderr=True)
    yield
    structlog.reset_defaults()


@dataclass
class Script:
    """An observer that notes what it is told, and says after each pass what comes next."""

    loop: Loop | None = None
    told: list[tuple[Any, ...]] = field(default_factory=list)
    then: list[Any] = field(default_factory=list)

    def _next(self) -> None:
        if self.then:
            self.then.pop(0)()
        elif self.loop is not None:
            self.loop.stop()

    def source_known(self, ontology_id: str, location: str, branch: str | None, interval: float) -> None:
        """Note it."""
        self.told.append(("known", ontology_id, location, branch, interval))

    def source_gone(self, ontology_id: str) -> None:
        """Note it."""
        self.told.append(("gone", ontology_id))

    def pass_begun(self, ontology_id: str, why: str) -> None:
        """Note it."""
        self.told.append(("begun", ontology_id, why))

    def head_found(self, ontology_id: str, commit: str, *, is_there: bool) -> None:
        """Note it."""
        self.told.append(("head", ontology_id, commit, is_there))

    def planned(self, ontology_id: str, files: int) -> None:
        """Note it."""
        self.told.append(("planned", ontology_id, files))

    def moved(self, ontology_id: str, tally: Tally) -> None:
        """Note it."""
        if self.told[-1][0] == "moved":
            self.told.pop()
        self.told.append(("moved", ontology_id, tally.done))

    def pass_done(self, ontology_id: str, summary: Summary) -> None:
        """Note it."""
        self.told.append(("done", ontology_id, summary.run_id is not None))
        self._next()

    def pass_failed(self, ontology_id: str, reason: str, code: ExitCode, mark: str | None = None) -> None:  # noqa: ARG002
        """Note it."""
        self.told.append(("failed", ontology_id, reason, code))
        self._next()

    def next_due(self, ontology_id: str, when: datetime | None) -> None:
        """Note it."""
        self.told.append(("due", ontology_id, when))


class Clock:
    """A time that moves when it is told to."""

    def __init__(self) -> None:
        self.time = datetime(2030, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        """Give the time."""
        return self.time


@dataclass
class Stage:
    """A loop with all that it needs; `config` is what it reads next, an error what it meets instead."""

    config: Config
    state: Path
    script: Script = field(default_factory=Script)
    wake: Wake = field(default_factory=Wake)
    clock: Clock = field(default_factory=Clock)

    def loop(self) -> Loop:
        """Make the loop, in the thread that is to run it."""
        around = Around(
            wake=self.wake,
            rota=Rota(self.wake),
            notify=Notify({}),
            observer=self.script,
            receiver=Receiver(self.wake.ask_soon),
            keeper=Keeper(BackupCounts()),
            now=self.clock,
        )
        made = Loop(lambda: self.config, self.state, around)
        self.script.loop = made
        return made


@pytest.fixture
def stage(repo: Repo, tmp_path: Path) -> Stage:
    repo.commit({"p.md": class_page("urn:t:p", "P")})
    sources = (SourceConfig(str(repo.path), ontology_id="a"),)
    return Stage(Config(sources, str(tmp_path / "kg.db"), base=tmp_path), tmp_path / "state")


def test_the_observer_is_told_of_all_that_happens(stage: Stage, tmp_path: Path) -> None:
    location = stage.config.sources[0].location

    def change() -> None:
        gone = SourceConfig("https://me:opensesame@127.0.0.1:9/r.git", "main", "b", interval=5.0)
        stage.config = replace(stage.config, sources=(gone,), breaker=Rules(failing_passes=1))
        loop.read_anew()

    stage.script.then = [lambda: stage.wake.ask("a", "again"), change]
    loop = stage.loop()
    loop.run()
    told = stage.script.told
    tip = told[2][2]
    assert told[:6] == [
        ("known", "a", location, None, 60.0),
        ("begun", "a", "start"),
        ("head", "a", git("rev-parse", "main", cwd=Path(location)), False),
        ("planned", "a", 1),
        ("moved", "a", 1),
        ("done", "a", True),
    ]
    assert told[6][:2] == ("due", "a")
    assert told[6][2] is not None
    assert told[7:10] == [("begun", "a", "again"), ("head", "a", tip, True), ("done", "a", False)]
    assert told[11][0] == "gone"
    assert told[12] == ("known", "b", "https://127.0.0.1:9/r.git", "main", 5.0)
    assert told[13] == ("begun", "b", "configuration read anew")
    assert told[14][0] == "failed"
    assert told[14][3] is ExitCode.REMOTE
    assert told[15][2] >= stage.clock.time + timedelta(seconds=60)
    assert not (tmp_path / "kg.db-wal").exists(), "the database was not closed"


def test_a_breaker_is_waited_for_by_the_clock(stage: Stage) -> None:
    remote = SourceConfig("http://127.0.0.1:9/r.git", "main", "a")
    stage.config = replace(stage.config, sources=(remote,), breaker=Rules(failing_passes=1, cool_down=100.0))
    done = threading.Event()

    def later() -> None:
        done.set()
        for _ in range(50):
            stage.wake.ask("a", "too early")

    stage.script.then = [later]
    loop = stage.loop()

    def wait_then_go() -> None:
        assert done.wait(20)
        eventually(lambda: any(told[0] == "due" for told in stage.script.told))
        stage.clock.time += timedelta(seconds=130)
        stage.wake.ask("a", "interval")

    helper = threading.Thread(target=wait_then_go)
    helper.start()
    loop.run()
    helper.join()
    assert [told[0] for told in stage.script.told].count("failed") == 2


def test_without_a_source_it_does_not_begin(stage: Stage) -> None:
    stage.config = Config()
    with pytest.raises(ConfigError, match="no source"):
        stage.loop().run()


def test_a_configuration_that_is_refused_leaves_all_as_it_was(stage: Stage) -> None:
    good = stage.config

    def worsen() -> None:
        stage.config = replace(good, database="mysql://x")
        loop.read_anew()
        stage.wake.ask("a", "after")

    stage.script.then = [worsen]
    loop = stage.loop()
    loop.run()
    begun = [told for told in stage.script.told if told[0] in {"begun", "known", "gone", "failed"}]
    assert begun[1:] == [("begun", "a", "start"), ("begun", "a", "after")]


def test_many_passes_need_no_more_than_a_few(stage: Stage, repo: Repo) -> None:
    held: list[tuple[int, int, int]] = []

    def measure() -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        held.append(
            (threading.active_count(), len(list(Path("/proc/self/fd").iterdir())), pages * os.sysconf("SC_PAGE_SIZE"))
        )

    def one(number: int) -> None:
        measure()
        if number % 3 == 0:
            repo.commit({"p.md": class_page("urn:t:p", f"P{number}")})
        if number % 50 == 49:
            assert stage.script.loop is not None
            stage.script.loop.read_anew()
        stage.wake.ask("a", f"round {number}")

    stage.script.then = [lambda number=number: one(number) for number in range(ROUNDS)]
    stage.loop().run()
    measure()
    settled = held[50:-1]
    threads, files, memory = zip(*settled, strict=True)
    assert max(threads) - min(threads) <= 1
    assert max(files) - min(files) <= 3
    assert memory[-1] - memory[0] < 4 << 20
    assert held[-1][0] <= held[0][0]
