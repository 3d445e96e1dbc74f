"""Inputs: the repositories that are measured, generated or real."""

from __future__ import annotations

import fnmatch
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import process
from benchmarks.pages import GENERATOR
from benchmarks.repository import BASE, COMPLETE, move, run_git


@dataclass(frozen=True, slots=True)
class Input:
    """One repository: what its commit holds, and which of its files are meant."""

    name: str
    repository: Path
    include: str | None
    commit: str
    files: int
    bytes: int
    is_generated: bool

    @contextmanager
    def at(self, branch: str) -> Iterator[None]:
        """Let HEAD be at another branch's commit for a while."""
        move(self.repository, branch)
        try:
            yield
        finally:
            move(self.repository, BASE)


def generated(work: Path, seed: int, size: int) -> Input:
    """Give the repository of an ontology of that many pages, made unless it is there."""
    repository = _made(work, seed, size)
    return _described(f"{size:,} pages", repository, None, is_generated=True)


def hub(work: Path, size: int) -> Input:
    """Give the repository of pages that all link to one name."""
    repository = _made(work, 0, size, "--hub")
    return _described(f"{size:,} links to one name", repository, None, is_generated=True)


def corpus(work: Path, place: Path, include: str) -> Input:
    """Give a bare clone of a real repository or bundle."""
    repository = work / "corpus.git"
    shutil.rmtree(repository, ignore_errors=True)
    run_git(work, "clone", "--quiet", "--bare", str(place.resolve()), str(repository))
    return _described(place.stem, repository, include, is_generated=False)


def _made(work: Path, seed: int, size: int, *kind: str) -> Path:
    """Let a process of its own write a repository: this one must stay small."""
    repository = work / f"{'hub' if kind else 'ontology'}-{seed}-{size}-g{GENERATOR}.git"
    if (repository / COMPLETE).exists():
        move(repository, BASE)
    else:
        process.run(["benchmarks.repository", str(repository), str(size), f"--seed={seed}", *kind], work)
    return repository


def _described(name: str, repository: Path, include: str | None, *, is_generated: bool) -> Input:
    matches = re.compile(fnmatch.translate(include or "*")).match
    files = size = 0
    command = [shutil.which("git") or "git", "-c", "core.quotePath=false", "-C", str(repository)]
    with subprocess.Popen([*command, "ls-tree", "-r", "-l", "HEAD"], stdout=subprocess.PIPE) as listing:
        for line in listing.stdout or ():
            about, _, path = line.rstrip(b"\n").partition(b"\t")
            if matches(path.decode("utf-8", "replace")):
                files += 1
                size += int(about.split()[3])
    commit = run_git(repository, "rev-parse", "HEAD")
    return Input(name, repository, include, commit, files, size, is_generated)
