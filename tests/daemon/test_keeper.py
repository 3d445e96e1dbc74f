"""The daemon's backups: taken when the newest is older than the interval, beside the passes, and never in their way."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from tests.daemon.test_loop import Clock
from tests.storage.backups.support import backed_up, filled, names
from tests.support import Daemon, Repo, class_page, eventually
from visionflow_daemon import logs
from visionflow_daemon.config.values import BackupConfig, Config
from visionflow_daemon.daemon.keeper import RETRY, Keeper
from visionflow_daemon.ops.backup_counts import BackupCounts
from visionflow_daemon.ops.standing import BackupStanding
from visionflow_daemon.storage.backups.shelf import Backup, Shelf

pytestmark = pytest.mark.sqlite

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Log nothing but errors, to standard error."""
    logs.configure("json", "error", to_stderr=True)
    yield
    structlog.reset_defaults()


class Stage:
    """A keeper of a small database, with a clock that a test moves."""

    def __init__(self, database: Path) -> None:
        self.clock = Clock()
        self.counts = BackupCounts()
        self.keeper = Keeper(self.counts, self.clock)
        self.shelf = Shelf(database.parent / "backups", database)
        self.config = Config(database=str(database), backup=BackupConfig(interval=86_400.0, keep=3, keep_weeks=2))
        self.keeper.use(self.config)

    def look(self, after: timedelta = timedelta()) -> list[datetime]:
        """Let some time pass, let the keeper look, and say when the backups were taken that are there."""
        self.clock.time += after
        self.keeper.look()
        return [each.manifest.taken_at for each in self.backups()]

    def backups(self) -> tuple[Backup, ...]:
        """Give the backups that are there."""
        return self.shelf.stock().backups

    def figures(self) -> dict[str, float]:
        """Give what the metrics say."""
        return {
            "_".join([sample.name.removeprefix("visionflow_backup"), *sample.labels.values()]): sample.value
            for family in self.counts.collect()
            for sample in family.samples
        }


@pytest.fixture
def stage(repo: Repo, daemon: Daemon) -> Stage:
    return Stage(filled(repo, daemon, classes=3))


def test_the_first_is_taken_at_once_and_the_next_when_it_is_old(stage: Stage) -> None:
    start = stage.clock.time
    assert stage.look() == [start]
    assert stage.look(DAY - HOUR) == [start]
    assert stage.look(HOUR) == [start, start + DAY]
    assert stage.figures() == {
        "_interval_seconds": 86_400,
        "s_total_taken": 2,
        "s_total_failed": 0,
        "_last_success_timestamp_seconds": (start + DAY).timestamp(),
        "_last_bytes": stage.backups()[-1].manifest.archive.bytes,
    }


def test_what_was_missed_in_a_long_sleep_is_taken_once(stage: Stage) -> None:
    start = stage.look()[0]
    assert stage.look(10 * DAY) == [start, start + 10 * DAY]
    assert stage.look(timedelta(minutes=1)) == [start, start + 10 * DAY]


def test_a_new_process_takes_none_before_it_is_due(stage: Stage) -> None:
    start = stage.look()[0]
    again = Stage(stage.shelf.database)
    again.clock.time = start + HOUR
    assert again.look() == [start]
    assert again.figures()["_last_success_timestamp_seconds"] == start.timestamp()


def test_one_that_somebody_took_counts_and_one_of_another_place_does_not(stage: Stage) -> None:
    taken = backed_up(stage.shelf.database, now=lambda: stage.clock.time - HOUR).manifest.taken_at
    assert stage.look() == [taken]
    shutil.rmtree(stage.shelf.folder)
    assert stage.look() == [stage.clock.time]


def test_old_ones_go_by_the_rule(stage: Stage) -> None:
    for _ in range(30):
        left = stage.look(DAY)
    now = stage.clock.time
    sunday = now - timedelta(days=now.weekday() + 1)
    assert left == sorted({now, now - DAY, now - 2 * DAY, sunday})


