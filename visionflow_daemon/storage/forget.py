"""Removes all that the database holds of one ontology, in parts: readers, and passes of others, go on between them.

It is marked first, and its mark goes last: whoever finds it marked, after a removal that was cut off, goes on with it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from visionflow_daemon.storage.checkpoint import FORGOTTEN
from visionflow_daemon.storage.database import Database

PART = 1_000
"""Rows that one transaction removes of a table."""

FILES = 100
"""Files that one transaction removes, with all that they say."""

PARTS = (
    ("owl_class_hierarchy", "class_iri", PART),
    ("owl_classes", "class_iri", PART),
    ("owl_properties", "property_iri", PART),
    ("source_files", "file_id", FILES),
    ("property_uses", "property_iri", PART),
    ("sync_runs", "run_id", PART),
)
"""Tables, each with the column by which it is parted. What belongs to files goes with them."""

REMOVE = (
    "DELETE FROM {table} WHERE ontology_id = ? AND {column} IN"
    " (SELECT DISTINCT {column} FROM {table} WHERE ontology_id = ?{which} ORDER BY {column} LIMIT ?)"
)
MARK = (
    "INSERT INTO checkpoints (ontology_id, source, branch, digest, is_clean, saved_at) VALUES (?, ?, '', ?, 0, ?)"
    " ON CONFLICT (ontology_id) DO UPDATE SET commit_sha = NULL, overlay = NULL, digest = excluded.digest, is_clean = 0"
)
COUNTS = {
    "files": "source_files WHERE ontology_id = ? AND file_id > 0",
    "classes": "owl_classes WHERE ontology_id = ?",
    "parents": "owl_class_hierarchy WHERE ontology_id = ?",
    "properties": "owl_properties WHERE ontology_id = ?",
    "axioms": "owl_axioms WHERE ontology_id = ? AND file_id IS NOT NULL",
    "links": "links WHERE ontology_id = ?",
    "warnings": "page_warnings WHERE ontology_id = ?",
    "passes": "sync_runs WHERE ontology_id = ?",
    "inferred": "owl_axioms WHERE ontology_id = ? AND file_id IS NULL",
}


@dataclass(frozen=True, slots=True)
class Contents:
    """How many rows there are of an ontology; `inferred` are axioms that another program wrote."""

    files: int = 0
    classes: int = 0
    parents: int = 0
    properties: int = 0
    axioms: int = 0
    links: int = 0
    warnings: int = 0
    passes: int = 0
    inferred: int = 0

    def __bool__(self) -> bool:
        """Whether there are any."""
        return any(getattr(self, each.name) for each in fields(self))


def contents(database: Database, ontology_id: str) -> Contents:
    """Count what the database holds of an ontology."""
    with database.snapshot():
        found = {name: database.row(f"SELECT COUNT(*) FROM {rows}", (ontology_id,)) for name, rows in COUNTS.items()}
    return Contents(**{name: int(row[0]) for name, row in found.items() if row})


def mark(database: Database, ontology_id: str, now: str) -> None:
    """Note that an ontology is being removed; where its source was stays known until `unmark`."""
    with database.transaction():
        database.run(MARK, (ontology_id, "", FORGOTTEN, now))


def remove_part(database: Database, ontology_id: str, *, with_inferred: bool = False) -> bool:
    """Remove a part of what there is, in one transaction; False where nothing is left."""
    with database.transaction():
        for table, column, most in PARTS:
            if _removed(database, ontology_id, REMOVE.format(table=table, column=column, which=""), most):
                return True
        inferred = REMOVE.format(table="owl_axioms", column="id", which=" AND file_id IS NULL")
        return with_inferred and _removed(database, ontology_id, inferred, PART)


def unmark(database: Database, ontology_id: str) -> None:
    """Drop the mark: nothing is left to be removed."""
    with database.transaction():
        database.run("DELETE FROM checkpoints WHERE ontology_id = ? AND digest = ?", (ontology_id, FORGOTTEN))


def _removed(database: Database, ontology_id: str, sql: str, most: int) -> bool:
    cursor = database.run(sql, (ontology_id, ontology_id, most))
    database.flush()
    return bool(cursor.rowcount)
