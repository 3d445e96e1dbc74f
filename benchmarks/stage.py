"""The stage: what all cases share, and the commands that they measure."""

from __future__ import annotations

import shutil
import sqlite3
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import process
from benchmarks.inputs import Input
from benchmarks.process import Run
from benchmarks.results import Sheet


@dataclass(frozen=True, slots=True)
class Stage:
    """The inputs, how often each is measured, where scratch files go, and the sheet that takes the values."""

    inputs: tuple[Input, ...]
    hub: Input
    rounds: int
    is_quick: bool
    folder: Path
    server: str | None = None
    """The URL of a database on a server where others may be made; None where none is measured."""

    sheet: Sheet = field(default_factory=Sheet)
    started: float = field(default_factory=time.monotonic)

    @property
    def main_inputs(self) -> tuple[Input, ...]:
        """The inputs of all cases but the first sync: a quick look takes one alone."""
        return self.inputs[-1:] if self.is_quick else self.inputs

    @property
    def generated(self) -> tuple[Input, ...]:
        """Those of them that have branches with changes."""
        return tuple(each for each in self.main_inputs if each.is_generated)

    def each_round(self, case: str, what: Input) -> Iterator[int]:
        """Give the numbers of the rounds, and say on standard error where we are."""
        for number in range(1, self.rounds + 1):
            self.tell(f"{case}, {what.name}: round {number} of {self.rounds}")
            yield number

    def tell(self, text: str) -> None:
        """Say on standard error what goes on."""
        print(f"{time.monotonic() - self.started:7.1f} s  {text}", file=sys.stderr, flush=True)

    def fresh(self, name: str) -> Path:
        """Give a path where no database is."""
        path = self.folder / f"{name}.db"
        for suffix in ("", "-wal", "-shm"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)
        return path

    def home(self) -> Path:
        """Give a home for a process, where it keeps its state."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        return home

    def synced(self, what: Input) -> Path:
        """Give a copy of a database synced with an input's first commit, whose process has ended: there is no WAL."""
        original = self.folder / f"synced-{what.repository.name}.db"
        if not original.exists():
            self.ours(what, original)
        copy = self.fresh("copy")
        shutil.copyfile(original, copy)
        return copy

    def ours(
        self,
        what: Input,
        database: Path | str,
        *,
        source: str | None = None,
        expect: int = 0,
        settings: Mapping[str, str] | None = None,
    ) -> Run:
        """Run the program, as its users do, with the settings that it has by itself, but for those that are given."""
        return process.run(once(what, database, source), self.home(), expect, settings or {})

    def floor(self, what: Input, database: Path) -> Run:
        """Do the least work that a first sync must do."""
        include = ["--include", what.include] if what.include else []
        return process.run(["benchmarks.floor", str(what.repository), str(database), *include], self.home())

    def batch(self, what: Input, database: Path, expect: int = 0) -> Run:
        """Sync as the way does that the program replaces."""
        include = ["--include", what.include] if what.include else []
        return process.run(["benchmarks.batch", str(what.repository), str(database), *include], self.home(), expect)

    def inside(self, job: str, what: Input, database: Path, *arguments: str) -> Run:
        """Run passes in a process that stays up."""
        include = ["--include", what.include] if what.include else []
        command = ["benchmarks.inside", job, str(what.repository), str(database), *include, *arguments]
        return process.run(command, self.home())


def once(what: Input, database: Path | str, source: str | None = None) -> list[str]:
    """Give the command of one pass."""
    include = ["--include", what.include] if what.include else []
    place = source or str(what.repository)
    return ["visionflow_daemon", "--once", "--source", place, "--database", str(database), *include]


def ask(database: Path, query: str) -> int:
    """Ask a database for one number."""
    with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        (found,) = connection.execute(query).fetchone()
    return int(found)


def megabytes(path: Path) -> float:
    """Give the size of a file, or of all files of a folder."""
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(each.stat().st_size for each in files if each.is_file()) / 1e6


def expect(what: str, found: object, due: object) -> None:
    """See that a measured run did its work. Raises RuntimeError."""
    if found != due:
        raise RuntimeError(f"{what}: {found}, not {due}")
