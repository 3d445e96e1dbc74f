"""What a meter counts, from many threads, and in passes of real repositories."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.support import Repo, class_page
from visionflow_daemon.errors import TransientError
from visionflow_daemon.git.credentials import Credentials
from visionflow_daemon.git.repository import Network, find_local
from visionflow_daemon.model import Reading
from visionflow_daemon.ops.meter import FILE_BUCKETS, SourceMeter, Step
from visionflow_daemon.storage.database import Database
from visionflow_daemon.storage.migrate import open_migrated
from visionflow_daemon.sync.job import Job, Services
from visionflow_daemon.sync.meter import Load
from visionflow_daemon.sync.retry import persistently
from visionflow_daemon.sync.run import Summary, run_pass
from visionflow_daemon.sync.source import Source, sync

BAD = '```json-ld\n{"@type": "Class", oops}\n```\n'
JOB = Job("kg", ("*.md",), (), Reading(), workers=2, queue=4, lock_timeout=5)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made, _ = open_migrated("kg.db", tmp_path, busy_timeout=0.05)
    with closing(made):
        yield made


def counted(step: Step) -> int:
    return sum(step.read().counts)


def test_a_bound_belongs_to_its_bucket_and_what_is_longer_than_all_to_the_last() -> None:
    step = Step((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 1.0, 1.5, 99.0):
        step.took(seconds)
    assert step.read().counts == (2, 2, 2)
    assert step.read().seconds == pytest.approx(102.15)


def test_no_count_is_lost_between_threads() -> None:
    step, start = Step(FILE_BUCKETS), threading.Barrier(8)

    def measure() -> None:
        start.wait(20)
        for _ in range(20_000):
            step.took(0.002)
            step.again()

    threads = [threading.Thread(target=measure) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    histogram = step.read()
    assert (sum(histogram.counts), histogram.again) == (160_000, 160_000)
    assert histogram.seconds == pytest.approx(320)


def test_each_attempt_is_measured_also_those_that_fail() -> None:
    step, errors = Step(FILE_BUCKETS), [TransientError("not now"), TransientError("nor now")]

    def action() -> str:
        if errors:
            raise errors.pop()
        return "done"

    assert persistently(action, lambda _: None, step) == "done"
    assert (counted(step), step.read().again) == (3, 2)


def test_a_pass_measures_each_file_and_its_own_record(repo: Repo, database: Database, tmp_path: Path) -> None:
    meter = SourceMeter()

    def run() -> Summary:
        return run_pass(JOB, Services(database, meter=meter), lambda: find_local(str(repo.path), None, tmp_path))

    repo.commit({**{f"p{n}.md": class_page(f"urn:t:{n}", f"P{n}") for n in range(9)}, "bad.md": BAD})
    run()
    assert [counted(step) for step in (meter.parse, meter.save, meter.record, meter.fetch)] == [10, 10, 2, 0]
    assert 0 < meter.parse.read().seconds < 10
    repo.commit({"p0.md": None})
    run()
    assert [counted(step) for step in (meter.parse, meter.save, meter.record)] == [10, 11, 4]
    run()  # with nothing to do, nothing is measured
    assert [counted(step) for step in (meter.parse, meter.save, meter.record)] == [10, 11, 4]
    assert meter.read().load == Load()


def test_what_is_tried_again_is_counted_by_the_step(repo: Repo, database: Database, tmp_path: Path) -> None:
    """Another program holds the database until the second attempt."""
    repo.commit({"a.md": class_page("urn:t:a", "A")})
    meter = SourceMeter()
    with closing(sqlite3.connect(tmp_path / "kg.db", isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")

        def sleep(_: float) -> None:
            if other.in_transaction:
                other.execute("ROLLBACK")

        services = Services(database, sleep=sleep, meter=meter)
        assert run_pass(JOB, services, lambda: find_local(str(repo.path), None, tmp_path)).is_whole
    assert [step.read().again for step in (meter.record, meter.save, meter.parse)] == [1, 0, 0]
    assert counted(meter.record) == 3


def test_a_fetch_is_measured(repo: Repo, database: Database, tmp_path: Path) -> None:
    repo.commit({"a.md": class_page("urn:t:a", "A")})
    meter = SourceMeter()
    source = Source(f"file://{repo.path}", None, tmp_path, tmp_path / "state", Credentials, Network())
    for fetches in (1, 2):
        assert sync(source, JOB, Services(database, meter=meter)).is_whole
        assert counted(meter.fetch) == fetches


def test_the_load_is_that_of_the_pool_while_it_works(repo: Repo, database: Database, tmp_path: Path) -> None:
    """A file waits for another program's lock; what comes behind it waits in the queue."""
    repo.commit({f"p{n}.md": class_page(f"urn:t:{n}", f"P{n}") for n in range(30)})
    seen: list[Load] = []
    with closing(sqlite3.connect(tmp_path / "kg.db", isolation_level=None, check_same_thread=False)) as other:

        class Locking(SourceMeter):
            """Takes the lock as the pool begins."""

            @contextmanager
            def watching(self, load: Callable[[], Load]) -> Iterator[None]:
                other.execute("BEGIN IMMEDIATE")
                with super().watching(load):
                    yield

        def sleep(_: float) -> None:
            if other.in_transaction:
                seen.append(meter.read().load)
                other.execute("ROLLBACK")

        meter = Locking()
        services = Services(database, sleep=sleep, meter=meter)
        run_pass(JOB, services, lambda: find_local(str(repo.path), None, tmp_path))
    (load,) = seen
    assert 1 <= load.in_hand <= JOB.workers
    assert 1 <= load.queued <= JOB.queue
    assert meter.read().load == Load()
