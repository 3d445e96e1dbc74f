"""When another attempt is made, in a pass and in a later one."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support import Repo, class_page, git
from visionflow_daemon.errors import ConfigError, PageError, SystemicError, TransientError
from visionflow_daemon.git.repository import find_local
from visionflow_daemon.model import Reading, timestamp
from visionflow_daemon.storage.database import Database
from visionflow_daemon.storage.ledger import entries, make_due
from visionflow_daemon.storage.migrate import open_migrated
from visionflow_daemon.sync.job import Job, Services
from visionflow_daemon.sync.progress import Unwatched
from visionflow_daemon.sync.retry import next_attempt, persistently
from visionflow_daemon.sync.run import Summary, run_pass

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Flaky:
    """Fails so many times, then succeeds; counts its attempts, and records how long it was to sleep."""

    failures: int
    error: Exception = field(default_factory=lambda: TransientError("not now"))
    attempts: int = 0
    slept: list[float] = field(default_factory=list)

    def __call__(self) -> str:
        """Make one attempt."""
        self.attempts += 1
        if self.attempts <= self.failures:
            raise self.error
        return "done"


@pytest.mark.parametrize(("failures", "attempts", "sleeps"), [(0, 1, 0), (1, 2, 1), (2, 3, 2)])
def test_a_transient_fault_is_met_with_up_to_three_attempts(failures: int, attempts: int, sleeps: int) -> None:
    action = Flaky(failures)
    assert persistently(action, action.slept.append) == "done"
    assert (action.attempts, len(action.slept)) == (attempts, sleeps)
    assert all(0.1 <= delay <= 2.0 for delay in action.slept)


def test_a_fault_that_lasts_is_raised_as_it_is_after_three_attempts() -> None:
    action = Flaky(99)
    with pytest.raises(TransientError) as caught:
        persistently(action, action.slept.append)
    assert caught.value is action.error
    assert (action.attempts, len(action.slept)) == (3, 2)


@pytest.mark.parametrize(
    "error", [PageError("x"), SystemicError("x"), ConfigError("x"), KeyError("x"), OSError("x"), MemoryError()]
)
def test_any_other_fault_is_raised_at_once(error: Exception) -> None:
    action = Flaky(1, error)
    with pytest.raises(type(error)):
        persistently(action, action.slept.append)
    assert (action.attempts, action.slept) == (1, [])


def test_another_fault_on_a_later_attempt_ends_the_attempts() -> None:
    errors = iter([TransientError("not now"), PageError("broken"), TransientError("not now")])

    def action() -> None:
        raise next(errors)

    with pytest.raises(PageError, match="broken"):
        persistently(action, lambda _: None)


def test_the_ledgers_delay_doubles_from_a_minute_to_an_hour() -> None:
    delays = [(next_attempt(attempts, NOW) - NOW) / timedelta(minutes=1) for attempts in range(3, 28, 3)]
    assert delays == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert [next_attempt(attempts, NOW) - NOW for attempts in (0, 1, 2)] == [timedelta(minutes=1)] * 3
    assert next_attempt(10**9, NOW) - NOW == timedelta(hours=1)


def test_the_delay_between_attempts_doubles_with_jitter() -> None:
    runs = [Flaky(2) for _ in range(20)]
    for action in runs:
        persistently(action, action.slept.append)
    assert all(action.slept[1] >= 2 * 0.1 for action in runs), runs[0].slept
    assert len({action.slept[0] for action in runs}) > 1


def lose(repo: Repo, path: str) -> None:
    """Take a file's blob out of a repository, as a damaged disk does."""
    blob = git("rev-parse", f"main:{path}", cwd=repo.path)
    (repo.path / "objects" / blob[:2] / blob[2:]).unlink()


def test_a_file_that_keeps_failing_transiently_waits_longer_each_time(tmp_path: Path, repo: Repo) -> None:
    repo.commit({"A.md": class_page("urn:t:a", "A"), "B.md": class_page("urn:t:b", "B")})
    database, _ = open_migrated("kg.db", tmp_path)
    job = Job("default", ("*.md",), (), Reading(), workers=2, queue=4, lock_timeout=0)

    def run_at(moment: datetime) -> Summary:
        services = Services(database, now=lambda: moment, sleep=lambda _: None)
        return run_pass(job, services, lambda: find_local(str(repo.path), None, tmp_path))

    lose(repo, "B.md")
    waits, moment = [], NOW
    for _ in range(4):
        assert run_at(moment).ledger == 1
        (entry,) = entries(database, "default")
        due = datetime.fromisoformat(entry.next_attempt_at or "")
        waits.append((due - moment) / timedelta(minutes=1))
        moment = due
    database.close()
    assert (entry.path, entry.failure_class, entry.attempts) == ("B.md", "transient", 12)
    assert re.search("blob [0-9a-f]{40} can't be read", entry.reason)
    assert waits == [1, 2, 4, 8]


@dataclass
class Impatient(Unwatched):
    """Makes all failed files due while a pass is under way: after it was planned, before its first file."""

    database: Database

    def started(self, planned: int) -> None:
        """Do as `retry` does."""
        super().started(planned)
        make_due(self.database, "default", timestamp(NOW), list)


@pytest.mark.parametrize(("exclude", "way", "tried"), [((), "diff", 0), (("none",), "tree", 2)])
def test_files_made_due_while_a_pass_is_under_way_are_tried_by_it_or_by_the_next(
    tmp_path: Path, repo: Repo, exclude: tuple[str, ...], way: str, tried: int
) -> None:
    repo.commit({"A.md": class_page("urn:t:a", "A"), "B.md": "- ### OntologyBlock\n", "C.md": "- ### OntologyBlock\n"})
    database, _ = open_migrated("kg.db", tmp_path)
    job = Job("default", ("*.md",), (), Reading(), workers=2, queue=4, lock_timeout=0)

    def run(job: Job, watcher: Unwatched) -> Summary:
        services = Services(database, watcher=watcher, now=lambda: NOW, sleep=lambda _: None)
        return run_pass(job, services, lambda: find_local(str(repo.path), None, tmp_path))

    assert run(job, Unwatched()).tally.failed == 2
    repo.commit({"A.md": class_page("urn:t:a", "A changed")})
    job = replace(job, exclude=exclude)
    during = run(job, Impatient(database))
    assert (during.plan.way, during.plan.to_save, during.is_whole) == (way, 1, True)
    assert (during.tally.saved, during.tally.failed) == (1, tried)
    assert run(job, Unwatched()).tally.failed == 2 - tried
    assert [(entry.attempts, entry.next_attempt_at) for entry in entries(database, "default")] == [(2, None)] * 2
    assert run(job, Unwatched()).run_id is None
    database.close()
