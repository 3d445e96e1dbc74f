"""What a pass looks at before it plans: a diff while it is small, tree and table beyond, and no more than it must."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import Repo, class_page
from visionflow_daemon.git.repository import find_local
from visionflow_daemon.model import Reading
from visionflow_daemon.storage import files
from visionflow_daemon.storage.database import Database
from visionflow_daemon.storage.dump import dump
from visionflow_daemon.storage.migrate import open_migrated
from visionflow_daemon.sync import survey
from visionflow_daemon.sync.job import Job, Services
from visionflow_daemon.sync.plan import Way
from visionflow_daemon.sync.run import Summary, run_pass

JOB = Job("o", ("*.md",), (), Reading(), workers=4, queue=4, lock_timeout=1.0)


def sync(repo: Repo, database: Database, job: Job = JOB) -> Summary:
    return run_pass(job, Services(database), lambda: find_local(str(repo.path), None, repo.path))


def pages(numbers: range, label: str) -> dict[bytes | str, str]:
    return {f"p{number:04}.md": class_page(f"urn:t:{number}", f"{label} {number}") for number in numbers}


@pytest.mark.parametrize(("changed", "way"), [(3, Way.DIFF), (4, Way.TREE)])
def test_a_plan_of_many_changed_files_is_made_by_tree(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: int, way: Way
) -> None:
    monkeypatch.setattr(survey, "MOST_BY_DIFF", 3)
    repo = Repo(tmp_path / "r.git")
    repo.commit(pages(range(10), "old"))
    database, _ = open_migrated(str(tmp_path / "a.db"), tmp_path)
    sync(repo, database)
    repo.commit({**pages(range(1, changed), "new"), "p0009.md": None})
    summary = sync(repo, database)
    assert (summary.plan.way, summary.tally.saved, summary.tally.deleted) == (way, changed - 1, 1)
    assert ("more than 3 files changed since" in summary.plan.reason) == (way is Way.TREE)
    fresh, _ = open_migrated(str(tmp_path / "b.db"), tmp_path)
    sync(repo, fresh)
    assert list(dump(database, "o")) == list(dump(fresh, "o"))
    for each in (database, fresh):
        each.close()


def test_files_are_asked_for_in_parts_and_none_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PART", 7)
    repo = Repo(tmp_path / "r.git")
    repo.commit(pages(range(50), "old"))
    database, _ = open_migrated(str(tmp_path / "a.db"), tmp_path)
    sync(repo, database)
    known = [each.path for each in files.known_files(database, "o")]
    assert known == [b"p%04d.md" % number for number in range(50)]
    repo.commit({**pages(range(5, 45), "new"), "a.md": class_page("urn:t:a", "a"), "p0000.md": None, "p0049.md": None})
    summary = sync(repo, database, replace(JOB, full=True))
    assert (summary.plan.way, summary.tally.saved, summary.tally.deleted) == (Way.TREE, 49, 2)
    fresh, _ = open_migrated(str(tmp_path / "b.db"), tmp_path)
    sync(repo, fresh)
    assert list(dump(database, "o")) == list(dump(fresh, "o"))
    for each in (database, fresh):
        each.close()
