"""A backup is the database as of one moment, whoever writes, and nothing but whole ones get a name."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from pathlib import Path

import pytest

from tests.engines import assert_sound
from tests.storage.backups.support import backed_up, damage, filled, names, unpacked
from tests.support import Daemon, Repo, class_page
from visionflow_daemon.errors import CorruptError, DatabaseError, LockedError, StoppedError
from visionflow_daemon.storage.backups.rotation import Rotation
from visionflow_daemon.storage.backups.shelf import Shelf

pytestmark = pytest.mark.sqlite

NOON = datetime(2030, 1, 7, 12, tzinfo=UTC)


def test_a_backup_is_unpacked_and_checked_by_common_tools(repo: Repo, daemon: Daemon) -> None:
    database = filled(repo, daemon)
    backup = backed_up(database, now=lambda: NOON)
    assert names(backup.path.parent) == ["kg.db.20300107T120000.000Z.gz", "kg.db.20300107T120000.000Z.gz.json"]
    assert [oct(path.stat().st_mode & 0o777) for path in backup.path.parent.iterdir()] == ["0o600", "0o600"]
    assert backup.manifest.commits == {"default": repo.tip()}
    copy = unpacked(backup, daemon.folder / "copy.db")
    assert_sound(copy)
    assert daemon.dump_bytes("copy.db") == daemon.dump_bytes("kg.db")


def page(number: int, side: str) -> str:
    return class_page(f"urn:t:{number}", f"{side} {number}", subClassOf=[{"@id": f"urn:t:{number // 3}"}])


def blob_id(text: str) -> str:
    """Give git's id of a page."""
    data = text.encode()
    return sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


