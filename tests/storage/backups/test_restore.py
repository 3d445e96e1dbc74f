"""A restore proves the backup before it touches anything, keeps what it replaces, and lets readers see old or new."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.engines import assert_sound
from tests.storage.backups.support import backed_up, damage, edited, filled, names, rewritten, unpacked
from tests.storage.test_upgrades import as_version_1
from tests.support import Daemon, Repo, class_page
from visionflow_daemon.errors import BusyError, CorruptError, DatabaseError, LockedError
from visionflow_daemon.storage.backups.restore import Restored, Rules, restore
from visionflow_daemon.storage.backups.shelf import Backup
from visionflow_daemon.storage.lock import ontology_lock
from visionflow_daemon.storage.migrate import migrations

pytestmark = pytest.mark.sqlite

NEWER = class_page("urn:t:newer", "Newer")


@pytest.fixture
def old(repo: Repo, daemon: Daemon) -> Backup:
    """A backup of kg.db, which has one page more by now."""
    database = filled(repo, daemon)
    backup = backed_up(database)
    repo.commit({"newer.md": NEWER})
    daemon.once(repo.path)
    return backup


def put_back(backup: Path, daemon: Daemon, name: str = "kg.db", rules: Rules | None = None) -> Restored:
    """Put a backup back."""
    return restore(backup, daemon.folder / name, rules or Rules(busy_timeout=0.2))


def beside(daemon: Daemon, name: str = "kg.db") -> list[str]:
    """Name what lies beside a database, locks apart."""
    return [each for each in names(daemon.folder) if each.startswith((f"{name}", f".{name}")) and ".lock" not in each]


def test_a_restored_database_is_the_one_of_then_and_syncs_on(old: Backup, repo: Repo, daemon: Daemon) -> None:
    new = daemon.dump_bytes()
    then = daemon.dump_bytes(str(unpacked(old, daemon.folder / "then.db")))
    done = put_back(old.path, daemon)
    assert daemon.dump_bytes() == then != new
    assert_sound(daemon.folder / "kg.db")
    assert done.replaced is not None
    assert_sound(done.replaced)
    assert daemon.dump_bytes(str(done.replaced)) == new
    assert (daemon.folder / "kg.db").stat().st_mode & 0o777 == 0o644
    ran = daemon.once(repo.path)
    assert ran.event("pass finished")["saved"] == 1
    assert daemon.dump_bytes() == new


def test_what_was_replaced_can_be_put_back_and_so_can_its_manifests_archive(old: Backup, daemon: Daemon) -> None:
    new = daemon.dump_bytes()
    done = put_back(old.manifest_path, daemon)
    assert done.source == old.path
    assert daemon.dump_bytes() != new
    assert done.replaced is not None
    put_back(done.replaced, daemon)
    assert daemon.dump_bytes() == new


def test_a_trial_touches_nothing(old: Backup, daemon: Daemon) -> None:
    before = (beside(daemon), (daemon.folder / "kg.db").read_bytes())
    done = put_back(old.path, daemon, rules=Rules(is_trial=True))
    assert (done.is_trial, done.replaced, done.commits) == (True, None, old.manifest.commits)
    assert (beside(daemon), (daemon.folder / "kg.db").read_bytes()) == before


def test_a_reader_that_stays_sees_old_then_new_and_never_a_mixture(old: Backup, daemon: Daemon) -> None:
    count = "SELECT COUNT(*) FROM owl_classes"
    database = daemon.folder / "kg.db"
    with closing(sqlite3.connect(database, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        (before,) = reader.execute(count).fetchone()
        seen = set()

        def told(doing: str, _done: int, _of: int) -> None:
            if doing == "writing":
                with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as other:
                    seen.add(other.execute(count).fetchone())
                    assert other.execute("PRAGMA integrity_check").fetchone() == ("ok",)

        restore(old.path, database, Rules(), told)
        assert seen == {(before,)}
        assert reader.execute(count).fetchone() == (before,)
        reader.execute("COMMIT")
        assert reader.execute(count).fetchone() == (before - 1,)
        assert reader.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_writer_that_stays_goes_on_with_the_restored_one(old: Backup, daemon: Daemon) -> None:
    with closing(sqlite3.connect(daemon.folder / "kg.db", isolation_level=None)) as writer:
        writer.execute("CREATE TABLE theirs (x)")
        put_back(old.path, daemon)
        assert writer.execute("SELECT 1 FROM sqlite_master WHERE name = 'theirs'").fetchone() is None
        writer.execute("CREATE TABLE others (x)")
    assert_sound(daemon.folder / "kg.db")
    assert daemon.query("SELECT COUNT(*) FROM others") == [(0,)]


@pytest.mark.parametrize("ontology_id", ["default", "another", "of the backup's alone"])
def test_a_pass_at_work_keeps_restores_away(old: Backup, daemon: Daemon, ontology_id: str) -> None:
    before = (daemon.folder / "kg.db").read_bytes()
    with (
        ontology_lock(daemon.folder / "kg.db", ontology_id, 0),
        pytest.raises(LockedError, match=f"another pass \\(process {os.getpid()}\\) is writing"),
    ):
        put_back(old.path, daemon)
    assert (daemon.folder / "kg.db").read_bytes() == before


def test_a_writer_at_work_keeps_restores_away(old: Backup, daemon: Daemon) -> None:
    database = daemon.folder / "kg.db"
    before = daemon.dump_bytes()
    with closing(sqlite3.connect(database, isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM owl_axioms")
        with pytest.raises(BusyError, match="another program writes to"):
            put_back(old.path, daemon)
        writer.execute("ROLLBACK")
    assert daemon.dump_bytes() == before
    assert not list(daemon.folder.glob("*.replaced"))
    put_back(old.path, daemon)


# What is put back


def test_an_older_schema_is_brought_up_to_date_before_anybody_sees_it(old: Backup, daemon: Daemon) -> None:
    new = daemon.dump_bytes()
    as_version_1(daemon.folder / "kg.db", daemon.folder / "first.db")
    backup = backed_up(daemon.folder / "first.db")
    assert backup.manifest.schema_version == 1
    put_back(old.path, daemon)
    done = put_back(backup.path, daemon)
    assert done.migrated == tuple(each.version for each in migrations()[1:])
    assert daemon.dump_bytes() == new


def test_a_newer_schema_is_refused(old: Backup, daemon: Daemon) -> None:
    row = "INSERT INTO schema_migrations (version, name) VALUES (99, 'later')"
    backup = rewritten(old, edited(daemon.folder / "kg.db", row), schema_version=99)
    refused(backup.path, daemon, "has schema version 99, this program knows", DatabaseError)


@pytest.mark.usefixtures("old")
def test_what_is_no_database_of_ours_is_refused(daemon: Daemon) -> None:
    with closing(sqlite3.connect(daemon.folder / "notes.db")) as connection:
        connection.execute("CREATE TABLE notes (x)")
    refused(daemon.folder / "notes.db", daemon, "holds nothing of visionflow-daemon", DatabaseError)
    (daemon.folder / "notes.txt").write_text("some notes")
    refused(daemon.folder / "notes.txt", daemon, "neither an archive", DatabaseError)
    refused(daemon.folder / "none.gz", daemon, "there is no backup at", DatabaseError)
    refused(daemon.folder / "kg.db", daemon, "is the database itself", DatabaseError)
    os.mkfifo(daemon.folder / "pipe.gz")
    refused(daemon.folder / "pipe.gz", daemon, "there is no backup at", DatabaseError)


def test_a_damaged_one_is_refused(old: Backup, daemon: Daemon) -> None:
    copy = unpacked(old, daemon.folder / "copy.db")
    damage(copy)
    refused(copy, daemon, "is damaged", CorruptError)
    refused(rewritten(old, copy.read_bytes()).path, daemon, "is damaged", CorruptError)


def test_references_that_lead_nowhere_are_refused(old: Backup, daemon: Daemon) -> None:
    content = edited(daemon.folder / "kg.db", "DELETE FROM source_files WHERE display_path = 'p001.md'")
    refused(rewritten(old, content).path, daemon, "refer to rows of", CorruptError)


def an_older_visionflows(place: Path) -> Path:
    with closing(sqlite3.connect(place)) as connection:
        connection.executescript(
            "CREATE TABLE owl_classes (iri TEXT PRIMARY KEY, label TEXT, description TEXT);"
            "CREATE TABLE owl_class_hierarchy (class_iri TEXT REFERENCES owl_classes (iri), parent_iri TEXT);"
            "INSERT INTO owl_classes VALUES ('urn:t:a', 'A', NULL);"
            "INSERT INTO owl_class_hierarchy VALUES ('urn:t:gone', 'urn:t:a');"
        )
    return place


@pytest.mark.usefixtures("old")
def test_an_older_visionflows_is_put_back_where_nobody_has_the_database_open(daemon: Daemon) -> None:
    older = an_older_visionflows(daemon.folder / "older.db")
    with held_open(daemon.folder / "kg.db"):
        refused(older, daemon, "another program has .* open", BusyError)
    done = put_back(older, daemon)
    assert (done.schema_version, done.migrated) == (0, ())
    assert daemon.query("SELECT iri FROM owl_classes") == [("urn:t:a",)]
    adopted = daemon.run("migrate", "up", "--database", "kg.db")
    assert adopted.code == 0, adopted.err


def test_what_migrate_kept_and_a_backup_before_are_put_back_as_they_were(daemon: Daemon) -> None:
    older = an_older_visionflows(daemon.folder / "older.db")
    with closing(sqlite3.connect(older)) as connection:
        before = list(connection.iterdump())
    backup = backed_up(older)
    assert backup.manifest.schema_version == 0
    put_back(backup.path, daemon, "copy.db")
    with closing(sqlite3.connect(daemon.folder / "copy.db")) as connection:
        assert list(connection.iterdump()) == before
    ran = daemon.run("migrate", "up", "--json", "--database", "older.db")
    assert ran.code == 0, ran.err
    assert daemon.query("SELECT COUNT(*) FROM schema_migrations", "older.db") != [(0,)]
    done = put_back(Path(ran.json["backup"]), daemon, "older.db")
    with closing(sqlite3.connect(older)) as connection:
        assert list(connection.iterdump()) == before
    assert done.replaced is not None
    put_back(done.replaced, daemon, "older.db")
    assert daemon.query("SELECT COUNT(*) FROM schema_migrations", "older.db") != [(0,)]


def refused(backup: Path, daemon: Daemon, why: str, error: type[Exception]) -> None:
    """See that a restore is refused, and that nothing changed."""
    database = daemon.folder / "kg.db"
    before = beside(daemon), database.read_bytes()
    with pytest.raises(error, match=why):
        put_back(backup, daemon)
    assert (beside(daemon), database.read_bytes()) == before


# What is replaced


def test_where_nothing_is_it_is_put_and_a_stray_log_is_kept_apart(old: Backup, daemon: Daemon) -> None:
    (daemon.folder / "elsewhere.db-wal").write_bytes(b"a log of another database")
    done = put_back(old.path, daemon, "elsewhere.db")
    assert daemon.dump_bytes("elsewhere.db") == daemon.dump_bytes(str(unpacked(old, daemon.folder / "then.db")))
    assert done.replaced is not None
    assert not done.replaced.exists()
    assert done.replaced.with_name(f"{done.replaced.name}-wal").read_bytes() == b"a log of another database"
    assert put_back(old.path, daemon, "third.db").replaced is None


HOLD = """
import sqlite3, sys
reader = sqlite3.connect(sys.argv[1])
print(reader.execute("SELECT COUNT(*) FROM owl_classes").fetchone(), flush=True)
sys.stdin.read()
"""


@contextmanager
def held_open(database: Path) -> Iterator[None]:
    """Let another process have a database open; locks of this one would not count."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(database)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield
        process.communicate(timeout=20)


