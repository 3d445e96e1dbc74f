"""New commits on a branch are noticed at once, in every form in which a repository may hold its branches."""

from __future__ import annotations

import errno
import queue
import shutil
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from watchdog.observers import Observer

from tests import engines
from tests.support import Daemon, Repo, class_page, git
from visionflow_daemon.git import watch
from visionflow_daemon.git.watch import Watch
from visionflow_daemon.git.watched import Branch

COMMITS = 12
"""Fewer than were measured (50), for the time that they take."""

LONG = 100.0
"""Seconds between two looks beside the events: never, here."""


class Told:
    """A watch, and what it tells."""

    def __init__(self, path: Path, branch: str | None = "main", poll: float = LONG) -> None:
        self.reasons: queue.Queue[str] = queue.Queue()
        self.watch = Watch(Branch(str(path), branch, path.parent), poll, self.reasons.put)

    def next(self) -> str:
        """Wait for the next reason."""
        return self.reasons.get(timeout=5)

    def nothing_for(self, seconds: float) -> None:
        """See that nothing is told meanwhile."""
        with pytest.raises(queue.Empty):
            self.reasons.get(timeout=seconds)


@contextmanager
def watching(path: Path, branch: str | None = "main", poll: float = LONG) -> Iterator[Told]:
    told = Told(path, branch, poll)
    try:
        yield told
    finally:
        told.watch.close()


def commit_in(tree: Path, text: str) -> str:
    """Commit by git itself, into a work tree."""
    (tree / "p.md").write_text(text)
    git("add", "p.md", cwd=tree)
    git("commit", "--quiet", "-m", text, cwd=tree)
    return f"commit {git('rev-parse', 'HEAD', cwd=tree)[:12]}"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A work tree with a commit."""
    path = tmp_path / "tree"
    git("init", "--quiet", "--initial-branch=main", str(path))
    commit_in(path, "first")
    return path


def test_a_bare_repository(repo: Repo) -> None:
    repo.commit({"a": "1"})
    with watching(repo.path) as told:
        assert repo.commit({"a": "2"})[:12] in told.next()


def test_a_work_tree(tree: Path) -> None:
    with watching(tree) as told:
        for number in range(3):
            assert commit_in(tree, str(number)) == told.next()


def test_a_linked_worktree_with_a_branch_of_its_own(tree: Path, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    git("worktree", "add", "--quiet", "-b", "feature/x", str(linked), cwd=tree)
    assert (linked / ".git").is_file()
    with watching(linked, None) as told:
        assert commit_in(linked, "second") == told.next()
        commit_in(tree, "on main")
        told.nothing_for(0.4)


def test_the_branch_that_head_names_may_become_another(tree: Path) -> None:
    with watching(tree, None) as told:
        git("checkout", "--quiet", "-b", "other", cwd=tree)
        assert commit_in(tree, "second") == told.next()
        git("checkout", "--quiet", "main", cwd=tree)
        assert "commit" in told.next()


def test_packed_branches(tree: Path) -> None:
    git("pack-refs", "--all", cwd=tree)
    with watching(tree) as told:
        assert commit_in(tree, "second") == told.next()
        git("pack-refs", "--all", "--prune", cwd=tree)
        told.nothing_for(0.4)
        packed = tree / ".git" / "packed-refs"
        first = git("rev-parse", "main~1", cwd=tree)
        fresh = packed.with_name("fresh")
        fresh.write_text(packed.read_text().replace(git("rev-parse", "main", cwd=tree), first))
        fresh.replace(packed)
        assert told.next() == f"commit {first[:12]}"


def test_branches_in_new_folders(repo: Repo) -> None:
    repo.commit({"a": "1"})
    with watching(repo.path, "a/b/c") as told:
        commit = repo.commit({"a": "2"}, branch="a/b/c")
        assert told.next() == f"commit {commit[:12]}"
        assert repo.commit({"a": "3"}, branch="a/b/c")[:12] in told.next()


def test_what_is_not_a_commit_of_the_branch_is_told_to_nobody(tree: Path) -> None:
    with watching(tree) as told:
        (tree / "p.md").write_text("changed")
        git("add", "p.md", cwd=tree)
        git("branch", "other", cwd=tree)
        git("status", cwd=tree)
        told.nothing_for(0.5)


def test_a_repository_that_goes_and_comes_back(tree: Path) -> None:
    with watching(tree, poll=0.05) as told:
        away = tree.with_name("away")
        tree.rename(away)
        assert told.next() == "the branch can't be read"
        shutil.copytree(away, tree)
        assert "commit" in told.next()
    with watching(tree) as told:
        assert commit_in(tree, "second") == told.next()


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "no more"), OSError(errno.EMFILE, "no more"), RuntimeError("can't start new thread")],
)
def test_without_events_the_branch_is_looked_at(tree: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(type(Observer()), "start", refuse)
    warned: list[str] = []
    monkeypatch.setattr(watch.log, "warning", lambda event, **_: warned.append(event), raising=False)
    with watching(tree, poll=0.05) as told:
        assert commit_in(tree, "second") == told.next()
        assert commit_in(tree, "third") == told.next()
    assert warned == ["changes are not reported"]


@pytest.mark.parametrize("limit", ["max_inotify_watches", "max_inotify_instances"])
def test_where_the_system_reports_nothing_the_daemon_polls(repo: Repo, daemon: Daemon, limit: str) -> None:
    unshare = ("unshare", "-U", "-r", "sh", "-c", f'echo 0 >/proc/sys/user/{limit} && exec "$@"', "sh")
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode:
        pytest.skip("limits of inotify can't be set here")
    repo.commit({"a.md": class_page("urn:t:a", "A")})
    daemon.under = unshare
    daemon.environment["VISIONFLOW_DAEMON__POLL"] = "0.1"
    with daemon.running("--source", repo.path, "--database", "kg.db") as running:
        assert "fs.inotify" in running.until("changes are not reported")["reason"]
        running.until("pass finished")
        commit = repo.commit({"a.md": class_page("urn:t:a", "B")})
        assert running.until("pass finished")["commit"] == commit
        assert running.count("changes are not reported") == 1
        assert running.end() == 0


def test_what_watchdog_says_of_lost_events_is_no_line_of_ours(daemon: Daemon) -> None:
    ran = daemon.run_python(
        "import logging; import visionflow_daemon.git.watch;"
        "logging.getLogger('watchdog.observers.inotify').error('lost')"
    )
    assert (ran.code, ran.out, ran.err) == (0, "", "")


def test_lost_events_are_made_up_for(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Watch, "on_any_event", lambda *_: None)
    with watching(tree, poll=0.05) as told:
        assert commit_in(tree, "second") == told.next()


def test_a_commit_is_in_the_database_at_once(repo: Repo, daemon: Daemon) -> None:
    repo.commit({f"p{number}.md": class_page(f"urn:t:{number}", f"P{number}") for number in range(100)})
    seconds = []
    with daemon.running("--source", repo.path, "--database", "kg.db") as running:
        running.until("pass finished")
        with engines.Connected(daemon.folder / "kg.db") as reader:
            for number in range(COMMITS):
                repo.commit({"p7.md": class_page("urn:t:7", f"new {number}")})
                began = time.monotonic()
                asked = "SELECT 1 FROM owl_classes WHERE class_iri = 'urn:t:7' AND label = ?"
                while not reader.execute(asked, (f"new {number}",)).fetchall():
                    assert time.monotonic() - began < 2
                    time.sleep(0.005)
                seconds.append(time.monotonic() - began)
        assert running.end() == 0
    assert statistics.median(seconds) < 0.5, seconds
