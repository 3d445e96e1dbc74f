"""Counts what an ontology would lose if files were deleted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from visionflow_daemon.storage.database import Database, Row

PART = 500
"""How many files are noted at once."""

NOTE = "INSERT INTO leaving SELECT file_id FROM source_files WHERE ontology_id = ? AND path = ?"
# The sum keeps SQLite from going through all facts to look each up among the few that leave.
LOST = (
    "SELECT COUNT(DISTINCT c.class_iri) FROM leaving l"
    " JOIN class_facts c ON c.ontology_id = ? AND c.file_id = l.file_id + 0"
    " WHERE NOT EXISTS (SELECT 1 FROM class_facts o WHERE o.ontology_id = c.ontology_id AND o.class_iri = c.class_iri"
    "  AND o.file_id NOT IN (SELECT file_id FROM leaving))"
)
DECLARED = "SELECT COUNT(*) FROM owl_classes WHERE ontology_id = ? AND is_declared = 1"


def lost_classes(database: Database, ontology_id: str, deleted: Iterable[bytes]) -> tuple[int, int]:
    """Count the classes that no file would declare without the given ones, and all that are declared now.

    The files are kept in a table of this connection, not in memory.
    """
    with database.snapshot():
        database.run("CREATE TEMPORARY TABLE leaving (file_id BIGINT NOT NULL PRIMARY KEY)")
        try:
            for part in _parts((ontology_id, path) for path in deleted):
                database.run_many(NOTE, part)
            (lost,) = database.row(LOST, (ontology_id,)) or (0,)
            (declared,) = database.row(DECLARED, (ontology_id,)) or (0,)
        finally:
            database.run("DROP TABLE leaving")
    return int(lost), int(declared)


def _parts(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while part := list(islice(rows, PART)):
        yield part
