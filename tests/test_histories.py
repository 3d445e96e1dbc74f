"""After any history, the database equals a fresh one fed the same paths and saved blobs."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, given, settings

from tests import engines
from tests.histories import Step, World, histories
from visionflow_daemon.git import changes
from visionflow_daemon.sync.job import Job, Services
from visionflow_daemon.sync.verify import differences


@pytest.fixture(autouse=True, scope="module")
def _quiet() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("critical"))


def assert_kept(world: World, step: Step, before: dict[bytes, str]) -> None:
    """See that no file lost its facts that the target still has, and that one that fails kept its last good content."""
    after, good = world.saved(), world.good_files(step, lambda _: True)
    selects = changes.selection(step.globs, ())
    for path in (path.encode() for path in world.trees[-1]):
        if path in before and selects(path):
            assert path in after
            assert path in good or after[path] == before[path]


def check(history: list[Step]) -> None:
    with engines.folder() as folder:
        world = World(folder)
        for step in history:
            world.commit(step)
            if step.is_synced:
                before = world.saved()
                world.sync_and_maybe_die(step)
                assert_kept(world, step, before)
        last = history[-1]
        before = world.saved()
        summary = world.healthy_sync(last)
        assert_kept(world, last, before)
        lived, fresh = world.dumps(last)
        assert lived == fresh
        database = engines.opened(world.folder / "lived.db")
        try:
            saved = dict(database.rows("SELECT path, blob_saved FROM source_files WHERE status <> 'failed'"))
            good = world.good_files(last, changes.selection(last.globs, ()))
            assert saved == good
            assert summary.commit == str(world.commits[-1])
            engines.assert_sound(world.folder / "lived.db")
            job = Job("o", last.globs, (), last.reading, 1, 4, 0.0)
            place = Path(world.repository.path)
            assert list(differences(job, Services(database), place, world.folder)) == []
        finally:
            database.close()
        written = engines.state(world.folder / "lived.db")
        assert world.healthy_sync(last).run_id is None
        assert engines.state(world.folder / "lived.db") == written


QUICK = settings(max_examples=engines.examples(120), deadline=None, suppress_health_check=list(HealthCheck))
DEEP = settings(max_examples=5_000, deadline=None, suppress_health_check=list(HealthCheck))


@QUICK
@given(histories)
def test_any_history_ends_as_a_fresh_database_does(history: list[Step]) -> None:
    check(history)


@pytest.mark.deep
@DEEP
@given(histories)
def test_thousands_of_histories_end_as_a_fresh_database_does(history: list[Step]) -> None:
    check(history)