@pytest.mark.parametrize("files", [400, pytest.param(5_000, marks=pytest.mark.deep)])
def test_backups_during_a_pass_are_each_of_one_moment(repo: Repo, daemon: Daemon, tmp_path: Path, files: int) -> None:
    half = files // 2
    old = {f"p{number:05}.md": page(number, "old") for number in range(files)}
    new = {f"p{number:05}.md": page(number, "new") for number in range(half)}
    new |= {f"moved/p{number:05}.md": page(number, "new") for number in range(half, files)}
    by_id = {blob_id(text): text for text in (*old.values(), *new.values())}
    repo.commit(old)
    daemon.once(repo.path)
    repo.commit({**dict.fromkeys(old), **new})
    process = daemon.start("--once", "--source", repo.path, "--database", "kg.db", "--allow-mass-delete")
    backups = []
    for number in range(10_000):
        is_over = process.poll() is not None
        backups.append(backed_up(daemon.folder / "kg.db", tmp_path / f"backups-{number}"))
        if is_over:
            break
    assert (process.communicate()[1], process.returncode) == (b"", 0)

    mixed = []
    for backup in backups:
        copy = unpacked(backup, tmp_path / "copy.db")
        assert_sound(copy)
        with closing(sqlite3.connect(copy)) as connection:
            rows = connection.execute("SELECT display_path, blob_saved FROM source_files WHERE format IS NOT NULL")
            held = {path: by_id[blob] for path, blob in rows}
        if held not in (old, new):
            mixed.append((held, backup))
    assert mixed, f"none of {len(backups)} backups fell into the pass"
    assert held == new
    for number, (pages, backup) in enumerate(mixed[:: len(mixed) // 2 + 1]):
        unpacked(backup, tmp_path / "copy.db")
        fresh = Repo(tmp_path / f"fresh-{number}.git")
        fresh.commit(dict(pages))
        daemon.once(fresh.path, database=f"fresh-{number}.db")
        assert daemon.dump_bytes("copy.db") == daemon.dump_bytes(f"fresh-{number}.db")


def test_what_is_damaged_is_no_backup(repo: Repo, daemon: Daemon) -> None:
    database = filled(repo, daemon)
    damage(database)
    with pytest.raises(CorruptError, match=r"kg\.db is damaged"):
        backed_up(database)
    assert names(daemon.folder / "backups") == []


def test_references_that_lead_nowhere_are_no_backup_those_of_other_tables_are(repo: Repo, daemon: Daemon) -> None:
    database = filled(repo, daemon)
    with closing(sqlite3.connect(database)) as other:
        other.executescript(
            "CREATE TABLE theirs (id PRIMARY KEY, of REFERENCES theirs (id)); INSERT INTO theirs VALUES (1, 7);"
            "CREATE TABLE broken (of REFERENCES nowhere (id)); INSERT INTO broken VALUES (1);"
        )
    backed_up(database)
    with closing(sqlite3.connect(database)) as other:
        other.execute("DELETE FROM source_files WHERE display_path = 'p001.md'")
        other.commit()
    before = names(daemon.folder / "backups")
    with pytest.raises(CorruptError, match="refer to rows of"):
        backed_up(database)
    assert names(daemon.folder / "backups") == before


def test_one_at_a_time_and_a_stop_leaves_nothing(repo: Repo, daemon: Daemon) -> None:
    database = filled(repo, daemon)
    folder = daemon.folder / "backups"
    seen = []

    def told(doing: str, _done: int, _of: int) -> None:
        if doing not in seen:
            seen.append(doing)
            with pytest.raises(LockedError, match="a backup is under way"):
                backed_up(database)

    backed_up(database, told=told)
    assert {"copying", "compressing", "checking the archive", "unpacking"} <= set(seen)

    for stage in seen:

        def stop(doing: str, _done: int, _of: int, stage: str = stage) -> None:
            if doing == stage:
                raise StoppedError(stage)

        with pytest.raises(StoppedError, match=stage):
            backed_up(database, told=stop)
    assert len(names(folder)) == 2


def test_what_killed_ones_left_is_cleared_away_and_nothing_else_is(repo: Repo, daemon: Daemon) -> None:
    database = filled(repo, daemon)
    folder = daemon.folder / "backups"
    first = backed_up(database, now=lambda: NOON)
    litter = folder / ".kg.db.part"
    litter.mkdir()
    (litter / "copy").write_bytes(b"x")
    (litter / "copy-wal").write_bytes(b"x")
    without_archive = first.manifest_path.with_name("kg.db.20300107T110000.000Z.gz.json")
    without_archive.write_text(first.manifest_path.read_text().replace("T120000", "T110000"))
    strangers = (
        "kg.db.20200101T000000.000Z.gz",  # without a manifest
        "kg.db.20200102T000000.000Z.gz.json",  # no manifest
        "other.db.20200101T000000.000Z.gz",
        "kg.db.bak",
        "notes.txt",
    )
    for name in strangers:
        (folder / name).write_text("not ours")
    foreign = backed_up(filled(repo, daemon, "elsewhere.db"), daemon.folder / "elsewhere", now=lambda: NOON)
    for path in (foreign.path, foreign.manifest_path):  # of another database, by its manifest alone
        text = path.name.replace("elsewhere.db", "kg.db").replace("T12", "T10")
        (folder / text).write_bytes(path.read_bytes().replace(b"elsewhere.db.20300107T12", b"kg.db.20300107T10"))

    for hours in range(1, 4):
        backed_up(database, rotation=Rotation(2, 0), now=lambda hours=hours: NOON + timedelta(hours=hours))
    stock = Shelf(folder, database).stock()
    assert [each.manifest.taken_at.hour for each in stock.backups] == [14, 15]
    left = set(names(folder)) - {path.name for each in stock.backups for path in (each.path, each.manifest_path)}
    theirs = {"kg.db.20300107T100000.000Z.gz", "kg.db.20300107T100000.000Z.gz.json"}
    assert left == {*strangers, *theirs}
    assert len(stock.oddities) == 2


def test_a_newer_backup_is_verified_before_an_older_one_goes(repo: Repo, daemon: Daemon) -> None:
    database = filled(repo, daemon)
    first = backed_up(database, now=lambda: NOON)

    def told(doing: str, _done: int, _of: int) -> None:
        assert first.path.exists()
        if doing == "unpacking":
            raise DatabaseError("a fault")

    with pytest.raises(DatabaseError, match="a fault"):
        backed_up(database, rotation=Rotation(1, 0), now=lambda: NOON + timedelta(days=1), told=told)
    assert first.path.exists()
    backed_up(database, rotation=Rotation(1, 0), now=lambda: NOON + timedelta(days=1))
    assert not first.path.exists()


def test_writers_go_on_while_a_backup_is_taken(repo: Repo, daemon: Daemon) -> None:
    database = filled(repo, daemon)
    wrote = 0
    with closing(sqlite3.connect(database, timeout=0, isolation_level=None)) as writer:
        writer.execute("CREATE TABLE noise (x)")

        def told(_doing: str, _done: int, _of: int) -> None:
            nonlocal wrote
            wrote += 1
            writer.execute("INSERT INTO noise VALUES (1)")

        backup = backed_up(database, told=told)
        writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert (database.with_name("kg.db-wal")).stat().st_size == 0  # nobody holds the log any more
    assert wrote >= 4
    with closing(sqlite3.connect(unpacked(backup, daemon.folder / "copy.db"))) as copy:
        assert copy.execute("SELECT COUNT(*) FROM noise").fetchone() == (0,)
