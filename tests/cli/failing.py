"""Failures of all kinds, and how the verbs are asked about them."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support import Daemon, Repo, git

A, B, C = "urn:t:a", "urn:t:b", "urn:t:c"
NOT_UTF8 = b"pages/n\xffew.md"
SHOWN = "pages/n\\xffew.md"


def lose(repo: Repo, path: str) -> None:
    """Take a file's blob out of a repository, as a damaged disk does."""
    blob = git("rev-parse", f"main:{path}", cwd=repo.path)
    (repo.path / "objects" / blob[:2] / blob[2:]).unlink()


def failures(daemon: Daemon, *arguments: str | Path) -> list[str]:
    """Give the lines of `failures`."""
    ran = daemon.run("failures", "--database", "kg.db", *arguments)
    assert (ran.code, ran.err) == (0, "")
    return ran.out.splitlines()


def raw(daemon: Daemon, *arguments: str | bytes) -> subprocess.CompletedProcess[bytes]:
    """Run the program with arguments of any bytes."""
    command = [*daemon.command(), *arguments, "--database", daemon.database()]
    return subprocess.run(command, cwd=daemon.folder, env=daemon.env(), capture_output=True, check=False)
