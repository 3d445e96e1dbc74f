"""Backups and restores that are killed, or meet a full disk: the database is the old one or the new one, whole."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.faults.support import rarely, strace, tmpfs
from tests.storage.backups.support import backed_up, filled, names
from tests.support import Daemon, Ran, Repo, assert_sound, class_page
from visionflow_daemon.storage.backups.shelf import Shelf
from visionflow_daemon.storage.database import Database
from visionflow_daemon.storage.dump import dump

IN_LOG = """
INSERT INTO owl_axioms (ontology_id, id, axiom_type, subject, object, is_inferred)
VALUES ('default', 999999999, 'SubClassOf', 'urn:t:log', 'urn:t:1', 1)
"""
LOST = "SELECT COUNT(*) FROM owl_axioms WHERE subject = 'urn:t:log'"


@dataclass
class Stage:
    """A database with a commit that only its log holds, and an older backup of it; as they were, after each fault."""

    daemon: Daemon
    folder: Path
    aside: Path
    old: bytes
    new: bytes

    @property
    def database(self) -> Path:
        """The database."""
        return self.folder / "kg.db"

    def set_up(self) -> None:
        """Bring all back to what it was."""
        shutil.rmtree(self.folder)
        shutil.copytree(self.aside, self.folder)

    def restore(self, *under: str) -> Ran:
        """Restore the backup, under a program that makes a fault."""
        faulty = replace(self.daemon, under=under)
        return faulty.run("restore", "latest", "--database", str(self.database))

    def state(self) -> str:
        """Say which of both the database is; nothing else may be."""
        assert_sound(self.database)
        found = read(self.database)
        if found == self.new:
            return "new"
        assert found == self.old
        with closing(sqlite3.connect(self.database)) as connection:
            assert connection.execute(LOST).fetchone() == (1,)
        return "old"


def read(database: Path) -> bytes:
    """Give the dump of a database."""
    opened = Database(database, read_only=True)
    try:
        return b"".join(dump(opened, "default"))
    finally:
        opened.close()


@pytest.fixture
def stage(repo: Repo, daemon: Daemon) -> Stage:
    """A database, its backup beside it, and a copy of both."""
    folder = daemon.folder / "place"
    folder.mkdir()
    database = filled(repo, daemon, "place/kg.db")
    backed_up(database)
    new = read(database)
    repo.commit({f"p{number:03}.md": class_page(f"urn:t:{number}", f"Q {number}") for number in range(10, 200)})
    daemon.once(repo.path, database="place/kg.db")
    aside = daemon.folder / "aside"
    with closing(sqlite3.connect(database, isolation_level=None)) as writer:
        writer.execute(IN_LOG)
        shutil.copytree(folder, aside, ignore=shutil.ignore_patterns("*-shm"))
    made = Stage(daemon, folder, aside, read(database), new)
    made.set_up()
    return made


CALLS = "pwrite64,write,fsync,fdatasync,ftruncate,rename,link,linkat,unlink,openat,chmod"
WITHIN = ("kg.db", "kg.db-wal", "kg.db-shm", "kg.db-journal", ".kg.db.restoring", ".kg.db.restoring/fresh")


def killed_at(stage: Stage, moment: int) -> tuple[str, ...]:
    """Give the command that kills a restore at the nth system call that has to do with the database."""
    places = (*(stage.folder / name for name in WITHIN), stage.folder)
    return strace(CALLS, f"{CALLS}:signal=KILL:when={moment}", only=places)


def walk(stage: Stage, moments: range, set_up: Callable[[], None]) -> dict[int, str]:
    """Kill a restore at each of these moments, and put the backup back after it; say what each left."""
    found = {}
    for moment in moments:
        set_up()
        ran = stage.restore(*killed_at(stage, moment))
        if ran.code == 0:
            break
        assert ran.code in {-9, 137}, (ran.code, ran.err)
        found[moment] = stage.state()
        again = stage.restore()
        assert again.code == 0, again.err
        assert stage.state() == "new"
        assert ".kg.db.restoring" not in names(stage.folder)
    return found


@pytest.mark.parametrize("step", [23, *rarely(1)])
def test_a_restore_that_is_killed_leaves_old_or_new(stage: Stage, step: int) -> None:
    found = walk(stage, range(5, 2_000, step), stage.set_up)
    assert set(found.values()) == {"old", "new"}, found


@pytest.mark.parametrize("step", [7, *rarely(1)])
def test_a_restore_over_junk_that_is_killed_leaves_junk_or_new_never_another_ones_log(stage: Stage, step: int) -> None:
    def set_up() -> None:
        stage.set_up()
        stage.database.write_bytes(b"junk" * 10_000)

    moments, left = range(1, 2_000, step), []
    for moment in moments:
        set_up()
        log = stage.database.with_name("kg.db-wal").read_bytes()
        ran = stage.restore(*killed_at(stage, moment))
        if ran.code == 0:
            break
        if stage.database.read_bytes().startswith(b"junk"):
            kept = [stage.database, *stage.folder.glob("*.replaced")]
            assert all(each.read_bytes() == b"junk" * 10_000 for each in kept)
            logs = [stage.database.with_name("kg.db-wal"), *stage.folder.glob("*.replaced-wal")]
            assert any(each.exists() and each.read_bytes() == log for each in logs)
            left.append("junk")
        else:
            assert stage.state() == "new"
            left.append("new")
        assert stage.restore().code == 0
        assert stage.state() == "new"
    assert "junk" in left
    assert stage.state() == "new"


@pytest.mark.parametrize("moment", [1, 2, 20, *rarely(*range(3, 20), *range(21, 60, 3))])
def test_a_restore_that_meets_a_full_disk_leaves_the_old_one_and_room(stage: Stage, moment: int) -> None:
    log = stage.folder / "kg.db-wal"
    ran = stage.restore(*strace("pwrite64", f"pwrite64:error=ENOSPC:when={moment}+", only=(log,)))
    assert ran.code == 6, ran.err
    assert "disk full: no room for" in ran.err
    assert stage.state() == "old"
    assert stage.restore().code == 0
    assert stage.state() == "new"


def test_a_restore_that_has_no_room_is_refused_before_it_begins(stage: Stage) -> None:
    with tmpfs(stage.daemon.folder / "small", "1m") as small:
        shutil.copytree(stage.aside, small, dirs_exist_ok=True)
        before = names(small)
        (backup,) = (small / "backups").glob("*.gz")
        ran = stage.daemon.run("restore", backup, "--database", str(small / "kg.db"))
        assert ran.code == 6
        assert "too little room in" in ran.err
        assert names(small) == before
        assert read(small / "kg.db") == stage.old


@pytest.mark.parametrize("step", [19, *rarely(1)])
def test_a_backup_that_is_killed_leaves_whole_ones_alone(stage: Stage, step: int) -> None:
    folder = stage.folder / "backups"
    shelf = Shelf(folder, stage.database)
    kills = 0
    for moment in range(1, 2_000, step):
        stage.set_up()
        room = folder / ".kg.db.part"
        places = (folder, room, room / "copy.part", room / "copy", room / "archive", room / "manifest")
        under = strace(CALLS, f"{CALLS}:signal=KILL:when={moment}", only=places)
        ran = replace(stage.daemon, under=under).run("backup", "--database", str(stage.database))
        if ran.code == 0:
            break
        kills += 1
        stock = shelf.stock()
        assert stock.oddities == ()
        for each in stock.backups:
            tried = stage.daemon.run("restore", each.path, "--dry-run", "--database", str(stage.database))
            assert tried.code == 0, tried.err
        again = stage.daemon.run("backup", "--prune", "--json", "--database", str(stage.database))
        assert again.code == 0, again.err
        there = {name for each in shelf.stock().backups for name in (each.path.name, each.manifest_path.name)}
        assert set(names(folder)) == there
        assert stage.state() == "old"
    assert kills >= 2


@pytest.mark.parametrize("what", ["copy.part", "archive", "manifest"])
def test_a_backup_that_meets_a_full_disk_is_told_and_leaves_nothing(stage: Stage, what: str) -> None:
    folder = stage.folder / "backups"
    before = names(folder)
    calls = "write,pwrite64"
    under = strace(calls, f"{calls}:error=ENOSPC", only=(folder / ".kg.db.part" / what,))
    ran = replace(stage.daemon, under=under).run("backup", "--prune", "--database", str(stage.database))
    assert ran.code == 6, ran.err
    assert "disk full" in ran.err or "No space left on device" in ran.err
    assert "Traceback" not in ran.err
    assert names(folder) == before
    assert stage.state() == "old"


def test_a_backup_that_has_no_room_is_refused_before_it_begins(stage: Stage) -> None:
    with tmpfs(stage.daemon.folder / "small", "1m") as small:
        ran = stage.daemon.run("backup", small, "--database", str(stage.database))
        assert ran.code == 6
        assert "too little room in" in ran.err
        assert names(small) == []


def test_no_right_to_write_is_told(stage: Stage) -> None:
    (stage.folder / "file").write_text("no folder")
    for to in ("file", "none/at/all"):
        ran = stage.daemon.run("backup", stage.folder / to, "--database", str(stage.database))
        assert ran.code == 6
        assert "can't make the folder" in ran.err
    ran = stage.daemon.run("restore", "latest", "--json", "--database", str(stage.folder / "backups"))
    assert ran.code == 6
    assert json.loads(stage.restore().err.splitlines()[-1])["event"] == "database restored"
