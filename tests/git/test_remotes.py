"""Remotes: fetched by every transport at hand, and followed wherever they go."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.git.servers import fetched, free_port, git_daemon, git_http
from tests.support import Daemon, Repo, class_page, git
from visionflow_daemon.errors import SourceError
from visionflow_daemon.git.clone import clone_path

A, B, C = "urn:t:a", "urn:t:b", "urn:t:c"
TRANSPORTS = ("file", "git", "http")


@contextmanager
def serving(transport: str, folder: Path) -> Iterator[str]:
    """Serve a folder by one transport, and give its URL."""
    if transport == "file":
        yield f"file://{folder}"
    elif transport == "git":
        with git_daemon(folder) as url:
            yield url
    else:
        with git_http(folder) as server:
            yield f"http://{server.address}"


def state_of(daemon: Daemon) -> Path:
    daemon.environment["STATE_DIRECTORY"] = str(daemon.folder / "state")
    return daemon.folder / "state"


def held(daemon: Daemon) -> set[str]:
    return {iri for (iri,) in daemon.query("SELECT class_iri FROM owl_classes")}


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_remote_is_cloned_bare_and_followed_through_force_pushes(repo: Repo, daemon: Daemon, transport: str) -> None:
    first = repo.commit({"A.md": class_page(A, "A")})
    state = state_of(daemon)
    with serving(transport, daemon.folder) as url:
        source = f"{url}/source.git"
        finished = daemon.once(source).event("pass finished")
        assert (finished["commit"], finished["saved"]) == (first, 1)
        (clone,) = (state / "clones").glob("*.git")
        assert git("rev-parse", "--is-bare-repository", cwd=clone) == "true"
        assert clone == clone_path(state, source)
        assert (clone.parent.stat().st_mode & 0o777) == 0o700
        assert url not in (clone / "config").read_text()
        repo.commit({"B.md": class_page(B, "B")})
        assert daemon.once(source).event("pass finished")["plan"] == "diff"
        assert held(daemon) == {A, B}
        pushed = repo.commit({"C.md": class_page(C, "C")}, parent=None)
        assert daemon.once(source).event("pass finished")["commit"] == pushed
        assert held(daemon) == {C}
        repo.set_tip(first)
        assert daemon.once(source).event("pass finished")["commit"] == first
        assert held(daemon) == {A}
        assert daemon.once(source).events[-1]["event"] == "nothing to do"
    assert daemon.query("SELECT source, branch FROM checkpoints") == [(source, "main")]
    assert {path.stem for path in (state / "clones").iterdir()} == {clone.stem}
    assert sorted(path.suffix for path in (state / "clones").iterdir()) == [".git", ".lock", ".use"]


@pytest.mark.parametrize("transport", ["git", "http"])
def test_a_branch_deleted_upstream_is_an_error_and_leaves_the_facts(repo: Repo, daemon: Daemon, transport: str) -> None:
    repo.commit({"A.md": class_page(A, "A")})
    repo.commit({"B.md": class_page(B, "B")}, branch="draft", parent=None)
    with serving(transport, daemon.folder) as url:
        daemon.once(f"{url}/source.git", "--branch", "draft")
        before = daemon.dump_bytes()
        git("branch", "-D", "draft", cwd=repo.path)
        ran = daemon.once(f"{url}/source.git", "--branch", "draft", expect=2)
        assert ran.err == f"visionflow-daemon: {url}/source.git has no branch 'draft'; it has: main\n"
    assert daemon.dump_bytes() == before
    assert daemon.query("SELECT branch, is_clean FROM checkpoints") == [("draft", 1)]


@pytest.mark.parametrize("transport", ["file", "git"])
def test_a_branch_may_become_a_folder_of_branches_and_a_file_again(repo: Repo, tmp_path: Path, transport: str) -> None:
    first = repo.commit({"A.md": "a"}, branch="a")
    with serving(transport, tmp_path) as url:
        source, state = f"{url}/source.git", tmp_path / "state"
        assert fetched(source, "a", state).commit == first
        git("branch", "-D", "a", cwd=repo.path)
        second = repo.commit({"B.md": "b"}, branch="a/b", parent=None)
        with pytest.raises(SourceError, match=r"has no branch 'a'; it has: a/b$"):
            fetched(source, "a", state)
        assert fetched(source, "a/b", state).commit == second
        git("branch", "-D", "a/b", cwd=repo.path)
        third = repo.commit({"C.md": "c"}, branch="a", parent=None)
        assert fetched(source, "a", state).commit == third


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_without_a_branch_the_one_that_head_names_is_taken(repo: Repo, tmp_path: Path, transport: str) -> None:
    same = repo.commit({"A.md": "a"})
    git("branch", "trunk", same, cwd=repo.path)
    git("symbolic-ref", "HEAD", "refs/heads/trunk", cwd=repo.path)
    with serving(transport, tmp_path) as url:
        target = fetched(f"{url}/source.git", None, tmp_path / "state")
    assert (target.branch, target.commit) == ("trunk", same)


@pytest.mark.parametrize("scheme", ["git", "http", "https"])
def test_a_port_where_nobody_listens_is_told_and_leaves_the_facts(daemon: Daemon, repo: Repo, scheme: str) -> None:
    repo.commit({"A.md": class_page(A, "A")})
    url = f"{scheme}://127.0.0.1:{free_port()}/source.git"
    daemon.once(repo.path)
    before = daemon.dump_bytes()
    ran = daemon.once(url, expect=4)
    assert ran.err == f"visionflow-daemon: can't fetch {url}: failed to connect to 127.0.0.1: Connection refused\n"
    assert ran.event("pass failed")["exit_code"] == 4
    assert "Traceback" not in ran.out
    assert daemon.dump_bytes() == before


@pytest.mark.parametrize("transport", ["git", "http"])
def test_a_server_that_goes_away_between_two_passes_is_told_and_leaves_the_facts(
    repo: Repo, daemon: Daemon, transport: str
) -> None:
    repo.commit({"A.md": class_page(A, "A")})
    with serving(transport, daemon.folder) as url:
        daemon.once(f"{url}/source.git")
    before = daemon.dump_bytes()
    assert f"can't fetch {url}/source.git" in daemon.once(f"{url}/source.git", expect=4).err
    assert daemon.dump_bytes() == before


@pytest.mark.parametrize("transport", ["git", "http"])
def test_a_repository_that_the_server_does_not_have_is_told(daemon: Daemon, repo: Repo, transport: str) -> None:
    assert repo.tip() is None
    with serving(transport, daemon.folder) as url:
        ran = daemon.once(f"{url}/missing.git", expect=4)
    assert ran.err.startswith(f"visionflow-daemon: can't fetch {url}/missing.git: ")


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_a_remote_that_sends_too_much_is_left(repo: Repo, daemon: Daemon, transport: str) -> None:
    repo.commit({"A.md": class_page(A, "A")})
    state = state_of(daemon)
    with serving(transport, daemon.folder) as url:
        daemon.once(f"{url}/source.git")
        before = daemon.dump_bytes()
        repo.commit({f"{number}.bin": random.Random(number).randbytes(50_000) for number in range(20)})  # noqa: S311
        daemon.environment["VISIONFLOW_NETWORK__FETCH_BYTES"] = "100000"
        ran = daemon.once(f"{url}/source.git", expect=4)
        assert "sends more than 100,000 bytes in one fetch: raise network.fetch_bytes" in ran.err
        assert daemon.dump_bytes() == before
        daemon.environment.pop("VISIONFLOW_NETWORK__FETCH_BYTES")
        daemon.once(f"{url}/source.git")
    assert not list(state.rglob("pack_git2_*"))
