"""Backups and restores that are killed, or meet a full disk: the database is the old one or the new one, whole."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.engines import assert_sound
from tests.faults.support import rarely, strace, tmpfs
from tests.storage.backups.support import backed_up, filled, names
from tests.support import Daemon, Ran, Repo, class_page
from visionflow_daemon.storage.backups.restore import Rules, restore
from visionflow_daemon.storage.backups.shelf import Shelf
from visionflow_daemon.storage.dump import dump
from visionflow_daemon.storage.sqlite import SqliteDatabase

pytestmark = pytest.mark.sqlite

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
        with closing(sqlite3.connect(self.database)) as connection:  # as who writes: a log that lies there is applied
            connection.execute("PRAGMA wal_checkpoint").fetchall()
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
    opened = SqliteDatabase(database, read_only=True)
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


STEPS = {"rename": 1, "link": 1, "unlink": 1, "fsync": 1, "fdatasync": 1, "pwrite64": 31}
"""Of which system calls each nth is killed in the quick tests; strace counts those of each name apart."""

ALL = ("rename", "link", "unlink", "fsync", "fdatasync", "pwrite64", "write", "ftruncate", "openat", "chmod", "fchmod")
WITHIN = ("kg.db", "kg.db-wal", "kg.db-shm", "kg.db-journal", ".kg.db.restoring", ".kg.db.restoring/fresh")

every_call = pytest.mark.parametrize(
    ("call", "step"), [*STEPS.items(), *(pytest.param(call, 1, marks=pytest.mark.deep) for call in ALL)]
)


def kills(
    stage: Stage, call: str, step: int, places: Sequence[Path], run: Callable[..., Ran], always: Sequence[str]
) -> Iterator[int]:
    """Kill the program at every such system call that has to do with these places; those of `always` there must be."""
    for moment in range(1, 5_000, step):
        stage.set_up()
        ran = run(*strace(call, f"{call}:signal=KILL:when={moment}", only=tuple(places)))
        if ran.code == 0:
            assert moment > 1 or call not in always, f"no {call} was met"
            return
        assert ran.code in {-9, 137}, (ran.code, ran.err)
        yield moment


@every_call
def test_a_restore_that_is_killed_leaves_old_or_new(stage: Stage, call: str, step: int) -> None:
    places = [stage.folder, *(stage.folder / name for name in WITHIN), *stage.folder.glob("*.replaced")]
    for _ in kills(stage, call, step, places, stage.restore, ("fdatasync", "pwrite64", "fsync")):
        stage.state()
        assert stage.restore().code == 0
        assert stage.state() == "new"
        assert ".kg.db.restoring" not in names(stage.folder)
        assert not list(stage.folder.glob("*.part"))
    assert stage.state() == "new"


@every_call
def test_a_restore_over_junk_that_is_killed_leaves_junk_or_new_never_the_others_log(
    stage: Stage, call: str, step: int
) -> None:
    junk = b"junk" * 10_000
    shutil.copyfile(stage.aside / "kg.db-wal", stage.daemon.folder / "log")
    (stage.aside / "kg.db").write_bytes(junk)
    log = (stage.daemon.folder / "log").read_bytes()
    places = [stage.folder, *(stage.folder / name for name in WITHIN)]
    for _ in kills(stage, call, step, places, stage.restore, ("link", "unlink", "fsync", "rename")):
        if stage.database.read_bytes() == junk:
            logs = [stage.database.with_name("kg.db-wal"), *stage.folder.glob("*.replaced-wal")]
            assert log in [each.read_bytes() for each in logs if each.exists()]
            assert stage.restore().code == 0
        assert stage.state() == "new"
    assert stage.state() == "new"
    (kept,) = stage.folder.glob("*.replaced")
    assert (kept.read_bytes(), kept.with_name(f"{kept.name}-wal").read_bytes()) == (junk, log)


@pytest.mark.parametrize("moment", [1, 2, 20, *rarely(*range(3, 20), *range(21, 60, 3))])
def test_a_restore_that_meets_a_full_disk_leaves_the_old_one_and_room(stage: Stage, moment: int) -> None:
    log = stage.folder / "kg.db-wal"
    ran = stage.restore(*strace("pwrite64", f"pwrite64:error=ENOSPC:when={moment}+", only=(log,)))
    assert ran.code == 6, ran.err
    assert "disk full: no room for" in ran.err
    assert stage.state() == "old"
    assert not list(stage.folder.glob("*.replaced*"))
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


@every_call
def test_a_backup_that_is_killed_leaves_whole_ones_alone(stage: Stage, call: str, step: int) -> None:
    folder = stage.folder / "backups"
    shelf = Shelf(folder, stage.database)
    room = folder / ".kg.db.part"
    places = [folder, room, *(room / name for name in ("copy.part", "copy", "archive", "manifest", "lock"))]

    def run(*under: str) -> Ran:
        return replace(stage.daemon, under=under).run("backup", "--database", str(stage.database))

    for _ in kills(stage, call, step, places, run, ("rename", "fsync", "pwrite64", "unlink")):
        stock = shelf.stock()
        assert stock.oddities == ()
        for each in stock.backups:
            restore(each.path, stage.daemon.folder / "tried.db", Rules(is_trial=True))
        again = stage.daemon.run("backup", "--prune", "--database", str(stage.database))
        assert again.code == 0, again.err
        there = {name for each in shelf.stock().backups for name in (each.path.name, each.manifest_path.name)}
        assert set(names(folder)) == there
        assert stage.state() == "old"


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
