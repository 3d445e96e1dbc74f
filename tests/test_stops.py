"""A pass that is stopped, killed or shut out loses nothing, and the next one goes on from there."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests import engines
from tests.engines import assert_sound
from tests.support import Daemon, Repo, class_page

FILES = 1_500


def many(count: int = FILES) -> dict[bytes | str, str]:
    return {
        f"p{number:05}.md": class_page(
            f"urn:t:{number}", f"P{number}", subClassOf=[{"@id": f"urn:t:{number // 2}"}, {"@id": "urn:t:root"}]
        )
        for number in range(count)
    }


def saved(database: Path) -> int:
    """Count the files saved so far, as any reader may while the pass runs."""
    try:
        return int(engines.query(database, "SELECT COUNT(*) FROM source_files")[0][0])
    except engines.Refused:
        return 0


def when(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    """Wait for something that a running process brings about."""
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, "the pass was over too soon"
        assert time.monotonic() < deadline
        os.sched_yield()


def test_a_first_pass_that_is_killed_goes_on_with_the_missing_files(repo: Repo, daemon: Daemon) -> None:
    repo.commit(many())
    database = daemon.folder / "kg.db"
    process = daemon.start("--once", "--source", repo.path, "--database", database)
    when(lambda: saved(database) >= 100, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert_sound(database)
    held = saved(database)
    assert 100 <= held < FILES
    finished = daemon.once(repo.path).event("pass finished")
    assert finished["plan_reason"] == "this is the first pass"
    assert finished["saved"] == FILES - held
    daemon.once(repo.path, database="fresh.db")
    assert daemon.dump_bytes() == daemon.dump_bytes("fresh.db")
    statuses = daemon.query("SELECT status FROM sync_runs ORDER BY finished_at, status")
    assert sorted(statuses) == [("cut off",), ("finished",)]


def test_after_a_pass_cut_off_on_the_way_to_a_commit_that_went_away_nothing_of_it_stays(
    repo: Repo, daemon: Daemon
) -> None:
    first = repo.commit(many())
    database = daemon.folder / "kg.db"
    daemon.once(repo.path)
    before = daemon.dump_bytes()
    repo.commit({path: page.replace('"label": "P', '"label": "Q') for path, page in many().items()})
    process = daemon.start("--once", "--source", repo.path, "--database", database)
    changed = "SELECT COUNT(*) FROM owl_classes WHERE label LIKE 'Q%'"
    when(lambda: daemon.query(changed)[0][0] >= 50, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    repo.set_tip(first)
    finished = daemon.once(repo.path).event("pass finished")
    assert finished["plan_reason"] == "the last pass did not come through"
    assert daemon.dump_bytes() == before


def test_sigterm_ends_a_pass_between_two_files(repo: Repo, daemon: Daemon) -> None:
    repo.commit(many())
    database = daemon.folder / "kg.db"
    process = daemon.start("--once", "--source", repo.path, "--database", database)
    when(lambda: saved(database) >= 100, process)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=10)
    assert process.returncode == 1, err
    assert b'"is_whole":false' in out
    assert daemon.query("SELECT status FROM sync_runs") == [("stopped",)]
    daemon.once(repo.path)
    assert saved(database) == FILES


def test_a_second_pass_on_the_same_ontology_leaves_with_a_clear_message(repo: Repo, daemon: Daemon) -> None:
    repo.commit(many(1))
    daemon.once(repo.path)
    with engines.held(daemon.folder / "kg.db", "default"):
        ran = daemon.run("--once", "--source", repo.path, "--database", "kg.db", "--lock-timeout", "0.2")
        assert ran.code == 6
        assert re.search(rf"another pass \(.*{os.getpid()}.*\) is writing ontology 'default'", ran.err)
        assert daemon.once(repo.path, "--ontology-id", "other").event("pass finished")["saved"] == 1


def test_a_second_pass_waits_for_the_first(repo: Repo, daemon: Daemon) -> None:
    repo.commit(many(300))
    arguments = ("--once", "--source", str(repo.path), "--database", str(daemon.folder / "kg.db"))
    processes = [daemon.start(*arguments) for _ in range(3)]
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert sum(b'"pass finished"' in output for output in outputs) == 1
    assert sum(b'"nothing to do"' in output for output in outputs) == 2


def test_a_database_locked_by_another_writer_is_waited_for(repo: Repo, daemon: Daemon) -> None:
    repo.commit(many(20))
    daemon.once(repo.path)
    repo.commit({"p00001.md": class_page("urn:t:1", "changed")})
    connection = engines.Connected(daemon.folder / "kg.db")
    connection.lock()
    process = daemon.start("--once", "--source", repo.path, "--database", daemon.folder / "kg.db")
    try:
        process.wait(timeout=2)
    except subprocess.TimeoutExpired:
        connection.execute("ROLLBACK")
    connection.close()
    process.communicate(timeout=30)
    assert process.returncode == 0
    assert daemon.query("SELECT label FROM owl_classes WHERE class_iri = 'urn:t:1'") == [("changed",)]


def test_a_reader_sees_no_half_written_page(repo: Repo, daemon: Daemon) -> None:
    pages = {f"p{number:03}.md": class_page(f"urn:t:{number}", "v0", version=0) for number in range(200)}
    repo.commit(pages)
    daemon.once(repo.path)
    repo.commit(
        {path: page.replace("v0", "v1").replace('"version": 0', '"version": 1') for path, page in pages.items()}
    )
    process = daemon.start("--once", "--source", repo.path, "--database", daemon.folder / "kg.db")
    connection = engines.Connected(daemon.folder / "kg.db")
    seen = set()
    while process.poll() is None:
        rows = connection.execute("SELECT label, CAST(properties->>'version' AS INTEGER) FROM owl_classes").fetchall()
        assert len(rows) == 200
        seen |= set(rows)
    connection.close()
    process.communicate()
    assert seen <= {("v0", 0), ("v1", 1)}
    assert process.returncode == 0
