"""Repositories: bare ones, written by git's fast-import as a stream, packed, with branches for what comes next.

They are written by a process of their own, `python -m benchmarks.repository`: a process inherits the peak memory of
the one that starts it, so that whoever measures must stay small.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

from benchmarks.hubs import Hub
from benchmarks.pages import Ontology

Change = tuple[str, bytes | None]
"""A path with its new content, or with None where it goes."""

BASE = "base"
"""The branch of the first commit; `main`, which HEAD names, is moved among the branches."""

BAD_PATH, BAD_PAGE = "~/Last of all.md", b"# Last of all\n```json-ld\n{ broken\n```\n"
"""A page that can't be read, and comes after all others."""

CHANGES = (1, 10, 100)
"""How many pages are changed by the branches `change-1` and so on."""

GONE = 100
"""How many pages the branch `delete` lacks."""

COMPLETE = "complete"
"""The file that is written into a repository last."""


def run_git(repository: Path, *arguments: str) -> str:
    """Run git in a repository, away from the configuration of whoever runs it."""
    environment = {"GIT_CONFIG_NOSYSTEM": "1", "HOME": str(repository), "LANG": "C.UTF-8"}
    command = [shutil.which("git") or "git", "-C", str(repository), *arguments]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE)
    return done.stdout.decode().strip()


def create(path: Path) -> None:
    """Make an empty bare repository."""
    path.mkdir(parents=True)
    run_git(path, "init", "--quiet", "--bare", "--initial-branch=main")


def commit(repository: Path, branch: str, changes: Iterable[Change], onto: str | None = None) -> None:
    """Write a commit on a new branch, onto another branch or as the first."""
    git = shutil.which("git") or "git"
    command = [git, "-C", str(repository), "-c", "fastimport.unpackLimit=0", "fast-import", "--quiet", "--depth=0"]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as importer:
        if importer.stdin is None:
            raise RuntimeError("git fast-import has no standard input")
        write = importer.stdin.write
        message = branch.encode()
        write(b"commit refs/heads/%s\ncommitter Bench <bench@example.org> 1700000000 +0000\n" % message)
        write(b"data %d\n%s\n" % (len(message), message))
        if onto:
            write(b"from refs/heads/%s^0\n" % onto.encode())
        for path, content in changes:
            if content is None:
                write(b"D %s\n" % path.encode())
            else:
                write(b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(content), content))
    if importer.returncode:
        raise RuntimeError(f"git fast-import left with {importer.returncode}")


def move(repository: Path, branch: str) -> None:
    """Let the branch that HEAD names be at another branch's commit."""
    run_git(repository, "update-ref", "refs/heads/main", f"refs/heads/{branch}")


def spread(size: int, many: int) -> list[int]:
    """Choose that many pages of all, from one end to the other."""
    return [number * size // many for number in range(min(many, size))]


def generate(repository: Path, ontology: Ontology) -> None:
    """Write an ontology's repository, with a branch for each change that is measured."""
    create(repository)
    commit(repository, BASE, ontology.pages())
    for many in CHANGES:
        changed = (ontology.page(index, version=2) for index in spread(ontology.size, many))
        commit(repository, f"change-{many}", changed, BASE)
    gone = (ontology.page(index)[0] for index in spread(ontology.size, min(GONE, ontology.size // 5)))
    commit(repository, "delete", ((path, None) for path in gone), BASE)
    commit(repository, "bad", [(BAD_PATH, BAD_PAGE)], BASE)
    move(repository, BASE)
    (repository / COMPLETE).touch()


def generate_hub(repository: Path, hub: Hub) -> None:
    """Write the repository whose pages all link to one name, and the branch where a page takes it."""
    create(repository)
    commit(repository, BASE, hub.pages())
    commit(repository, "taken", [hub.taker()], BASE)
    move(repository, BASE)
    (repository / COMPLETE).touch()


def main() -> None:
    """Write a repository."""
    parser = argparse.ArgumentParser(description="Writes a repository of generated pages.")
    parser.add_argument("repository", type=Path)
    parser.add_argument("size", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--hub", action="store_true", help="pages that all link to one name")
    given = parser.parse_args()
    shutil.rmtree(given.repository, ignore_errors=True)
    if given.hub:
        generate_hub(given.repository, Hub(given.size))
    else:
        generate(given.repository, Ontology(given.seed, given.size))


if __name__ == "__main__":
    main()
