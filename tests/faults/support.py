"""What the rows of the fault matrix share: how faults are made, and what must hold after each."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet

from tests import engines
from tests.engines import assert_sound
from tests.support import Daemon, Ran, Repo, class_page

NOBODY = str(50_000 + os.getpid() % 10_000)
"""A user without rights, and without other processes, which limits would count."""
Pages = dict[bytes | str, str | None]

SAVED: dict[str, tuple[bytes | str, str]] = {}
"""The database of a commit and its dump, made once: every scene begins with the same one."""

FRESH: dict[str, str] = {}
"""The dump of a fresh database of a commit."""


def pages(numbers: range, side: str = "old", size: int = 0) -> Pages:
    """Make pages that hang together, so that each save derives rows of others."""
    return {
        f"p{number:04}.md": class_page(
            f"urn:t:{number}", f"{side} {number}", comment="x" * size, subClassOf=[{"@id": f"urn:t:{number // 3}"}]
        )
        for number in numbers
    }


def rarely(*values: object) -> list[ParameterSet]:
    """Mark values of a parameter that only the deep tests try."""
    return [pytest.param(value, marks=pytest.mark.deep) for value in values]


class Scene:
    """A source with a commit that is saved, and a second one on top, whose pass is to meet the fault."""

    def __init__(self, repo: Repo, daemon: Daemon, database: Path, saved: int = 40, new: int = 160) -> None:
        self.repo = repo
        self.daemon = daemon
        self.database = database
        first = repo.commit(pages(range(saved)))
        if first not in SAVED:
            daemon.once(repo.path, database=str(database))
            SAVED[first] = (engines.kept(database), daemon.dump_bytes(str(database)))
        content, self.before = SAVED[first]
        engines.put_back(database, content)
        self.files_before = files(database)
        gone: Pages = {f"p{number:04}.md": None for number in range(saved - 5, saved)}
        repo.commit(pages(range(10), "new") | pages(range(saved, saved + new)) | gone)
        self.target = blobs(repo)

    def run(self, *under: str, arguments: tuple[str, ...] = (), timeout: float = 60, **environment: str) -> Ran:
        """Run the second pass, under a program that makes the fault."""
        faulty = replace(self.daemon, under=under, environment={**self.daemon.environment, **environment})
        given = ("--once", "--source", str(self.repo.path), "--database", str(self.database), "--workers", "4")
        return faulty.run(*given, *arguments, timeout=timeout)

    def survives(
        self, ran: Ran, code: int, says: str, *, event: str = "pass failed", untouched: bool = False, heal: bool = True
    ) -> None:
        """See that the pass said what happened, that nothing is lost, and that the next healthy pass ends exact."""
        assert ran.code == code, (ran.code, ran.out[-2000:], ran.err[-2000:])
        assert says in ran.err
        assert "Traceback" not in ran.err
        if event:
            assert says in ran.event(event)["reason"]
            assert ran.event(event)["exit_code"] == code
        self.keeps(untouched=untouched)
        if heal:
            self.heals()

    def keeps(self, *, untouched: bool = False) -> None:
        """See that the database is sound, and that every file saved before is there, old or new, and not in doubt."""
        assert_sound(self.database)
        if untouched:
            assert self.daemon.dump_bytes(str(self.database)) == self.before
        held = files(self.database)
        for path, blob in self.files_before.items():
            assert held.get(path) in {blob, self.target.get(path)}, path
        assert (
            engines.query(self.database, "SELECT display_path, reason FROM source_files WHERE status = 'failed'") == []
        )

    def heals(self, *arguments: str) -> Ran:
        """Run a healthy pass; its dump must be that of a fresh database of the same commit."""
        ran = self.daemon.once(self.repo.path, *arguments, database=str(self.database))
        tip = self.repo.tip() or ""
        if tip not in FRESH:
            self.daemon.once(self.repo.path, database="fresh.db")
            FRESH[tip] = self.daemon.dump_bytes("fresh.db")
        assert self.daemon.dump_bytes(str(self.database)) == FRESH[tip]
        return ran


def files(database: Path) -> dict[str, str | None]:
    """Give the saved blob of every file in a database."""
    return dict(engines.query(database, "SELECT display_path, blob_saved FROM source_files"))


def blobs(repo: Repo) -> dict[str, str | None]:
    """Give the blob of every file at the tip of a repository; None for those that are gone."""
    listed = subprocess.run(
        ["git", "ls-tree", "-r", repo.branch], cwd=repo.path, capture_output=True, text=True, check=True
    ).stdout
    return {line.split("\t")[1]: line.split()[2] for line in listed.splitlines()}


@contextmanager
def tmpfs(place: Path, size: str) -> Iterator[Path]:
    """Mount a small file system; skip where that is not permitted."""
    if os.geteuid() != 0:
        pytest.skip("mounting needs root")
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "faults", str(place)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"mounting is not permitted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def remount(place: Path, options: str) -> None:
    """Change the size or the rights of a mounted file system."""
    subprocess.run(["mount", "-o", f"remount,{options}", str(place)], check=True)


def strace(what: str, *inject: str, only: tuple[Path, ...] = ()) -> tuple[str, ...]:
    """Give the command that makes system calls fail, for those of `what` that touch the paths of `only`."""
    found = shutil.which("strace")
    if found is None:
        pytest.skip("strace is not installed")
    probe = subprocess.run([found, "-f", "-qq", "-o", "/dev/null", "true"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("tracing is not permitted here")
    paths = [argument for path in only for argument in ("-P", str(path))]
    injections = [argument for each in inject for argument in ("-e", f"inject={each}")]
    return (found, "-f", "-qq", "-o", "/dev/null", "-e", f"trace={what}", *injections, *paths)


def tool(*command: str) -> tuple[str, ...]:
    """Give a command that makes a fault; skip where it is not installed."""
    if shutil.which(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed")
    return command


def as_nobody() -> tuple[str, ...]:
    """Give the command that runs ours without rights; skip where it can't be, or could not read our program."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    under = tool("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    daemon = Daemon(Path("/"), under=under)
    probe = subprocess.run(
        [*under, *daemon.command("--version")[len(under) :]], capture_output=True, check=False, cwd="/"
    )
    if probe.returncode:
        pytest.skip("another user can't run the program where it is installed")
    return under


def owned_by_nobody(folder: Path) -> None:
    """Give a folder and all in it to the user without rights."""
    for path in (folder, *folder.rglob("*")):
        os.chown(path, int(NOBODY), int(NOBODY), follow_symlinks=False)
