"""A database of an older schema is brought up to date with nothing lost, and is then like one made today."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.engines import assert_sound
from tests.support import Daemon, Repo, class_page, outline_page
from visionflow_daemon.storage.lock import ontology_lock
from visionflow_daemon.storage.migrate import migrations

pytestmark = pytest.mark.sqlite

PREFIX = ("--include", "*.md", "--prefix", "t=urn:t:")
IN_SOURCE_FILES = "format, is_public, outbound_links"


def as_version_1(newest: Path, place: Path) -> None:
    """Copy a database of today into the first schema."""
    with closing(sqlite3.connect(place)) as old:
        old.executescript("PRAGMA journal_mode = WAL; PRAGMA foreign_keys = OFF;" + migrations()[0].script)
        old.execute("CREATE TABLE schema_migrations (version INTEGER PRIMARY KEY, name TEXT, applied_at TEXT)")
        old.execute("INSERT INTO schema_migrations VALUES (1, 'initial', '2026-01-01T00:00:00Z')")
        old.execute("ATTACH ? AS newest", (str(newest),))
        tables = [name for (name,) in old.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'")]
        for table in set(tables) - {"schema_migrations", "pages", "sqlite_stat1"}:
            columns = ", ".join(row[1] for row in old.execute(f"PRAGMA main.table_info({table})"))
            old.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM newest.{table}")
        old.execute(
            f"INSERT INTO pages (ontology_id, file_id, {IN_SOURCE_FILES})"
            f" SELECT ontology_id, file_id, {IN_SOURCE_FILES} FROM newest.source_files WHERE format IS NOT NULL"
        )
        old.commit()


def test_the_first_schema_is_brought_up_to_date(repo: Repo, daemon: Daemon) -> None:
    part = {"hasPart": [{"@id": "urn:t:b"}]}
    repo.commit(
        {
            "A.md": class_page("urn:t:a", "A", subClassOf=[{"@id": "urn:t:thing"}], relations=part),
            "Outline.md": outline_page("Outline", "has-part:: [[B]]", "is-subclass-of:: [[A]]", prefix="t"),
            "bad.md": "```json-ld\n{\n```\n",
            "note.md": "nothing\n",
        }
    )
    daemon.once(repo.path, *PREFIX, expect=3)
    before = daemon.dump_bytes()
    newest = daemon.folder / "kg.db"
    as_version_1(newest, daemon.folder / "old.db")
    newest.unlink()
    (daemon.folder / "old.db").rename(newest)

    migrated = daemon.run("migrate", "--database", "kg.db")
    assert migrated.code == 0, migrated.err
    assert daemon.dump_bytes() == before
    assert daemon.run("verify", "--source", repo.path, "--database", "kg.db", *PREFIX).out.endswith("\nno difference\n")

    repo.commit({"A.md": None, "B.md": class_page("urn:t:b", "B")})
    daemon.once(repo.path, *PREFIX, expect=3)
    lived = daemon.dump_bytes()
    newest.unlink()
    daemon.once(repo.path, *PREFIX, expect=3)
    assert daemon.dump_bytes() == lived


VERSIONS = [migration.version for migration in migrations()]


def filled(repo: Repo, daemon: Daemon) -> tuple[str, dict[str, str]]:
    """Sync real data, a held pass and a failed page among it; give the dump and each table's declaration."""
    pages = {f"{at:02}.md": class_page(f"urn:t:{at}", f"C{at}", subClassOf=[{"@id": "urn:t:0"}]) for at in range(40)}
    part = {"hasPart": [{"@id": "urn:t:b"}]}
    repo.commit(
        {
            **pages,
            "A.md": class_page("urn:t:a", "A", relations=part),
            "O.md": outline_page("O", "is-subclass-of:: [[A]]", prefix="t"),
            "bad.md": "```json-ld\n{\n```\n",
        }
    )
    daemon.once(repo.path, *PREFIX, expect=3)
    repo.commit(dict.fromkeys(pages))
    daemon.once(repo.path, *PREFIX, expect=5)
    return daemon.dump_bytes(), declared(daemon.folder / "kg.db")