def leave_a_log(database: Path) -> None:
    """Leave a log beside a database, as a kill does."""
    with closing(sqlite3.connect(database, isolation_level=None)) as writer:
        writer.execute(
            "INSERT INTO owl_axioms (ontology_id, id, axiom_type, subject, object, is_inferred)"
            " VALUES ('default', 999999999, 'SubClassOf', 'urn:t:in-the-log', 'urn:t:1', 1)"
        )
        for end in ("", "-wal"):
            shutil.copyfile(f"{database}{end}", f"{database}{end}.copy")
    for end in ("", "-wal"):
        Path(f"{database}{end}.copy").replace(f"{database}{end}")


def test_what_only_the_log_holds_is_kept_and_never_gets_into_the_restored_one(old: Backup, daemon: Daemon) -> None:
    in_log = "SELECT COUNT(*) FROM owl_axioms WHERE subject = 'urn:t:in-the-log'"
    leave_a_log(daemon.folder / "kg.db")
    done = put_back(old.path, daemon)
    assert daemon.query(in_log) == [(0,)]
    assert daemon.query(in_log, str(done.replaced)) == [(1,)]


def junk(database: Path) -> None:
    database.write_bytes(b"this was a database" * 1_000)


def cut_off(database: Path) -> None:
    os.truncate(database, 5 * 4_096)


