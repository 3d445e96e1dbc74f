"""Circuit breakers, with the real program: opened, shown, waited for, closed; nothing saved is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import Daemon, Repo, class_page, git
from visionflow_daemon.errors import FailingError
from visionflow_daemon.git.repository import find_local
from visionflow_daemon.model import Reading
from visionflow_daemon.storage.migrate import open_migrated
from visionflow_daemon.sync.job import Job, Services
from visionflow_daemon.sync.run import run_pass

BAD = "```json-ld\n{\n```\n"


def pages(count: int) -> dict[bytes | str, str]:
    return {f"{number:03}.md": class_page(f"urn:t:{number}", f"P{number}") for number in range(count)}


def told(daemon: Daemon, *arguments: str) -> dict[str, object]:
    """Give the breakers that `status` shows as not closed."""
    (status,) = daemon.run("status", "--database", "kg.db", "--json", *arguments).json
    return {each["guards"]: each["state"] for each in status["breakers"] if each["state"] != "closed"}


def exact(repo: Repo, daemon: Daemon) -> None:
    daemon.once(repo.path, database="fresh.db")
    assert daemon.dump_bytes() == daemon.dump_bytes("fresh.db")


def test_a_remote_that_fails_again_and_again_is_left_alone_for_a_while(repo: Repo, daemon: Daemon) -> None:
    repo.commit(pages(3))
    url = f"file://{repo.path}"
    away = repo.path.with_name("away.git")
    daemon.environment["VISIONFLOW_BREAKER__FAILING_PASSES"] = "2"
    daemon.once(url)
    before = daemon.dump_bytes()
    repo.path.rename(away)
    daemon.once(url, expect=4)
    assert told(daemon) == {}
    ran = daemon.once(url, expect=4)
    assert ran.event("breaker opened")["breaker"] == "remote"
    assert told(daemon) == {"remote": "open"}
    away.rename(repo.path)
    repo.commit({"000.md": class_page("urn:t:0", "changed")})
    ran = daemon.once(url, expect=5)
    assert "the circuit breaker of the remote is open until 20" in ran.err
    assert f"can't fetch {url}" in ran.err
    assert "breaker of the remote" in daemon.run("status", "--database", "kg.db").out
    assert daemon.dump_bytes() == before
    said = daemon.run("retry", "--database", "kg.db").out
    assert said == "the circuit breaker of the remote is closed\nno file has failed\n"
    assert told(daemon) == {}
    daemon.once(url)
    exact(repo, daemon)


def test_behind_its_cool_down_a_breaker_lets_one_pass_try(repo: Repo, daemon: Daemon) -> None:
    repo.commit(pages(3))
    url = f"file://{repo.path}"
    daemon.environment |= {"VISIONFLOW_BREAKER__FAILING_PASSES": "1", "VISIONFLOW_BREAKER__COOL_DOWN": "0"}
    away = repo.path.with_name("away.git")
    repo.path.rename(away)
    daemon.once(url, expect=4)
    away.rename(repo.path)
    ran = daemon.once(url)
    assert ran.event("breaker half-open")["breaker"] == "remote"
    assert ran.event("breaker closed")["failures"] == 1
    assert told(daemon) == {}


def test_a_pass_in_which_most_files_fail_stops_and_keeps_what_it_saved(repo: Repo, daemon: Daemon) -> None:
    good = repo.commit(pages(60))
    daemon.once(repo.path)
    before = daemon.query("SELECT class_iri FROM owl_classes ORDER BY class_iri")
    bad: dict[bytes | str, str] = dict.fromkeys(list(pages(60))[5:], BAD)
    repo.commit(bad | {"000.md": class_page("urn:t:0", "changed")})
    ran = daemon.once(repo.path, "--workers", "1", expect=5)
    assert "of 56 files failed" in ran.err
    assert "breaker.failing_share allows 50%" in ran.err
    assert ran.event("breaker opened")["breaker"] == "files"
    assert told(daemon) == {"files": "open"}
    assert daemon.query("SELECT class_iri FROM owl_classes ORDER BY class_iri") == before
    assert daemon.query("SELECT label FROM owl_classes WHERE class_iri = 'urn:t:0'") == [("changed",)]
    ((failed,),) = daemon.query("SELECT COUNT(*) FROM source_files WHERE status = 'failed'")
    assert failed == 29
    assert daemon.query("SELECT commit_sha, is_clean FROM checkpoints") == [(good, 0)]
    assert daemon.query("SELECT status FROM sync_runs ORDER BY started_at, run_id") == [("finished",), ("failed",)]
    daemon.once(repo.path, expect=5)
    repo.commit(pages(60))
    daemon.run("retry", "--database", "kg.db")
    daemon.once(repo.path)
    exact(repo, daemon)


def test_a_share_of_one_lets_all_fail(repo: Repo, daemon: Daemon) -> None:
    repo.commit(dict.fromkeys(pages(60), BAD))
    daemon.environment["VISIONFLOW_BREAKER__FAILING_SHARE"] = "1"
    daemon.once(repo.path, expect=3)


def test_a_repository_that_loses_its_objects_stops_the_pass_before_all_are_tried(repo: Repo, tmp_path: Path) -> None:
    commit = repo.commit(pages(100))
    for pack in repo.path.glob("objects/pack/*.pack"):
        content = pack.read_bytes()
        pack.unlink()
        pack.with_suffix(".idx").unlink()
        git("unpack-objects", "-q", cwd=repo.path, stdin=content)
    for line in git("ls-tree", commit, cwd=repo.path).splitlines()[:-1]:
        blob = line.split()[2]
        (repo.path / "objects" / blob[:2] / blob[2:]).unlink()
    database, _ = open_migrated("kg.db", tmp_path)
    job = Job("default", ("*.md",), (), Reading(), workers=1, queue=8, lock_timeout=1.0)
    slept: list[float] = []
    with pytest.raises(FailingError, match="20 files in a row could not be read or saved"):
        run_pass(job, Services(database, sleep=slept.append), lambda: find_local(str(repo.path), None, tmp_path))
    assert len(slept) == 2 * 20
    assert database.row("SELECT COUNT(*) FROM source_files WHERE failure_class = 'transient'") == (20,)
    assert database.row("SELECT is_clean FROM checkpoints") == (0,)
    database.close()


def test_a_local_repository_without_its_commit_is_told(repo: Repo, daemon: Daemon) -> None:
    repo.commit(pages(2))
    daemon.once(repo.path)
    before = daemon.dump_bytes()
    repo.commit(pages(3))
    for path in repo.path.glob("objects/*/*"):
        path.unlink()
    ran = daemon.once(repo.path, expect=2)
    assert "the repository can't be read" in ran.err
    assert "git fsck" in ran.err
    assert daemon.dump_bytes() == before
