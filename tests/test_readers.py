"""Readers build upon views: docs/readers.md names their columns, asks them, and says which indexes answer."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests import engines
from tests.postgresql import server
from tests.postgresql.server import PASSWORD
from tests.support import PROJECT, Daemon, Repo, class_page, outline_page
from visionflow_daemon.storage.migrate import migrations, open_migrated

SKY = "https://example.org/sky#"
GUIDE = (PROJECT / "docs" / "readers.md").read_text("utf-8")
VIEWS = re.findall(r"^\| `(visionflow_\w+)` \|[^|]*\| (.*) \|$", GUIDE, re.MULTILINE)
COLUMNS = {view: re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", columns)) for view, columns in VIEWS}
QUESTIONS = re.findall(r"```sql\n(.*?);\n```", GUIDE, re.DOTALL)
(KNOWN, BY_LABEL, BY_WORD, BELOW, SAID, LINKED, BY_NAME, BY_NAME_IN_FILE, FRESH, CHANGED, FAILED) = QUESTIONS
BY_INDEX = [KNOWN, BY_LABEL, BELOW, SAID]
"""The questions on one class, however large its ontology."""

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """A database with some pages in it, and how it is asked."""

    engine: str
    rows: Callable[[str], list[Row]]


PAGES = {
    "Body.md": class_page(f"{SKY}Body", "Body"),
    "Star.md": class_page(f"{SKY}Star", "Star", subClassOf=[{"@id": f"{SKY}Body"}], status="complete"),
    "Giant.md": class_page(f"{SKY}Giant", "Giant star", subClassOf=[{"@id": f"{SKY}Star"}]),
    "Outline.md": outline_page("Outline", "has-part:: [[Galaxy]]", prefix="sky"),
    "Links.md": "- [[Galaxy]]\n",
    "bad.md": "```json-ld\n{ broken\n```\n",
}


@pytest.fixture(params=["sqlite", "postgresql"])
def asked(request: pytest.FixtureRequest, tmp_path: Path, repo: Repo, daemon: Daemon) -> Iterator[Asked]:
    """The same pages in a database of either engine."""
    repo.commit(PAGES)
    of_sync = ("--once", "--source", repo.path, "--prefix", f"sky={SKY}")
    if request.param == "sqlite":
        assert daemon.run(*of_sync, "--database", "sqlite:///kg.db").code == 3
        with closing(sqlite3.connect(f"file:{daemon.folder / 'kg.db'}?mode=ro", uri=True)) as connection:
            yield Asked("sqlite", lambda sql: connection.execute(sql).fetchall())
        return
    name = server.database_name(tmp_path)
    daemon.environment["VISIONFLOW_DATABASE_PASSWORD"] = PASSWORD
    assert daemon.run(*of_sync, "--database", server.shared().new_database(name)).code == 3
    yield Asked("postgresql", lambda sql: server.shared().rows(sql, name))
    server.shared().rows(f'DROP DATABASE "{name}" WITH (FORCE)')


def test_the_guide_names_the_columns_that_there_are(asked: Asked) -> None:
    there: dict[str, list[str]] = {}
    names = (
        "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c"
        " WHERE m.type = 'view' ORDER BY m.name, c.cid"
        if asked.engine == "sqlite"
        else "SELECT table_name, column_name::text FROM information_schema.columns"
        " WHERE table_name LIKE 'visionflow\\_%' ORDER BY table_name, ordinal_position"
    )
    for view, column in asked.rows(names):
        there.setdefault(view, []).append(column)
    local = {"visionflow_leases"} if asked.engine == "sqlite" else set()
    assert there == {view: columns for view, columns in COLUMNS.items() if view not in local}


def test_the_questions_of_the_guide_are_answered(asked: Asked) -> None:
    ((label, comment, is_declared, status, path),) = asked.rows(KNOWN)
    assert (label, comment, bool(is_declared), status, path) == ("Star", "What Star is.", True, "complete", "Star.md")
    assert asked.rows(BY_LABEL) == [(f"{SKY}Star", "Star")]
    assert asked.rows(BY_WORD) == [(f"{SKY}Giant", "Giant star"), (f"{SKY}Star", "Star")]
    assert [iri for iri, _ in asked.rows(BELOW)] == [f"{SKY}Body", f"{SKY}Giant", f"{SKY}Star"]
    assert ("SubClassOf", None, f"{SKY}Body", True, "Star.md") in asked.rows(SAID)
    assert (f"{SKY}Giant", "SubClassOf", None, "Giant.md") in asked.rows(LINKED)
    by_name = asked.rows(BY_NAME if asked.engine == "postgresql" else BY_NAME_IN_FILE)
    assert by_name == [("Links.md",), ("Outline.md",)]
    ((ontology_id, commit, is_whole, synced_at, files, failed),) = asked.rows(FRESH)
    assert (ontology_id, len(commit), bool(is_whole), files, failed) == ("default", 40, True, 6, 1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", synced_at)
    assert [iri for iri, _ in asked.rows(CHANGED.replace("2026-11-24", "2001-01-01"))]
    assert asked.rows(CHANGED.replace("2026-11-24", "3001-01-01")) == []
    assert [(path, line, bool(stale)) for path, line, _, stale in asked.rows(FAILED)] == [("bad.md", 2, False)]


def test_flags_are_booleans_where_the_engine_has_them(asked: Asked) -> None:
    (row,) = asked.rows("SELECT is_declared, is_public FROM visionflow_classes WHERE label = 'Star'")
    assert (row, {type(value) for value in row}) == ((1, 1), {int if asked.engine == "sqlite" else bool})
    (page,) = asked.rows("SELECT status, format, is_public, blob FROM visionflow_pages WHERE path = 'bad.md'")
    assert page == ("failed", None, None, None)
    assert asked.rows("SELECT status, saved, failed FROM visionflow_runs") == [("finished", 4, 1)]


@pytest.mark.parametrize("question", BY_INDEX, ids=["known", "label", "below", "said"])
def test_a_question_on_one_class_is_answered_by_an_index_of_a_file(tmp_path: Path, question: str) -> None:
    database, _ = open_migrated(str(tmp_path / "x.db"), tmp_path)
    plan = [row[3] for row in database.rows(f"EXPLAIN QUERY PLAN {question}")]
    database.close()
    assert [step for step in plan if step.endswith("(ontology_id=?)") or re.match(r"SCAN (?!b\b|below\b)", step)] == []


OF_ALL = re.compile(r"Seq Scan on owl_|Index Cond: \(\(?ontology_id = '\w+'::text\)\Z")
"""What says, in the plan of a server, that a whole ontology is read."""

FILL = """
INSERT INTO owl_classes (ontology_id, class_iri, label, is_declared, is_public, properties, last_synced, created_at,
    updated_at)
