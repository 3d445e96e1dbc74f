"""A database of an older schema is brought up to date with nothing lost, and is then like one made today."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.support import Daemon, Repo, class_page, outline_page
from visionflow_daemon.storage.migrate import migrations

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
