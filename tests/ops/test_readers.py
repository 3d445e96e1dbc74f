"""What is read from a real database, and how seldom."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests import engines
from tests.ops.support import Clock
from tests.support import Daemon, Repo, class_page, eventually
from visionflow_daemon.ops.readers import Held, Readers, Remembered, readers_of
from visionflow_daemon.storage.opening import open_database
from visionflow_daemon.sync import checked
from visionflow_daemon.sync.breaker import Guarded


@pytest.fixture
def synced(repo: Repo, daemon: Daemon) -> Path:
    """A folder with a database of two good pages and two bad ones."""
    bad = '```json-ld\n{"@type": "Class", oops}\n```\n'
    repo.commit({"a.md": class_page("urn:t:a", "A"), "b.md": class_page("urn:t:b", "B"), "y.md": bad, "x.md": bad})
    daemon.once(repo.path, expect=3)
    return daemon.folder


def readers_in(folder: Path) -> Readers:
    """Read from the database of a folder."""
    url = engines.url_of(folder / "kg.db") if engines.IS_SERVER else "kg.db"
    return readers_of(url, folder, folder, engines.SERVER)


def test_totals_passes_and_failures_are_read(synced: Path, repo: Repo, daemon: Daemon) -> None:
    tip = repo.commit({"c.md": class_page("urn:t:c", "C")})
    daemon.once(repo.path, expect=3)
    held = readers_in(synced).held("default")
    assert held.totals is not None
    assert (held.totals.classes, held.totals.failed, held.commit, held.branch) == (3, 2, tip, "main")
    assert [each.path for each in held.failures] == ["x.md", "y.md"]
    assert [(each.status, each.saved) for each in held.runs] == [("finished", 1), ("finished", 2)]
    assert held.problem is None


def test_reading_writes_nothing_and_leaves_no_connection(synced: Path) -> None:
    before = engines.state(synced / "kg.db")
    assert readers_in(synced).held("default").totals is not None
    assert engines.state(synced / "kg.db") == before
    if engines.IS_SERVER:
        others = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        eventually(lambda: engines.query(synced / "kg.db", others) == [])
    else:
        assert not [each for each in Path("/proc/self/fd").iterdir() if "kg.db" in str(each.resolve())]


def test_reading_beside_a_writer_of_this_process_costs_it_no_commit(tmp_path: Path) -> None:
    """Closing a descriptor of the file would drop the writer's locks, and the next to leave would delete its log."""
    writer = open_database("kg.db", tmp_path)
    with writer.transaction():
        writer.run("CREATE TABLE t (x)")
    readers_of("kg.db", tmp_path, tmp_path).held("default")
    look = "import sqlite3; c = sqlite3.connect('kg.db'); print(c.execute('SELECT COUNT(*) FROM t').fetchone()[0])"
    look = f"{look}; c.close()"

    def seen() -> str:
        done = subprocess.run([sys.executable, "-c", look], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    assert seen() == "0"
    assert (tmp_path / "kg.db-wal").exists()
    with writer.transaction():
        writer.run("INSERT INTO t VALUES (1)")
    assert seen() == "1"
    writer.close()


@pytest.mark.parametrize("content", [None, b"no database at all", b"SQLite format 3\0" + b"\xff" * 5_000])
def test_a_database_that_cannot_be_read_is_a_problem_in_words(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "kg.db").write_bytes(content)
    held = readers_of("kg.db", tmp_path, tmp_path).held("default")
    assert held.problem
    assert held.totals is None


def test_a_database_of_another_program_is_a_problem_in_words(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "kg.db") as connection:
        connection.execute("CREATE TABLE owl_classes (x)")
    connection.close()
    assert readers_of("kg.db", tmp_path, tmp_path).held("default").problem


def test_the_state_directory_is_read_each_time(tmp_path: Path) -> None:
    readers = readers_of("kg.db", tmp_path, tmp_path)
    assert readers.last_checked("kg") is None
    at = datetime.now(UTC).isoformat()
    checked.note(tmp_path, tmp_path / "kg.db", "kg", checked.Checked(at, "c"))
    assert readers.last_checked("kg") == at
    assert [each.guards for each in readers.breakers("kg")] == list(Guarded)


def test_the_disks_are_those_of_database_and_state_and_one_that_is_not_there_is_left_out(tmp_path: Path) -> None:
    disks = readers_of("kg.db", tmp_path, tmp_path / "state").disks()
    assert [each.place for each in disks] == ["database"]
    (tmp_path / "state").mkdir()
    disks = readers_of("kg.db", tmp_path, tmp_path / "state").disks()
    assert [each.place for each in disks] == ["database", "state"]
    assert all(0 <= each.free_bytes <= each.size_bytes for each in disks)
    assert disks[0].size_bytes > 0


def test_an_answer_is_given_again_while_it_is_fresh_and_longer_where_it_was_dear() -> None:
    clock, costs, asked = Clock(), [0.01, 1.0, 0.01], []

    def read(ontology_id: str) -> Held:
        asked.append(ontology_id)
        clock.pass_by(costs[len(asked) - 1])
        return Held()

    held = Remembered(read, clock.monotonic)
    held("kg")
    clock.pass_by(1.9)
    held("kg")
    assert len(asked) == 1
    clock.pass_by(0.2)
    held("kg")
    assert len(asked) == 2
    clock.pass_by(19)
    held("kg")
    assert len(asked) == 2
    clock.pass_by(1.1)
    held("kg")
    assert len(asked) == 3


def test_many_who_ask_at_once_cost_one_reading() -> None:
    asked: list[str] = []

    def read(ontology_id: str) -> Held:
        asked.append(ontology_id)
        threading.Event().wait(0.05)
        return Held()

    held = Remembered(read)
    threads = [threading.Thread(target=held, args=("kg",)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert asked == ["kg"]