SELECT o, 'urn:t:' || n, 'Label ' || n, 1, 1, '{}', '', '', ''
FROM unnest(ARRAY['default', 'b', 'c']) o, generate_series(1, 5000) n;
INSERT INTO owl_class_hierarchy (ontology_id, class_iri, parent_iri)
SELECT ontology_id, class_iri, 'urn:t:' || (1 + split_part(class_iri, ':', 3)::int / 2) FROM owl_classes;
INSERT INTO owl_axioms (ontology_id, axiom_type, subject, object)
SELECT ontology_id, 'SubClassOf', class_iri, parent_iri FROM owl_class_hierarchy;
ANALYZE;
"""


def test_a_question_on_one_class_is_answered_by_an_index_of_a_server(tmp_path: Path) -> None:
    name = server.database_name(tmp_path)
    url = server.shared().new_database(name)
    from visionflow_daemon.storage.server import Server  # noqa: PLC0415 - where there is no server, none is needed

    database, _ = open_migrated(url, tmp_path, server=Server(password=lambda: PASSWORD))
    database.close()
    database.end()
    for statement in FILL.split(";\n"):
        if statement.strip():
            server.shared().rows(statement, name)
    plans = {question: [line for (line,) in server.shared().rows(f"EXPLAIN {question}", name)] for question in BY_INDEX}
    server.shared().rows(f'DROP DATABASE "{name}" WITH (FORCE)')
    whole = [line for question in (KNOWN, BY_LABEL, SAID) for line in plans[question] if OF_ALL.search(line)]
    assert whole == []
    # How much is below a class the server doesn't know: it may well fetch all labels at once.
    steps = [line for line in plans[BELOW] if "parent_iri" in line or "owl_class_hierarchy" in line]
    assert any("Index Cond" in line and "parent_iri = b.iri" in line for line in steps), steps
    assert not any("Seq Scan" in line for line in steps), steps


def test_both_engines_have_the_same_views_but_for_leases() -> None:
    views: dict[str, set[str]] = {}
    for engine in ("sqlite", "postgresql"):
        (script,) = (each.script for each in migrations(engine) if each.name == "views")
        views[engine] = set(re.findall(r"CREATE VIEW (\w+)", script))
    assert views["postgresql"] - views["sqlite"] == {"visionflow_leases"}
    assert views["sqlite"] <= views["postgresql"]


def test_a_later_migration_may_remake_a_table_below_the_views(tmp_path: Path, repo: Repo, daemon: Daemon) -> None:
    """As 0003 did: views that are dropped first and made again answer as before."""
    repo.commit(PAGES)
    assert daemon.run("--once", "--source", repo.path, "--database", "sqlite:///kg.db").code == 3
    (views,) = (each for each in migrations() if each.name == "views")
    (before,) = (each for each in migrations() if each.name == "held_passes")
    database, _ = open_migrated(str(daemon.folder / "kg.db"), tmp_path)
    runs = database.rows("SELECT run_id, status FROM visionflow_runs")
    with database.transaction():
        database.prepare_to_alter()
        for statement in (*views.statements_back(), *before.statements(), *views.statements()):
            database.run(statement)
    assert database.rows("SELECT run_id, status FROM visionflow_runs") == runs
    assert len(runs) == 1
    database.close()


def test_a_database_of_before_the_views_gets_them_and_can_go_back(repo: Repo, daemon: Daemon) -> None:
    repo.commit(PAGES)
    daemon.once(repo.path, expect=3)
    dumped = daemon.dump_bytes()
    before, views = engines.made()[-2:]
    assert daemon.run("migrate", "--to", str(before.version), "--database", "kg.db").code == 0
    with pytest.raises(engines.Refused):
        daemon.query("SELECT COUNT(*) FROM visionflow_pages")
    assert daemon.run("migrate", "--database", "kg.db", "--json").json["version"] == views.version
    assert daemon.dump_bytes() == dumped
    assert daemon.query("SELECT COUNT(*) FROM visionflow_pages") == [(6,)]
