"""What the database knows of a source's files: for the plan, the ledger, and the reports."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from visionflow_daemon.model import KnownFile
from visionflow_daemon.storage.database import Database, Row

KNOWN = (
    "SELECT path, blob_seen, digest_seen, status = 'failed', next_attempt_at, blob_saved, digest_saved, attempts"
    " FROM source_files"
    " WHERE ontology_id = ?"
)
KNOWN_BEHIND = f"{KNOWN} AND path > ? ORDER BY path LIMIT ?"
PART = 500
"""How many files are asked for at once."""
DESCRIBED_TWICE = (
    "SELECT class_iri FROM class_facts WHERE ontology_id = ? AND is_bare = 0 GROUP BY class_iri HAVING COUNT(*) > 1"
)


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One failed file, and what is known of it."""

    path: str
    failure_class: str
    reason: str
    line: int | None
    attempts: int
    first_failed_at: str
    last_failed_at: str
    next_attempt_at: str | None
    blob: str
    is_stale: bool


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something in a saved file that was not read as written."""

    path: str
    line: int | None
    message: str


@dataclass(frozen=True, slots=True)
class Totals:
    """What one ontology holds."""

    files: int
    skipped: int
    failed: int
    warnings: int
    classes: int
    undeclared_classes: int
    parents: int
    properties: int
    axioms: int
    declared_twice: int


def known_files(database: Database, ontology_id: str) -> Iterator[KnownFile]:
    """Give all files in the order of their paths' bytes.

    They are asked for in parts: an open cursor would keep SQLite's log from being emptied while others write.
    """
    last = b""
    while found := database.rows(KNOWN_BEHIND, (ontology_id, last, PART)):
        yield from map(_known, found)
        last = bytes(found[-1][0])


def known_file(database: Database, ontology_id: str, path: bytes) -> KnownFile | None:
    """Give one file; None where the database doesn't know it."""
    row = database.row(f"{KNOWN} AND path = ?", (ontology_id, path))
    return _known(row) if row else None


def _known(row: Row) -> KnownFile:
    path, blob, digest, is_failed, *rest = row
    return KnownFile(bytes(path), blob, digest, bool(is_failed), *rest)


def due_paths(database: Database, ontology_id: str, now: str) -> list[bytes]:
    """Give the files of the ledger whose next attempt is due."""
    found = database.rows(
        "SELECT path FROM source_files WHERE ontology_id = ? AND status = 'failed' AND next_attempt_at <= ?",
        (ontology_id, now),
    )
    return [bytes(path) for (path,) in found]


def ledger(database: Database, ontology_id: str) -> list[LedgerEntry]:
    """Give the failed files in the order of their paths."""
    found = database.rows(
        "SELECT display_path, failure_class, reason, line, attempts, first_failed_at, last_failed_at, next_attempt_at,"
        " blob_seen, blob_saved IS NOT NULL FROM source_files WHERE ontology_id = ? AND status = 'failed'"
        " ORDER BY path",
        (ontology_id,),
    )
    return [LedgerEntry(*row[:-1], *map(bool, row[-1:])) for row in found]


def warnings(database: Database, ontology_id: str) -> list[LeftOut]:
    """Give what was left out of saved files, in the order of their paths and lines."""
    found = database.rows(
        "SELECT f.display_path, w.line, w.message FROM page_warnings w JOIN source_files f"
        " ON f.ontology_id = w.ontology_id AND f.file_id = w.file_id WHERE w.ontology_id = ?"
        " ORDER BY f.path, w.ordinal",
        (ontology_id,),
    )
    return [LeftOut(*row) for row in found]


def ledger_size(database: Database, ontology_id: str) -> int:
    """Count the failed files."""
    (count,) = database.row(
        "SELECT COUNT(*) FROM source_files WHERE ontology_id = ? AND status = 'failed'", (ontology_id,)
    ) or (0,)
    return int(count)


def totals(database: Database, ontology_id: str) -> Totals:
    """Count what one ontology holds."""
    queries = (
        "SELECT COUNT(*) FROM source_files WHERE ontology_id = ?",
        "SELECT COUNT(*) FROM source_files WHERE ontology_id = ? AND status = 'skipped'",
        "SELECT COUNT(*) FROM source_files WHERE ontology_id = ? AND status = 'failed'",
        "SELECT COUNT(*) FROM page_warnings WHERE ontology_id = ?",
        "SELECT COUNT(*) FROM owl_classes WHERE ontology_id = ? AND is_declared = 1",
        "SELECT COUNT(*) FROM owl_classes WHERE ontology_id = ? AND is_declared = 0",
        "SELECT COUNT(*) FROM owl_class_hierarchy WHERE ontology_id = ?",
        "SELECT COUNT(*) FROM owl_properties WHERE ontology_id = ?",
        "SELECT COUNT(*) FROM owl_axioms WHERE ontology_id = ?",
        f"SELECT COUNT(*) FROM ({DESCRIBED_TWICE})",
    )
    with database.snapshot():
        return Totals(*((database.row(query, (ontology_id,)) or (0,))[0] for query in queries))


def ontologies(database: Database) -> list[str]:
    """Name the ontologies that the database holds."""
    return [name for (name,) in database.rows("SELECT ontology_id FROM checkpoints ORDER BY ontology_id")]


def declared_twice(database: Database, ontology_id: str, limit: int = 20) -> list[tuple[str, list[str]]]:
    """Name classes that more than one file describes, each with its files, the winning one first."""
    found = database.rows(f"{DESCRIBED_TWICE} ORDER BY class_iri LIMIT ?", (ontology_id, limit))
    paths = (
        "SELECT f.display_path FROM class_facts c JOIN source_files f ON f.ontology_id = c.ontology_id"
        " AND f.file_id = c.file_id WHERE c.ontology_id = ? AND c.class_iri = ? AND c.is_bare = 0 ORDER BY c.path"
        " LIMIT 5"
    )
    return [(iri, [path for (path,) in database.rows(paths, (ontology_id, iri))]) for (iri,) in found]
