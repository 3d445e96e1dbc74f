"""The fault matrix, the database's rows: each fault is real, and none loses what was saved (docs/failures.md)."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.engines import assert_sound, query
from tests.faults.support import (
    Scene,
    as_nobody,
    files,
    owned_by_nobody,
    rarely,
    remount,
    strace,
    tmpfs,
)
from tests.support import Daemon, Repo
from visionflow_daemon.storage.lock import lock_path

pytestmark = pytest.mark.sqlite

QUICK = {"VISIONFLOW_SYNC__BUSY_TIMEOUT": "0.1"}
GOES_ON = "the next pass goes on from there"


def log_of(database: Path) -> Path:
    return database.with_name(f"{database.name}-wal")


def index_of(database: Path) -> Path:
    return database.with_name(f"{database.name}-shm")


# Locked


def test_a_writer_that_never_lets_go_is_named_and_nothing_is_lost(scene: Scene) -> None:
    with closing(sqlite3.connect(scene.database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        ran = scene.run(**QUICK)
        other.execute("ROLLBACK")
    assert f"another program writes to {scene.database}" in ran.err
    assert f"fuser -v {scene.database}" in ran.err
    scene.survives(ran, 6, "does not let go of it", untouched=True)


def test_a_writer_that_comes_in_the_middle_and_stays_ends_the_pass(repo: Repo, daemon: Daemon) -> None:
    """The lock is taken by another program as soon as the pass has saved something."""
    scene = Scene(repo, daemon, daemon.folder / "kg.db", new=600)
    with closing(sqlite3.connect(scene.database, isolation_level=None, timeout=60)) as other:
        taken = threading.Event()
        begun = len(scene.files_before)
        scene.daemon.environment.update(QUICK)
        process = scene.daemon.start(
            *("--once", "--source", scene.repo.path, "--database", scene.database, "--workers", "4")
        )
        while process.poll() is None and not taken.is_set():
            if len(files(scene.database)) > begun:
                other.execute("BEGIN IMMEDIATE")
                taken.set()
        out, err = process.communicate(timeout=120)
    assert taken.is_set(), "the pass was over before the lock was taken"
    assert process.returncode == 6, (out, err)
    assert b"another program writes to" in err
    scene.keeps()
    scene.heals()


def test_a_writer_that_lets_go_in_time_is_waited_for(scene: Scene) -> None:
    with closing(sqlite3.connect(scene.database, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        later = threading.Timer(0.8, lambda: other.execute("ROLLBACK"))
        later.start()
        ran = scene.run(VISIONFLOW_SYNC__BUSY_TIMEOUT="1.0")
        later.join()
    assert ran.code == 0, ran.err
    scene.keeps()
    scene.heals()


# Full


@pytest.mark.parametrize("more", [4, *rarely(40, 100), 160, *rarely(240, 400), 700])
def test_a_disk_that_is_full_at_some_point_of_a_pass(tmp_path: Path, repo: Repo, daemon: Daemon, more: int) -> None:
    with tmpfs(tmp_path / "disk", "64m") as disk:
        scene = Scene(repo, daemon, disk / "kg.db", new=200)
        used = shutil.disk_usage(disk).used // 1024
        remount(disk, f"size={used + more}k")
        ran = scene.run()
        assert "disk full" in ran.err
        assert str(scene.database) in ran.err
        scene.survives(ran, 6, GOES_ON, event="pass failed" if ran.out else "", heal=False)
        remount(disk, "size=64m")
        scene.heals()


@pytest.mark.parametrize("at", [1, *rarely(2, 3), 5, *rarely(9, 40), 200])
@pytest.mark.parametrize(("error", "says"), [("ENOSPC", "disk full"), ("EIO", "disk I/O error")])
def test_a_write_that_fails_from_some_point_on(scene: Scene, error: str, says: str, at: int) -> None:
    paths = (scene.database, log_of(scene.database))
    ran = scene.run(*strace("pwrite64", f"pwrite64:error={error}:when={at}+", only=paths))
    scene.survives(ran, 6, says)


@pytest.mark.parametrize("at", [1, *rarely(4), 30])
def test_a_single_write_that_fails_costs_nothing_but_the_pass(scene: Scene, at: int) -> None:
    paths = (scene.database, log_of(scene.database))
    ran = scene.run(*strace("pwrite64", f"pwrite64:error=EIO:when={at}", only=paths))
    scene.survives(ran, 6, "disk I/O error")


@pytest.mark.parametrize("which", ["all", *rarely("the log's", "the database's")])
def test_a_disk_that_does_not_sync(scene: Scene, which: str) -> None:
    paths = {"all": (), "the log's": (log_of(scene.database),), "the database's": (scene.database,)}[which]
    ran = scene.run(*strace("fsync,fdatasync", "fsync,fdatasync:error=EIO", only=paths))
    scene.survives(ran, 6, "disk I/O error")


# Not to be written


def test_a_file_system_that_is_read_only(tmp_path: Path, repo: Repo, daemon: Daemon) -> None:
    with tmpfs(tmp_path / "disk", "64m") as disk:
        scene = Scene(repo, daemon, disk / "kg.db")
        remount(disk, "ro")
        ran = scene.run()
        remount(disk, "rw")
        scene.survives(ran, 6, "whether the mount is read-only", event="", untouched=True)


@pytest.mark.parametrize("what", ["file", "folder", "a killed pass's log", "its index"])
def test_a_user_without_the_right_to_write(open_folder: Path, what: str) -> None:
    daemon, under = Daemon(open_folder), as_nobody()
    place = open_folder / "data"
    place.mkdir()
    scene = Scene(Repo(open_folder / "source.git"), daemon, place / "kg.db")
    log, index = log_of(scene.database), index_of(scene.database)
    for path in (log, index, lock_path(scene.database, "default")):
        path.unlink(missing_ok=True)
    if is_killed := what not in {"file", "folder"}:
        killed_with_its_log(scene)
    owned_by_nobody(open_folder)
    scene.daemon.under = under
    closed = {"file": scene.database, "folder": place, "its index": index}.get(what, log)
    before = closed.stat().st_mode
    closed.chmod(0o555 if closed.is_dir() else 0o444)
    ran = scene.run(*under)
    assert closed.exists(), (ran.out, ran.err)
    closed.chmod(before)
    scene.survives(ran, 6, "look at the rights", event="pass failed" if ran.out else "", untouched=not is_killed)


def test_a_lock_file_that_cannot_be_made(scene: Scene) -> None:
    place = lock_path(scene.database, "default")
    place.mkdir()
    ran = scene.run()
    place.rmdir()
    assert str(place) in ran.err
    scene.survives(ran, 6, "can't make the lock file", untouched=True)


# Corrupt


def junk_in_every_page_but_the_first(data: bytes) -> bytes:
    return data[:4096] + b"\xee" * (len(data) - 4096)


def junk_from_the_middle_on(data: bytes) -> bytes:
    half = len(data) // 8192 * 4096
    return data[:half] + b"\xee" * (len(data) - half)


def junk_in_the_first_page(data: bytes) -> bytes:
    return data[:100] + b"\xee" * 3996 + data[4096:]


def junk_in_the_header(data: bytes) -> bytes:
    return data[:16] + b"\xee" * 84 + data[100:]


def cut_in_half(data: bytes) -> bytes:
    return data[: len(data) // 2]


def cut_within_a_page(data: bytes) -> bytes:
    return data[: 4096 * 5 + 77]


def cut_within_the_header(data: bytes) -> bytes:
    return data[:50]


DAMAGES = [
    junk_from_the_middle_on,
    junk_in_the_first_page,
    junk_in_the_header,
    *rarely(junk_in_every_page_but_the_first, cut_in_half, cut_within_the_header),
    cut_within_a_page,
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_told_of_and_not_touched(scene: Scene, damage: Callable[[bytes], bytes]) -> None:
    whole = scene.database.read_bytes()
    broken = damage(whole)
    scene.database.write_bytes(broken)
    ran = scene.run()
    assert ran.code == 6, (ran.out, ran.err)
    assert f"the database {scene.database} is corrupt" in ran.err
    assert "Put a backup in its place, or move it away" in ran.err
    assert all(event["event"] == "pass failed" and event["exit_code"] == 6 for event in ran.events)
    assert scene.database.read_bytes() == broken
    assert not log_of(scene.database).exists() or not log_of(scene.database).stat().st_size
    index_of(scene.database).unlink(missing_ok=True)
    log_of(scene.database).unlink(missing_ok=True)
    scene.database.write_bytes(whole)
    scene.keeps(untouched=True)
    scene.heals()


@pytest.mark.parametrize("verb", ["dump", "status", "failures"])
def test_a_verb_that_reads_a_damaged_file_says_so(scene: Scene, verb: str) -> None:
    scene.database.write_bytes(junk_in_every_page_but_the_first(scene.database.read_bytes()))
    told = scene.daemon.run(verb, "--database", str(scene.database))
    assert told.code == 6
    assert told.err.startswith(f"visionflow-daemon: the database {scene.database} is corrupt")


def test_a_damaged_file_that_is_moved_away_is_made_anew(scene: Scene) -> None:
    scene.database.write_bytes(junk_from_the_middle_on(scene.database.read_bytes()))
    assert scene.run().code == 6
    scene.database.rename(scene.database.with_suffix(".damaged"))
    assert scene.heals().event("pass finished")["plan_reason"] == "this is the first pass"


def test_damage_that_only_saving_meets_ends_the_pass_without_another_word_in_the_file(scene: Scene) -> None:
    """A page of an index that planning does not read: the run's row is left as it was begun."""
    with closing(sqlite3.connect(scene.database)) as connection:
        tables = "'owl_classes', 'owl_class_hierarchy', 'class_facts', 'owl_axioms'"
        roots = connection.execute(f"SELECT rootpage FROM sqlite_master WHERE tbl_name IN ({tables}) AND rootpage > 0")
        roots = roots.fetchall()
    data = bytearray(scene.database.read_bytes())
    for (page,) in roots:
        data[(page - 1) * 4096 : page * 4096] = b"\xee" * 4096
    whole = scene.database.read_bytes()
    scene.database.write_bytes(bytes(data))
    ran = scene.run()
    assert ran.code == 6, (ran.out, ran.err)
    assert "is corrupt" in ran.event("pass failed")["reason"]
    assert "nothing more is written to it" in ran.err
    statuses = query(scene.database, "SELECT status FROM sync_runs ORDER BY started_at DESC, run_id DESC")
    assert statuses[0] == ("running",)
    assert query(scene.database, "SELECT COUNT(*) FROM source_files WHERE status = 'failed'") == [(0,)]
    scene.database.write_bytes(whole)
    scene.keeps(untouched=True)
    scene.heals()


