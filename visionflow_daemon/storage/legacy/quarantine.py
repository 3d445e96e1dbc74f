"""The rows of an old database that could not be put in place: kept, each with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from visionflow_daemon.storage.database import Database, Row
from visionflow_daemon.storage.legacy import clean

INSERT = (
    "INSERT INTO migration_quarantine (ontology_id, table_name, archive_row, reason, detail, row)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)


class Reason(StrEnum):
    """Why a row is in quarantine, in a word."""

    NAMELESS = "nameless"
    SAME_IRI = "same-iri"
    SAID_TWICE = "said-twice"


def add(
    database: Database,
    ontology_id: str | None,
    table: str,
    number: int,
    reason: Reason,
    detail: str,
    row: Mapping[str, object],
) -> None:
    """Put a row into quarantine."""
    written = clean.canonical({name: clean.shown(value) for name, value in row.items()})
    database.run(INSERT, (ontology_id, table, number, reason.value, detail, written))


def counts(database: Database) -> dict[str, dict[str, int]]:
    """Count the rows in quarantine, by table and reason."""
    found: dict[str, dict[str, int]] = {}
    for table, reason, rows in database.rows(
        "SELECT table_name, reason, COUNT(*) FROM migration_quarantine GROUP BY table_name, reason ORDER BY 1, 2"
    ):
        found.setdefault(table, {})[reason] = rows
    return found


def first(database: Database, limit: int) -> list[Row]:
    """Give the first rows in quarantine: table, number, reason, detail."""
    return database.rows(
        "SELECT table_name, archive_row, reason, detail FROM migration_quarantine ORDER BY id LIMIT ?", (limit,)
    )
