"""Readers on other machines: views that they may build upon, and a role that can do nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgresql import server
from tests.postgresql.server import PASSWORD
from tests.support import PROJECT, Daemon, Repo, class_page, outline_page

GUIDE = (PROJECT / "docs" / "readers.md").read_text("utf-8")
BLOCKS = re.findall(r"```sql\n(.*?)```", GUIDE, re.DOTALL)
VIEWS = re.findall(r"^\| `(visionflow_\w+)` \|[^|]*\| (.*) \|$", GUIDE, re.MULTILINE)


@pytest.fixture
def name(tmp_path: Path, repo: Repo, daemon: Daemon) -> Iterator[str]:
    """A database with two pages in it, and the role that the guide makes."""
    one = server.shared()
    found = server.database_name(tmp_path)
    url = one.new_database(found)
    daemon.environment["VISIONFLOW_DATABASE_PASSWORD"] = PASSWORD
    repo.commit(
        {
            "A.md": class_page("urn:t:a", "A"),
            "B.md": class_page("urn:t:b", "B", subClassOf=[{"@id": "urn:t:a"}]),
            "Outline.md": outline_page("Outline", "has-part:: [[Some Link]]", prefix="t"),
            "bad.md": "```json-ld\n{ broken\n```\n",
        }
    )
    ran = daemon.run("--once", "--source", repo.path, "--database", url, "--prefix", "t=urn:t:")
    assert ran.code == 3, ran.err
    one.rows("DROP ROLE IF EXISTS visionflow_reader", found)
    for statement in BLOCKS[0].split(";\n"):
        if statement.strip():
            one.rows(statement, found)
    yield found
    one.rows(f'DROP DATABASE "{found}" WITH (FORCE)')
    one.rows("DROP ROLE visionflow_reader")


def as_reader(name: str, sql: str) -> list[tuple[object, ...]]:
    import psycopg  # noqa: PLC0415 - where there is no server, none is needed

    with psycopg.connect(server.shared().url(name), password=PASSWORD, autocommit=True) as connection:
        connection.execute("SET ROLE visionflow_reader")
        cursor = connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


def test_the_guide_names_the_columns_that_there_are(name: str) -> None:
    there = {
        view: set(columns)
        for view, columns in server.shared().rows(
            "SELECT table_name, array_agg(column_name::text) FROM information_schema.columns"
            " WHERE table_name LIKE 'visionflow\\_%' GROUP BY 1",
            name,
        )
    }
    assert {view: set(re.findall(r"`(\w+)`", columns)) for view, columns in VIEWS} == there


def test_the_questions_of_the_guide_are_answered(name: str) -> None:
    below, said, linked, fresh = (as_reader(name, sql) for sql in BLOCKS[1:])
    assert below == [("urn:t:a", "A"), ("urn:t:b", "B")]
    assert ("SubClassOf", None, "urn:t:a", "B.md") in said
    assert linked == [("Outline.md",)]
    assert [(row[0], row[2]) for row in fresh] == [("default", True)]
    assert as_reader(name, "SELECT path, line FROM visionflow_failures") == [("bad.md", 2)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM owl_classes",
        "SELECT * FROM source_files",
        "DELETE FROM visionflow_pages",
        "UPDATE visionflow_parents SET parent_iri = 'x'",
        "DROP VIEW visionflow_runs",
        "CREATE TABLE public.mine (x INTEGER)",
    ],
)
def test_a_reader_can_do_nothing_else(name: str, sql: str) -> None:
    import psycopg  # noqa: PLC0415 - as above

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        as_reader(name, sql)


def test_every_table_can_be_distributed_by_its_ontology(name: str) -> None:
    """As Citus wants it: each unique index, and each reference, holds the column that rows are distributed by."""
    one, local = server.shared(), {"schema_migrations", "daemons"}
    tables = {table for (table,) in one.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", name)}
    keyed = one.rows(
        "SELECT i.indrelid::regclass::text, bool_or(a.attname = 'ontology_id') FROM pg_index i"
        " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey)"
        " JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE i.indisunique AND n.nspname = 'public' GROUP BY i.indexrelid, i.indrelid",
        name,
    )
    assert {table for table, has_it in keyed if has_it} == tables - local
    assert {table for table, has_it in keyed if not has_it} == local
    refer = one.rows(
        "SELECT k.conrelid::regclass::text, a.attname FROM pg_constraint k"
        " JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1] WHERE k.contype = 'f'",
        name,
    )
    assert {first for _, first in refer} == {"ontology_id"}
