"""The schema can be distributed by ontology_id as it stands, by the catalogue and by the program (docs/scaling.md)."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import visionflow_daemon
from tests.postgresql import server
from tests.support import PROJECT
from visionflow_daemon.storage.migrate import open_migrated
from visionflow_daemon.storage.server import Server

GUIDE = (PROJECT / "docs" / "scaling.md").read_text("utf-8")
DISTRIBUTED = re.findall(r"create_distributed_table\('(\w+)', 'ontology_id'", GUIDE)
LOCAL = {"schema_migrations", "daemons", "leases", "passes_under_way"}
"""Tables that stay on the coordinator: none is large, and their times are the server's."""


@pytest.fixture
def name(tmp_path: Path) -> Iterator[str]:
    """A database with our schema in it."""
    found = server.database_name(tmp_path)
    url = server.shared().new_database(found)
    database, _ = open_migrated(url, tmp_path, server=Server(password=lambda: server.PASSWORD))
    database.close()
    database.end()
    yield found
    server.shared().rows(f'DROP DATABASE "{found}" WITH (FORCE)')


def test_every_table_is_distributed_or_small(name: str) -> None:
    tables = server.shared().rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", name)
    assert {table for (table,) in tables} == {*DISTRIBUTED, *LOCAL}
    columns = server.shared().rows(
        "SELECT table_name::text, is_nullable::text FROM information_schema.columns"
        " WHERE table_schema = 'public' AND column_name = 'ontology_id'",
        name,
    )
    assert {table for table, nullable in columns if nullable == "NO"} >= set(DISTRIBUTED)


def test_what_is_unique_is_so_within_one_ontology(name: str) -> None:
    """Each primary key and unique index begins with the column that rows are distributed by."""
    keys = server.shared().rows(
        "SELECT i.indrelid::regclass::text, a.attname::text FROM pg_index i"
        " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]"
        " JOIN pg_class c ON c.oid = i.indrelid WHERE i.indisunique AND c.relnamespace = 'public'::regnamespace",
        name,
    )
    assert {table for table, _ in keys} == {*DISTRIBUTED, *LOCAL}
    assert {(table, first) for table, first in keys if table in DISTRIBUTED} == {
        (table, "ontology_id") for table in DISTRIBUTED
    }


def test_what_refers_refers_within_one_ontology(name: str) -> None:
    """Each foreign key leads from ontology_id to ontology_id, to a table that is distributed before."""
    references = server.shared().rows(
        "SELECT k.conrelid::regclass::text, k.confrelid::regclass::text, a.attname::text, b.attname::text"
        " FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1]"
        " JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = k.confkey[1] WHERE k.contype = 'f'",
        name,
    )
    assert len(references) > 5
    for of, to, first, meant in references:
        assert (first, meant) == ("ontology_id", "ontology_id")
        assert DISTRIBUTED.index(to) < DISTRIBUTED.index(of)


SKIPPED = (
    "visionflow_daemon.storage.legacy.",
    "visionflow_daemon.storage.backups.",
    "visionflow_daemon.storage.parallel.",
)
"""They work on files of SQLite's alone; but for what no file has claimed, which passes ask for."""

OF_ALL = {
    # what a person asks of all ontologies, and what the engine asks of its tables
    "SELECT COUNT(*) FROM (SELECT 1 FROM source_files LIMIT ?) AS held",
    "SELECT reltuples FROM pg_catalog.pg_class WHERE oid = to_regclass('source_files')",
    "SELECT EXISTS (SELECT 1 FROM legacy_schema) OR EXISTS (SELECT 1 FROM source_files WHERE file_id = 0)",
    "SELECT 1 FROM checkpoints LIMIT 1",
}
TABLE = rf"\b(?:{'|'.join(DISTRIBUTED)})\b"
STATEMENT = re.compile(rf"(?:SELECT|INSERT|UPDATE|DELETE|WITH)\b.*{TABLE}", re.DOTALL)
JOINED = re.compile(rf"JOIN {TABLE}(?: AS)? (\w+)\s+ON (.*?)(?= JOIN | WHERE | LEFT |\Z)", re.DOTALL)
OWN_TIME = re.compile(r"\b(?:now|clock_timestamp|random|current_timestamp)\b", re.IGNORECASE)


def statements() -> Iterator[tuple[str, str]]:
    """Give all SQL of the program that names a distributed table, put together as far as constants go."""
    for found in pkgutil.walk_packages(visionflow_daemon.__path__, "visionflow_daemon."):
        remains = found.name == "visionflow_daemon.storage.legacy.remainder"
        if found.name.startswith(SKIPPED) and not remains:
            continue
        module = importlib.import_module(found.name)
        assert module.__file__ is not None
        tree = ast.parse(Path(module.__file__).read_text("utf-8"))
        parts = {id(each) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for each in ast.walk(node)}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                text = "".join(_part(module, each) for each in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
                text = node.value
            else:
                continue
            if STATEMENT.match(text):
                yield f"{found.name}:{node.lineno}", text


def _part(module: object, node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    assert isinstance(node, ast.FormattedValue)
    value = getattr(module, node.value.id, None) if isinstance(node.value, ast.Name) else None
    return value if isinstance(value, str) else "…"


def test_each_statement_names_its_ontology() -> None:
    found = list(statements())
    assert len(found) > 60
    assert [each for each in found if "ontology_id" not in each[1] and each[1] not in OF_ALL] == []


def test_each_join_is_within_one_ontology() -> None:
    found = [(where, name, on) for where, text in statements() for name, on in JOINED.findall(text)]
    assert len(found) > 8
    assert [each for each in found if f"{each[1]}.ontology_id = " not in each[2]] == []


def test_times_and_chance_are_parameters() -> None:
    """A distributed table takes no function that is not immutable where rows are updated."""
    assert [each for each in statements() if OWN_TIME.search(each[1])] == []
