"""Every statement of the hot path finds its rows by an index, in a new database and in a full one alike."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from visionflow_daemon.storage import derive, facts, files, ledger, links, reload, writer
from visionflow_daemon.storage.facts import FactTable
from visionflow_daemon.storage.legacy import remainder
from visionflow_daemon.storage.migrate import open_migrated

pytestmark = pytest.mark.sqlite

READS_ALL = {"KNOWN", "DESCRIBED_TWICE", "NEXT_ID", "DROP_USES"}
READS_ALL |= {"CLAIMANTS"}
READS_ALL |= {"ENTRIES", "RECORD", "RECORD_SHOWN_AS", "LEFT_OUT", "LEFT_OUT_IN_ORDER"}
"""Statements that read a whole ontology or ledger, once a pass or for a person; NEXT_ID is told by an index's end."""


def statements() -> Iterator[tuple[str, str]]:
    for module in (derive, facts, files, ledger, links, reload, remainder, writer):
        for name, value in vars(module).items():
            if isinstance(value, FactTable):
                yield f"{name}.select", value.select
                yield f"{name}.delete", value.delete
            elif name.isupper() and isinstance(value, str) and value.startswith(("SELECT", "UPDATE", "DELETE")):
                yield name, value


def parameters(sql: str) -> int:
    """Count the parameters that a statement takes, numbered or not."""
    return max((int(number) for number in re.findall(r"\?(\d+)", sql)), default=sql.count("?"))


STATEMENTS = list(statements())


@pytest.mark.parametrize(("name", "sql"), STATEMENTS, ids=[name for name, _ in STATEMENTS])
def test_a_statement_is_answered_by_an_index(tmp_path: Path, name: str, sql: str) -> None:
    database, _ = open_migrated(str(tmp_path / "x.db"), tmp_path)
    plan = [row[3] for row in database.rows(f"EXPLAIN QUERY PLAN {sql}", ["[]"] * parameters(sql))]
    database.close()
    slow = [
        step
        for step in plan
        if step.endswith("(ontology_id=?)")
        or (step.startswith("SCAN") and step != "SCAN CONSTANT ROW" and "VIRTUAL TABLE" not in step)
    ]
    assert bool(slow) == (name in READS_ALL), plan