def declared(path: Path) -> dict[str, str]:
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
        return {name: " ".join(sql.split("--")[0].split()) for name, sql in found}


def tables_of(version: int) -> set[str]:
    """Name what a database has that was made by the program of a version."""
    with closing(sqlite3.connect(":memory:")) as made:
        made.execute("CREATE TABLE schema_migrations (version INTEGER)")
        for migration in migrations():
            if migration.version <= version:
                made.executescript(migration.script)
        return {name for (name,) in made.execute("SELECT name FROM sqlite_master")}


@pytest.mark.parametrize("version", VERSIONS[:-1])
def test_each_older_version_and_back_again(repo: Repo, daemon: Daemon, version: int) -> None:
    dumped, made = filled(repo, daemon)
    path = daemon.folder / "kg.db"
    before = path.read_bytes()
    trial = daemon.run("migrate", "--to", str(version), "--dry-run", "--database", "kg.db")
    assert trial.code == 0, trial.err
    assert path.read_bytes() == before
    loses = any(each.loses for each in migrations() if each.version > version)
    ran = daemon.run("migrate", "down", "--to", str(version), "--database", "kg.db")
    assert ran.code == (6 if loses else 0), ran.err
    if loses:
        assert "give --allow-loss" in ran.err
        ran = daemon.run("migrate", "down", "--to", str(version), "--allow-loss", "--database", "kg.db", "--json")
        assert ran.code == 0, ran.err
        assert Path(ran.json["backup"]).is_file()
    assert_sound(path)
    assert {name for name in declared(path) if not name.startswith("sqlite_")} == {
        name for name in tables_of(version) if not name.startswith("sqlite_")
    }

    step = next(each for each in VERSIONS if each > version)
    assert daemon.run("migrate", "--to", str(step), "--database", "kg.db", "--json").json["version"] == step
    assert daemon.run("migrate", "up", "--database", "kg.db", "--json").json["version"] == VERSIONS[-1]
    assert_sound(path)
    assert set(declared(path)) == set(made)
    assert daemon.dump_bytes() == dumped
    daemon.once(repo.path, *PREFIX, "--allow-mass-delete", expect=3)
    lived = daemon.dump_bytes()
    path.unlink()
    daemon.once(repo.path, *PREFIX, expect=3)
    assert daemon.dump_bytes() == lived


def test_to_nothing_and_to_no_version(repo: Repo, daemon: Daemon) -> None:
    filled(repo, daemon)
    assert daemon.run("migrate", "--to", "9999", "--database", "kg.db").code == 2
    assert daemon.run("migrate", "down", "--to", "9999", "--database", "kg.db").code == 2
    refused = daemon.run("migrate", "--to", "0", "--database", "kg.db")
    assert (refused.code, "loses everything" in refused.err) == (6, True)
    assert daemon.run("migrate", "--to", "0", "--allow-loss", "--database", "kg.db").code == 0
    assert {name for name in declared(daemon.folder / "kg.db") if not name.startswith("sqlite_")} == set()
    daemon.once(repo.path, *PREFIX, expect=3)


def test_a_database_in_use_is_not_taken_back(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": class_page("urn:t:a", "A")})
    daemon.once(repo.path)
    daemon.environment["VISIONFLOW_SYNC__LOCK_TIMEOUT"] = "0"
    with ontology_lock(daemon.folder / "kg.db", "default", 0):
        ran = daemon.run("migrate", "down", "--to", "3", "--database", "kg.db")
    assert (ran.code, "another pass" in ran.err) == (6, True), ran.err


def test_each_migration_has_a_way_back() -> None:
    assert [each.version for each in migrations() if each.way_back is None] == []
