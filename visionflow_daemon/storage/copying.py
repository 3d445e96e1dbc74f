"""Copies an ontology from one database into another, in parts, and proves that both say the same.

The target's ontology is marked as one that is being removed until it is whole: what a copy that was cut off has left is
taken out by the next one, or by the next pass (storage/forget.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from visionflow_daemon.errors import DatabaseError
from visionflow_daemon.storage import checkpoint, files, forget
from visionflow_daemon.storage.compare import Difference, compare
from visionflow_daemon.storage.database import Database

PART = 2_000
"""Rows that are written in one transaction, and held at a time."""

COLUMNS = {
    "source_files": "ontology_id, file_id, path, display_path, status, blob_seen, digest_seen, blob_saved,"
    " digest_saved, reason, failure_class, line, attempts, first_failed_at, last_failed_at, next_attempt_at, saved_at,"
    " format, is_public, outbound_links",
    "page_names": "ontology_id, file_id, name_key, name_rank, path, class_iri",
    "page_warnings": "ontology_id, file_id, ordinal, line, message",
    "class_facts": "ontology_id, file_id, class_iri, is_bare, path, label, comment, properties",
    "property_facts": "ontology_id, file_id, property_iri, is_bare, path, property_type, label, comment, domain, range,"
    " characteristics, properties",
    "links": "ontology_id, file_id, ordinal, axiom_type, subject, property_iri, annotations, name_key, minted_iri,"
    " target_iri",
    "owl_axioms": "ontology_id, id, file_id, axiom_type, subject, property_iri, property_type, object, annotations,"
    " is_stated, is_parent, is_inferred, created_at",
    "property_uses": "ontology_id, property_iri, property_type, axioms",
    "owl_classes": "ontology_id, class_iri, label, comment, file_sha1, is_declared, is_public, properties, file_id,"
    " last_synced, created_at, updated_at",
    "owl_class_hierarchy": "ontology_id, class_iri, parent_iri",
    "owl_properties": "ontology_id, property_iri, label, comment, property_type, domain, range, characteristics,"
    " properties, is_declared, file_id, created_at, updated_at",
    "sync_runs": "ontology_id, run_id, status, started_at, progress_at, finished_at, from_commit, to_commit, plan,"
    " plan_reason, planned, saved, skipped, failed, deleted, error",
}
"""The tables of an ontology, each behind those that it refers to."""

CHECKPOINT = "source, branch, commit_sha, digest, is_clean, saved_at, overlay, rollout_percent"
SET_CHECKPOINT = (
    "UPDATE checkpoints SET source = ?, branch = ?, commit_sha = ?, digest = ?, is_clean = ?, saved_at = ?,"
    " overlay = ?, rollout_percent = ? WHERE ontology_id = ?"
)

Told = Callable[[str, int], None]
"""Is told which table rows were copied of, and how many."""


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied of one ontology; `was_there`: nothing, since the target says the same already."""

    ontology_id: str
    rows: int
    was_there: bool
    differences: int


def ontologies(source: Database, wanted: str | None) -> list[str]:
    """Name the ontologies to copy. Raises DatabaseError where the one that is wanted isn't there."""
    there = files.ontologies(source)
    if wanted is not None and wanted not in there:
        held = ", ".join(map(repr, there)) or "none"
        raise DatabaseError(f"{source.name} holds no ontology {wanted!r}; it holds {held}")
    return there if wanted is None else [wanted]


def refuse_other(source: Database, target: Database, ontology_id: str) -> None:
    """Raise DatabaseError where the target's ontology is another one than the source's."""
    there, here = checkpoint.load(target, ontology_id), checkpoint.load(source, ontology_id)
    if there is None or there.is_forgotten or (here is not None and there.source == here.source):
        return
    raise DatabaseError(
        f"{target.name} holds an ontology {ontology_id!r} already, fed by {there.source}: give --replace to have the "
        "copy take its place, or copy another one with --ontology-id"
    )


def copy_rows(source: Database, target: Database, ontology_id: str, told: Told) -> int:
    """Copy all rows of an ontology that the target has none of, and set its checkpoint last; give how many rows."""
    count = 0
    with source.snapshot():
        for table, columns in COLUMNS.items():
            marks = ", ".join("?" * (columns.count(",") + 1))
            rows = source.stream(f"SELECT {columns} FROM {table} WHERE ontology_id = ?", (ontology_id,))
            for part in _parts(rows):
                with target.transaction():
                    target.run_many(f"INSERT INTO {table} ({columns}) VALUES ({marks})", part)
                count += len(part)
                told(table, count)
        held = source.row(f"SELECT {CHECKPOINT} FROM checkpoints WHERE ontology_id = ?", (ontology_id,))
    if held is None:
        forget.unmark(target, ontology_id)
        return count
    with target.transaction():
        target.run(SET_CHECKPOINT, (*held, ontology_id))
    target.settle()
    return count


def differences(source: Database, target: Database, ontology_id: str) -> Iterator[Difference]:
    """Give the rows in which the target's canonical dump is not the source's."""
    with source.snapshot(), target.snapshot():
        yield from compare(source, target, ontology_id)


def is_same(source: Database, target: Database, ontology_id: str) -> bool:
    """Tell whether the target is at the source's commit, and says the same."""
    there, here = checkpoint.load(target, ontology_id), checkpoint.load(source, ontology_id)
    if there is None or there != here:
        return False
    return next(differences(source, target, ontology_id), None) is None


def _parts(rows: Iterator[tuple[object, ...]]) -> Iterator[list[tuple[object, ...]]]:
    part: list[tuple[object, ...]] = []
    for row in rows:
        part.append(row)
        if len(part) >= PART:
            yield part
            part = []
    if part:
        yield part
