"""When a circuit breaker opens, for how long, and what closes it: with a clock of our own."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import peewee
import pytest

from visionflow_daemon.errors import (
    ConfigError,
    DatabaseError,
    FailingError,
    HeldError,
    LockedError,
    OpenError,
    RemoteError,
    UnreachableError,
)
from visionflow_daemon.model import timestamp
from visionflow_daemon.sync.breaker import Breaker, Guarded, Rules, State, failed
from visionflow_daemon.sync.breakers import Breakers
from visionflow_daemon.sync.failing import Failing
from visionflow_daemon.sync.progress import Outcome
from visionflow_daemon.sync.retry import guarded_by

NOW = datetime(2026, 1, 1, tzinfo=UTC)
RULES = Rules(failing_passes=3, cool_down=60, longest_cool_down=600)


def after(failures: int, *, jitter: float = 0.0, at_once: bool = False) -> Breaker:
    breaker = Breaker(Guarded.REMOTE)
    for number in range(failures):
        moment = NOW + timedelta(seconds=number)
        breaker = failed(breaker, f"no answer {number}", RULES, moment, at_once=at_once, jitter=jitter)
    return breaker


def waits(breaker: Breaker) -> float:
    assert breaker.retry_at is not None
    began = NOW + timedelta(seconds=breaker.failures - 1)
    return (datetime.fromisoformat(breaker.retry_at) - began).total_seconds()


def test_a_few_failures_leave_it_closed() -> None:
    assert after(2).state(timestamp(NOW)) is State.CLOSED
    assert after(2).failures == 2


def test_it_opens_and_is_half_open_when_its_cool_down_is_over() -> None:
    breaker = after(3)
    assert (breaker.since, breaker.reason) == (timestamp(NOW), "no answer 2")
    assert breaker.state(timestamp(NOW + timedelta(seconds=61))) is State.OPEN
    assert breaker.state(timestamp(NOW + timedelta(seconds=62))) is State.HALF_OPEN


def test_the_cool_down_doubles_up_to_its_longest() -> None:
    assert [waits(after(failures)) for failures in range(3, 9)] == [60, 120, 240, 480, 600, 600]
    assert waits(after(10_000)) == 600


def test_jitter_makes_it_longer_by_a_fifth_at_most() -> None:
    assert waits(after(3, jitter=1.0)) == 72


def test_some_failures_open_it_at_once() -> None:
    assert waits(after(1, at_once=True)) == 60


def test_it_is_remembered_until_a_pass_comes_through(tmp_path: Path) -> None:
    breakers = Breakers(tmp_path, tmp_path / "kg.db", "default")
    breakers.try_pass(NOW)
    for _ in range(3):
        breakers.note(UnreachableError("silent"), RULES, NOW, lambda: 0.0)
    with pytest.raises(OpenError, match=r"breaker of the remote is open until 2026-01-01T00:01:00Z: 3 time.*: silent"):
        Breakers(tmp_path, tmp_path / "kg.db", "default").try_pass(NOW)
    Breakers(tmp_path, tmp_path / "kg.db", "other").try_pass(NOW)
    later = NOW + timedelta(seconds=60)
    breakers.try_pass(later)
    breakers.note(UnreachableError("silent"), RULES, later, lambda: 0.0)
    with pytest.raises(OpenError, match="4 time"):
        breakers.try_pass(later + timedelta(seconds=119))
    assert [each.guards for each in breakers.close()] == ["remote"]
    assert breakers.close() == []
    breakers.try_pass(NOW)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_what_stands_in_its_file_may_be_anything(tmp_path: Path) -> None:
    breakers = Breakers(tmp_path, tmp_path / "kg.db", "default")
    breakers.note(RemoteError("no"), RULES, NOW)
    (path,) = (tmp_path / "breakers").iterdir()
    for junk in (b"", b"{}", b"[1]", b'[{"guards": "moon"}]', b'[{"guards": "remote", "more": 1}]', b"\xff"):
        path.write_bytes(junk)
        breakers.try_pass(NOW)
        breakers.note(RemoteError("no"), RULES, NOW)
        assert breakers.all()[Guarded.REMOTE].failures == 1


def test_a_state_directory_that_cannot_be_written_stops_no_pass(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    breakers = Breakers(tmp_path / "state", tmp_path / "kg.db", "default")
    breakers.note(RemoteError("no"), Rules(failing_passes=1), NOW)
    breakers.try_pass(NOW)
    assert breakers.close() == []


def busy() -> peewee.OperationalError:
    cause = sqlite3.OperationalError("database is locked")
    cause.sqlite_errorcode = sqlite3.SQLITE_BUSY  # type: ignore[misc]
    error = peewee.OperationalError("database is locked")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "guarded"),
    [
        (RemoteError("refused"), Guarded.REMOTE),
        (UnreachableError("silent"), Guarded.REMOTE),
        (FailingError("many"), Guarded.FILES),
        (DatabaseError("read-only"), Guarded.DATABASE),
        (busy(), Guarded.DATABASE),
        (ConfigError("wrong"), None),
        (LockedError("another pass"), None),
        (HeldError("deletions"), None),
        (ValueError("ours"), None),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_each_breaker_counts_what_it_guards_against(error: Exception, guarded: Guarded | None) -> None:
    assert guarded_by(error)[0] is guarded


def count(rules: Rules, planned: int, outcomes: list[Outcome]) -> None:
    failing = Failing(rules, planned)
    for outcome in outcomes:
        failing.add(outcome)


BAD, SICK, GOOD = Outcome("failed"), Outcome("failed", is_transient=True), Outcome("saved")


@pytest.mark.parametrize(
    ("planned", "outcomes"),
    [
        (1_000, [BAD] * 500),
        (30, [BAD] * 20),
        (5, [BAD] * 5),
        (1_000, ([SICK] * 19 + [GOOD]) * 20),
        (1_000, ([SICK] * 19 + [BAD]) * 20),
    ],
    ids=["half of many", "as many as may always", "all of a few", "good between sick", "bad between sick"],
)
def test_a_pass_goes_on(planned: int, outcomes: list[Outcome]) -> None:
    count(Rules(), planned, outcomes)


@pytest.mark.parametrize(
    ("planned", "outcomes", "says"),
    [
        (1_000, [BAD] * 501, r"501 of 1,000 files failed \(50%; breaker.failing_share allows 50%\)"),
        (30, [GOOD, *[BAD] * 21], r"21 of 30 files failed \(70%"),
        (100_000, [SICK] * 20, "20 files in a row could not be read or saved"),
    ],
    ids=["more than half of many", "more than may always", "a row of sick ones"],
)
def test_a_pass_stops(planned: int, outcomes: list[Outcome], says: str) -> None:
    with pytest.raises(FailingError, match=says):
        count(Rules(), planned, outcomes)
    count(Rules(), planned, outcomes[:-1])
    count(Rules(failing_share=1.0), planned, outcomes)