# Files that come and go between passes


@pytest.mark.parametrize("gone", [*rarely("log"), "index", "both"])
def test_a_killed_pass_leaves_its_log_and_what_is_taken_of_it_costs_only_time(scene: Scene, gone: str) -> None:
    held = killed_with_its_log(scene)
    if gone in {"index", "both"}:
        index_of(scene.database).unlink()
    if gone in {"log", "both"}:
        log_of(scene.database).unlink()
        index_of(scene.database).unlink(missing_ok=True)
        scene.keeps()  # what was only in the log is gone: that was somebody's doing
    else:
        scene.keeps()
        assert files(scene.database) == held
    scene.heals()


def test_the_log_that_a_kill_leaves_is_taken_up(scene: Scene) -> None:
    held = killed_with_its_log(scene)
    assert log_of(scene.database).stat().st_size > 0
    scene.keeps()
    finished = scene.heals().event("pass finished")
    assert finished["plan_reason"] == "the last pass did not come through"
    done = sum(held.get(path) == blob for path, blob in scene.target.items())
    assert finished["saved"] == len(scene.target) - done


def killed_with_its_log(scene: Scene) -> dict[str, str | None]:
    """Kill the second pass when it has saved something, and give what the log holds of it."""
    process = scene.daemon.start("--once", "--source", scene.repo.path, "--database", scene.database)
    while len(files(scene.database)) < len(scene.files_before) + 10:
        assert process.poll() is None, "the pass was over too soon"
    process.kill()
    process.communicate()
    assert process.returncode == -9
    return files(scene.database)


