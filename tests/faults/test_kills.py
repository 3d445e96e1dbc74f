"""Kills at random moments, on and on, while the source moves: the database is sound after each, and exact in the end.

Quick: a small history that is made up. Deep: 200 kills over the commits of the real repositories.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests import engines
from tests.conftest import corpus
from tests.engines import assert_sound
from tests.faults.support import Pages, pages
from tests.support import Daemon, Repo, git

FIRST_MOMENT = 0.05
METAVERSE = ("--prefix", "mv=https://metaverse-ontology.org/")
NARRATIVE = ("--include", "ontology/pages/*.md")


@dataclass
class Walk:
    """Passes along a history, each killed at a moment drawn at random from the time that it would take."""

    daemon: Daemon
    source: Path
    arguments: tuple[str, ...]
    chance: random.Random
    database: Path = field(init=False)
    kills: int = 0
    kills_while_writing: int = 0
    ended_before: int = 0
    compared: int = 0

    def __post_init__(self) -> None:
        self.database = self.daemon.folder / "walked.db"

    def go(self, commits: Sequence[str], kills: int, compare_every: int) -> None:
        """Spread the kills over the commits; compare with a fresh database now and then, and at the end."""
        due = 0
        for at, commit in enumerate(commits):
            git("update-ref", "refs/heads/main", commit, cwd=self.source)
            wanted = kills * (at + 1) // len(commits)
            tries, seconds = 0, self.time_of_a_pass()
            while self.kills < wanted and tries < 10 * (kills // len(commits) + 1):
                tries += 1
                if not self.kill_once(seconds):
                    # The pass was over: the next one has work again when it starts from another commit.
                    git("update-ref", "refs/heads/main", self.chance.choice(commits), cwd=self.source)
                    seconds = self.time_of_a_pass()
                elif self.kills >= due + compare_every:
                    due = self.kills
                    self.compare()
            git("update-ref", "refs/heads/main", commit, cwd=self.source)
        self.compare()

    def time_of_a_pass(self) -> float:
        """Measure the pass that is due, on a copy of the database."""
        for path in self.daemon.folder.glob("copy.db*"):
            path.unlink()
        for path in self.daemon.folder.glob("walked.db*"):
            shutil.copyfile(path, path.with_name(path.name.replace("walked", "copy")))
        started = time.monotonic()
        ran = self.run("copy.db")
        assert ran.returncode in {0, 3}, ran.stderr
        return time.monotonic() - started

    def kill_once(self, seconds: float) -> bool:
        """Start a pass and kill it at a random moment; tell whether it was still at work."""
        process = self.daemon.start(*self.command("walked.db"))
        try:
            # More often late than early: a pass begins with starting Python.
            process.wait(self.chance.triangular(FIRST_MOMENT, seconds, seconds))
        except subprocess.TimeoutExpired:
            process.kill()
        out, err = process.communicate()
        if process.returncode != -9:
            assert process.returncode in {0, 3}, (out, err)
            self.ended_before += 1
            return False
        self.kills += 1
        if self.database.exists():
            assert_sound(self.database)
            self.kills_while_writing += self.has_a_running_pass()
        return True

    def has_a_running_pass(self) -> bool:
        """Tell whether the kill came between a pass's first write and its last."""
        with engines.Connected(self.database) as connection:
            try:
                return bool(connection.execute("SELECT 1 FROM sync_runs WHERE status = 'running'").fetchone())
            except engines.Refused:  # killed before the schema was made
                return False

    def compare(self) -> None:
        """Run a pass to its end, and see that the dump is that of a fresh database."""
        for path in self.daemon.folder.glob("fresh.db*"):
            path.unlink()
        codes = [self.run(name).returncode for name in ("walked.db", "fresh.db")]
        assert codes[0] == codes[1]
        assert codes[0] in {0, 3}
        assert_sound(self.database)
        assert self.daemon.dump_bytes("walked.db") == self.daemon.dump_bytes("fresh.db")
        self.compared += 1

    def run(self, name: str) -> subprocess.CompletedProcess[bytes]:
        """Run a pass to its end."""
        command = self.daemon.command(*self.command(name))
        return subprocess.run(
            command, cwd=self.daemon.folder, env=self.daemon.env(), capture_output=True, check=False, timeout=120
        )

    def command(self, name: str) -> list[str]:
        """Give the arguments of a pass; where the tip goes back and forth, most classes go at times."""
        given = ("--source", str(self.source), "--database", name, *self.arguments)
        return ["--once", "--allow-mass-delete", *given]

    def figures(self) -> str:
        """Say what the walk did."""
        return json.dumps(
            {
                "kills": self.kills,
                "while a pass was writing": self.kills_while_writing,
                "over before the kill": self.ended_before,
                "compared with a fresh database": self.compared,
            }
        )


def test_a_few_kills_over_a_small_history(repo: Repo, daemon: Daemon) -> None:
    sides = ("old", "new", "newer")
    commits = []
    for number, side in enumerate(sides):
        changed: Pages = pages(range(20 * number, 150 + 20 * number), side)
        changed |= {f"p{gone:04}.md": None for gone in range(20 * number - 20, 20 * number) if gone >= 0}
        commits.append(repo.commit(changed))
    walk = Walk(daemon, repo.path, (), random.Random(7))  # noqa: S311 - moments, not secrets
    walk.go(commits, kills=8, compare_every=4)
    assert walk.kills == 8, walk.figures()


@pytest.mark.deep
@pytest.mark.corpus
@pytest.mark.parametrize(
    ("name", "arguments"), [("narrativegoldmine-974", NARRATIVE), ("metaverse", METAVERSE)], ids=["974", "metaverse"]
)
def test_a_hundred_kills_over_a_real_history(
    tmp_path: Path, daemon: Daemon, name: str, arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    repository = corpus(name, tmp_path)
    commits = git("rev-list", "--reverse", "main", cwd=repository).split()
    seed = os.environ.get("VISIONFLOW_TEST_SEED", "20")
    walk = Walk(daemon, repository, arguments, random.Random(f"{name} {seed}"))  # noqa: S311 - moments, not secrets
    walk.go(commits, kills=100, compare_every=20)
    with capsys.disabled():
        print(f"\n{name}, {len(commits)} commits: {walk.figures()}")  # noqa: T201 - the figures are what one runs it for
    assert walk.kills == 100, walk.figures()
    assert walk.kills_while_writing >= 10, walk.figures()