@pytest.mark.parametrize("harm", [junk, cut_off])
def test_a_file_that_sqlite_does_not_know_any_more_is_replaced_and_kept(
    old: Backup, daemon: Daemon, harm: Callable[[Path], None]
) -> None:
    database = daemon.folder / "kg.db"
    leave_a_log(database)
    harm(database)
    database.chmod(0o640)
    kept = {end: database.with_name(f"kg.db{end}").read_bytes() for end in ("", "-wal")}
    done = put_back(old.path, daemon)
    assert daemon.dump_bytes() == daemon.dump_bytes(str(unpacked(old, daemon.folder / "then.db")))
    assert_sound(database)
    assert database.stat().st_mode & 0o777 == 0o640
    assert done.replaced is not None
    assert {end: done.replaced.with_name(done.replaced.name + end).read_bytes() for end in kept} == kept


def test_such_a_file_is_left_where_it_is_while_a_program_has_it_open(old: Backup, daemon: Daemon) -> None:
    database = daemon.folder / "kg.db"
    with held_open(database):
        junk(database)
        refused(old.path, daemon, "another program has .* open", BusyError)
    put_back(old.path, daemon)
    assert_sound(database)


def test_one_damaged_within_is_written_over(old: Backup, daemon: Daemon) -> None:
    damage(daemon.folder / "kg.db")
    done = put_back(old.path, daemon)
    assert_sound(daemon.folder / "kg.db")
    assert done.replaced is not None
    assert daemon.query("SELECT COUNT(*) FROM owl_classes", str(done.replaced)) == [(21,)]


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_other_pages_and_another_journal_are_no_hindrance(old: Backup, daemon: Daemon, journal: str) -> None:
    with closing(sqlite3.connect(daemon.folder / "small.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA page_size = 1024")
        connection.execute(f"PRAGMA journal_mode = {journal}")
        connection.execute("CREATE TABLE theirs (x)")
    done = put_back(old.path, daemon, "small.db")
    assert daemon.dump_bytes("small.db") == daemon.dump_bytes(str(unpacked(old, daemon.folder / "then.db")))
    assert daemon.query("SELECT COUNT(*) FROM theirs", str(done.replaced)) == [(0,)]
    assert daemon.query("PRAGMA journal_mode", "small.db") == [("wal",)]


def test_two_restores_do_not_meet_and_litter_of_a_killed_one_goes(old: Backup, daemon: Daemon) -> None:
    room = daemon.folder / ".kg.db.restoring"
    room.mkdir()
    (room / "fresh").write_bytes(b"half of a database")

    def told(_doing: str, _done: int, _of: int) -> None:
        with pytest.raises(LockedError, match="a restore is under way"):
            put_back(old.path, daemon)

    restore(old.path, daemon.folder / "kg.db", Rules(), told)
    assert not room.exists()