@pytest.mark.parametrize("what", ["deleted", "emptied"])
def test_a_database_that_is_gone_is_made_anew(scene: Scene, what: str) -> None:
    if what == "deleted":
        scene.database.unlink()
    else:
        scene.database.write_bytes(b"")
    assert scene.heals().event("pass finished")["plan_reason"] == "this is the first pass"


def test_a_database_replaced_by_an_older_copy_catches_up(scene: Scene) -> None:
    older = scene.database.read_bytes()
    scene.heals()
    scene.database.write_bytes(older)
    scene.keeps(untouched=True)
    scene.heals()


def test_a_database_replaced_by_another_ontology_of_another_source_is_refused(
    tmp_path: Path, scene: Scene, daemon: Daemon
) -> None:
    other = Repo(tmp_path / "other.git")
    other.commit({"o.md": "- ### OntologyBlock\n  - owl:class:: mv:O\n"})
    daemon.once(other.path, database="other.db")
    mine = scene.database.read_bytes()
    scene.database.write_bytes((daemon.folder / "other.db").read_bytes())
    ran = scene.run()
    assert ran.code == 2
    assert "is fed by" in ran.err
    assert_sound(scene.database)
    scene.database.write_bytes(mine)
    scene.keeps(untouched=True)
    scene.heals()