def test_a_clock_that_was_wrong_stops_no_backups(stage: Stage) -> None:
    right = stage.clock.time
    future = stage.look(365 * DAY)
    stage.clock.time = right
    assert stage.look() == [right, *future]
    assert stage.look(HOUR) == [right, *future]
    assert stage.look(DAY) == [right, right + HOUR + DAY, *future]


def test_a_failure_is_told_and_tried_again_later(stage: Stage) -> None:
    stage.shelf.folder.write_text("a file in its place")
    with capture_logs() as lines:
        stage.look()
        stage.look(timedelta(seconds=RETRY - 1))
    (line,) = lines
    assert (line["event"], line["log_level"]) == ("backup failed", "error")
    assert "can't make the folder" in line["reason"]
    assert stage.figures()["s_total_failed"] == 1
    interval = stage.config.backup.interval
    assert stage.counts.standing() == BackupStanding(interval, None, 0, is_failing=True)
    stage.shelf.folder.unlink()
    assert stage.look() == []
    assert stage.look(timedelta(seconds=1)) == [stage.clock.time]
    standing = stage.counts.standing()
    assert standing is not None
    assert (standing.taken_at, standing.is_failing) == (stage.clock.time, False)
    stage.keeper.use(replace(stage.config, backup=BackupConfig()))
    assert stage.counts.standing() is None


def test_where_there_is_no_database_or_no_interval_none_is_taken(stage: Stage) -> None:
    stage.keeper.use(replace(stage.config, backup=BackupConfig()))
    assert stage.look() == []
    stage.keeper.use(replace(stage.config, database=f"{stage.shelf.database}.none"))
    assert stage.look() == []


def test_one_that_is_under_way_elsewhere_is_no_failure(stage: Stage) -> None:
    with stage.shelf.workshop():
        assert stage.look() == []
    assert stage.figures()["s_total_failed"] == 0
    assert stage.look() == [stage.clock.time]


def test_the_scheduler_looks_at_once_and_ends_with_the_keeper(stage: Stage) -> None:
    threads = set(threading.enumerate())
    stage.keeper.plan(replace(stage.config, backup=BackupConfig()))
    assert set(threading.enumerate()) == threads
    stage.keeper.plan(stage.config)
    eventually(lambda: bool(stage.backups()))
    stage.keeper.close()
    assert set(threading.enumerate()) == threads
    assert stage.figures()["_interval_seconds"] == 86_400
    assert not [name for name in names(stage.shelf.folder) if name.startswith(".")]


DAILY = {"VISIONFLOW_BACKUP__INTERVAL": "86400"}


def test_the_daemon_takes_one_passes_go_on_and_it_lives_through_a_restore(repo: Repo, daemon: Daemon) -> None:
    filled(repo, daemon)
    daemon.environment |= DAILY
    with daemon.running("--source", repo.path, "--database", "kg.db") as running:
        taken = running.until("backup taken")
        repo.commit({"later.md": class_page("urn:t:later", "Later")})
        running.until("pass finished")
        whole = daemon.dump_bytes()

        restored = daemon.run("restore", "latest", "--database", "kg.db")
        assert restored.code == 0, restored.err
        assert taken["backup"] in restored.out
        assert daemon.dump_bytes() != whole
        repo.commit({"note.md": "no ontology\n"})
        assert running.until("pass finished")["saved"] == 1
        assert '"note.md"' in daemon.dump_bytes()
        assert running.end() == 0
    daemon.once(repo.path, database="fresh.db")
    assert daemon.dump_bytes() == daemon.dump_bytes("fresh.db")


def test_a_stop_gives_up_the_backup_under_way(repo: Repo, daemon: Daemon) -> None:
    stage = Stage(filled(repo, daemon, classes=3))

    def stop_at_the_copy() -> datetime:
        asked.append(stage.clock())
        if len(asked) == 2:  # the first is the look's, the second the backup's
            stage.keeper.close()
        return asked[-1]

    asked: list[datetime] = []
    stage.keeper = Keeper(stage.counts, stop_at_the_copy)
    stage.keeper.use(stage.config)
    assert stage.look() == []
    assert len(asked) == 2
    assert stage.figures()["s_total_failed"] == 0
    assert names(stage.shelf.folder) == []
