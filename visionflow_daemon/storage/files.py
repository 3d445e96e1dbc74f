"""What the database knows of a source's files: for the plan and the reports."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from visionflow_daemon.model import KnownFile
from visionflow_daemon.storage.database import Database, Row
from visionflow_daemon.storage.legacy import remainder

KNOWN = (
    "SELECT path, blob_seen, digest_seen, status = 'failed', next_attempt_at, blob_saved, digest_saved, attempts"
    " FROM source_files"
    " WHERE ontology_id = ?"
)
KNOWN_BEHIND = f"{KNOWN} AND path > ? ORDER BY path LIMIT ?"
PART = 500
"""How many files are asked for at once."""
RECORD = (
    "SELECT path, display_path, status, format, blob_seen, blob_saved, failure_class, reason, line, attempts,"
    " first_failed_at, last_failed_at, next_attempt_at, saved_at FROM source_files WHERE ontology_id = ?"
)
RECORD_OF_PATH = f"{RECORD} AND path = ?"
RECORD_SHOWN_AS = f"{RECORD} AND display_path = ?"
LEFT_OUT = (
    "SELECT f.path, f.display_path, w.line, w.message FROM page_warnings w JOIN source_files f"
    " ON f.ontology_id = w.ontology_id AND f.file_id = w.file_id WHERE w.ontology_id = ?"
)
LEFT_OUT_IN_ORDER = f"{LEFT_OUT} ORDER BY f.path, w.ordinal"
LEFT_OUT_OF_PATH = f"{LEFT_OUT} AND f.path = ? ORDER BY w.ordinal"
DESCRIBED_TWICE = (
    "SELECT class_iri FROM class_facts WHERE ontology_id = ? AND is_bare = 0 GROUP BY class_iri HAVING COUNT(*) > 1"
)


@dataclass(frozen=True, slots=True)
class FileRecord:
    """All that the database knows of one file. `blob` is the content last tried, `blob_saved` the one it holds."""

    path: bytes
    display_path: str
    status: str
    format: str | None
    blob: str
    blob_saved: str | None = None
    failure_class: str | None = None
    reason: str | None = None
    line: int | None = None
    attempts: int = 0
    first_failed_at: str | None = None
    last_failed_at: str | None = None
    next_attempt_at: str | None = None
    saved_at: str | None = None


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


def known_files(
    database: Database,
    ontology_id: str,
    asked: Callable[[Callable[[], list[Row]]], list[Row]] = lambda ask: ask(),
) -> Iterator[KnownFile]:
    """Give all files in the order of their paths' bytes. `asked` does what asks for some of them.

    The file `legacy:` of an old database, whose path is empty, is none of them. They are asked for in parts: an open
    cursor would keep SQLite's log from being emptied while others write.
    """
    last = b""
    while found := asked(partial(database.rows, KNOWN_BEHIND, (ontology_id, last, PART))):
        yield from map(_known, found)
        last = bytes(found[-1][0])


def known_file(database: Database, ontology_id: str, path: bytes) -> KnownFile | None:
    """Give one file; None where the database doesn't know it."""
    row = database.row(f"{KNOWN} AND path = ?", (ontology_id, path))
    return _known(row) if row else None


def _known(row: Row) -> KnownFile:
    path, blob, digest, is_failed, *rest = row
    return KnownFile(bytes(path), blob, digest, bool(is_failed), *rest)


def record(database: Database, ontology_id: str, path: bytes, shown: str) -> FileRecord | None:
    """Give all that is known of the file with a path, else of the one that is shown so; None where there is neither."""
    row = database.row(RECORD_OF_PATH, (ontology_id, path)) or database.row(RECORD_SHOWN_AS, (ontology_id, shown))
    return FileRecord(bytes(row[0]), *row[1:]) if row else None


def warnings(database: Database, ontology_id: str, selects: Callable[[bytes], bool]) -> list[LeftOut]:
    """Give what was left out of the saved files that are selected, in the order of their paths and lines."""
    found = database.rows(LEFT_OUT_IN_ORDER, (ontology_id,))
    return [LeftOut(*row) for path, *row in found if selects(bytes(path))]


def warnings_of(database: Database, ontology_id: str, path: bytes) -> list[LeftOut]:
    """Give what was left out of one file's saved content."""
    found = database.rows(LEFT_OUT_OF_PATH, (ontology_id, path))
    return [LeftOut(*row) for _, *row in found]


def totals(database: Database, ontology_id: str) -> Totals:
    """Count what one ontology holds."""
    queries = (
        "SELECT COUNT(*) FROM source_files WHERE ontology_id = ? AND file_id > 0",
        "SELECT COUNT(*) FROM source_files WHERE ontology_id = ? AND status = 'skipped'",
        "SELECT COUNT(*) FROM source_files WHERE ontology_id = ? AND status = 'failed'",
        "SELECT COUNT(*) FROM page_warnings WHERE ontology_id = ?",
        "SELECT COUNT(*) FROM owl_classes WHERE ontology_id = ? AND is_declared = 1",
        "SELECT COUNT(*) FROM owl_classes WHERE ontology_id = ? AND is_declared = 0",
        "SELECT COUNT(*) FROM owl_class_hierarchy WHERE ontology_id = ?",
        "SELECT COUNT(*) FROM owl_properties WHERE ontology_id = ?",
        "SELECT COUNT(*) FROM owl_axioms WHERE ontology_id = ?",
        f"SELECT COUNT(*) FROM ({DESCRIBED_TWICE}) AS twice",
    )
    with database.snapshot():
        return Totals(*((database.row(query, (ontology_id,)) or (0,))[0] for query in queries))


def ontologies(database: Database) -> list[str]:
    """Name the ontologies that the database holds, those of an old database that no pass has met among them."""
    synced = {name for (name,) in database.rows("SELECT ontology_id FROM checkpoints")}
    return sorted(synced.union(remainder.ontologies(database)))


def declared_twice(database: Database, ontology_id: str, limit: int = 20) -> list[tuple[str, list[str]]]:
    """Name classes that more than one file describes, each with its files, the winning one first."""
    found = database.rows(f"{DESCRIBED_TWICE} ORDER BY class_iri LIMIT ?", (ontology_id, limit))
    paths = (
        "SELECT f.display_path FROM class_facts c JOIN source_files f ON f.ontology_id = c.ontology_id"
        " AND f.file_id = c.file_id WHERE c.ontology_id = ? AND c.class_iri = ? AND c.is_bare = 0 ORDER BY c.path"
        " LIMIT 5"
    )
    return [(iri, [path for (path,) in database.rows(paths, (ontology_id, iri))]) for (iri,) in found]
