"""Copies the rows of one ontology from one database into another, and proves that both hold the same.

Nothing here knows which engine is which: rows are read one by one, within a snapshot, and written in parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

import peewee

from visionflow_daemon.errors import DatabaseError
from visionflow_daemon.storage import checkpoint, forget
from visionflow_daemon.storage.compare import Difference, compare, side_by_side
from visionflow_daemon.storage.database import SQLITE, Database, Row
from visionflow_daemon.storage.dump import SECTIONS, plain, shown

PART_ROWS = 5_000
PART_BYTES = 4 << 20
"""The most that one transaction writes, and that is held at a time."""

Told = Callable[[str, int, int], None]
"""Is told what is being done, how much of it is done, and how much there is."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table of an ontology's: its columns, the first of which, after the ontology, tell its rows apart.

    `unseen` says which of its rows the canonical dump does not show whole; None where it shows them all.
    """

    name: str
    columns: tuple[str, ...]
    key_size: int
    unseen: str | None = None

    def select(self, where: str = "TRUE") -> str:
        """Give the query for its rows, in the order of their key."""
        key = ", ".join(self.columns[: 1 + self.key_size])
        return f"SELECT {', '.join(self.columns)} FROM {self.name} WHERE ontology_id = ? AND {where} ORDER BY {key}"


def _table(name: str, columns: str, key_size: int, unseen: str | None = None) -> Table:
    return Table(name, ("ontology_id", *columns.split()), key_size, unseen)


TABLES = (
    _table(
        "source_files",
        "file_id path display_path status blob_seen digest_seen blob_saved digest_saved reason failure_class line"
        " attempts first_failed_at last_failed_at next_attempt_at saved_at format is_public outbound_links",
        1,
        "TRUE",
    ),
    _table("page_names", "file_id name_key name_rank path class_iri", 2),
    _table("page_warnings", "file_id ordinal line message", 2),
    _table("class_facts", "file_id class_iri is_bare path label comment properties", 2),
    _table(
        "property_facts",
        "file_id property_iri is_bare path property_type label comment domain range characteristics properties",
        2,
    ),
    _table("links", "file_id ordinal axiom_type subject property_iri annotations name_key minted_iri target_iri", 2),
    _table(
        "owl_axioms",
        "id file_id axiom_type subject property_iri property_type object annotations is_stated is_parent is_inferred"
        " created_at",
        1,
        "file_id IS NULL",
    ),
    _table("property_uses", "property_iri property_type axioms", 2),
    _table(
        "owl_classes",
        "class_iri label comment file_sha1 is_declared is_public properties file_id last_synced created_at updated_at",
        1,
    ),
    _table("owl_class_hierarchy", "class_iri parent_iri", 2),
    _table(
        "owl_properties",
        "property_iri label comment property_type domain range characteristics properties is_declared file_id"
        " created_at updated_at",
        1,
    ),
    _table(
        "sync_runs",
        "run_id status started_at progress_at finished_at from_commit to_commit plan plan_reason planned saved skipped"
        " failed deleted error",
        1,
        "TRUE",
    ),
)
"""All but the checkpoint, which is set last, each behind those that it refers to."""

CHECKPOINT = "source, branch, commit_sha, digest, is_clean, saved_at, overlay, rollout_percent"
SET_CHECKPOINT = (
    "UPDATE checkpoints SET source = ?, branch = ?, commit_sha = ?, digest = ?, is_clean = ?, saved_at = ?,"
    " overlay = ?, rollout_percent = ? WHERE ontology_id = ?"
)
QUARANTINE = "table_name archive_row reason detail row quarantined_at"
"""The columns of migration_quarantine, but for the numbers of its rows, which each database gives for itself."""


class Standing(StrEnum):
    """What a target has of an ontology that is to be copied there."""

    ABSENT = "absent"
    HALF = "half"
    EQUAL = "equal"
    BEHIND = "behind"
    OTHER = "other"


def standing(source: Database, target: Database, ontology_id: str) -> Standing:
    """Say what the target has of an ontology, as far as checkpoints and passes tell.

    It is BEHIND where it was copied before and no pass has written it since: all its passes are the source's.
    """
    here, there = checkpoint.load(source, ontology_id), checkpoint.load(target, ontology_id)
    if there is None and not forget.contents(target, ontology_id):
        return Standing.ABSENT
    if there is not None and there.is_forgotten:
        return Standing.HALF
    if here == there:
        return Standing.EQUAL
    last = checkpoint.last_run(target, ontology_id)
    is_known = last is None or checkpoint.knows_run(source, ontology_id, last.run_id)
    is_fed_alike = here is not None and there is not None and here.source == there.source
    return Standing.BEHIND if is_known and is_fed_alike else Standing.OTHER


def count(database: Database, ontology_id: str) -> dict[str, int]:
    """Count the rows of each table."""
    return {
        table.name: int(
            (database.row(f"SELECT COUNT(*) FROM {table.name} WHERE ontology_id = ?", (ontology_id,)) or (0,))[0]
        )
        for table in TABLES
    }


def copy_rows(source: Database, target: Database, ontology_id: str, told: Told) -> dict[str, int]:
    """Copy all rows of an ontology of which the target has none but a mark; give how many of each table.

    The source is read within a snapshot, the target is written by its holder.
    """
    due = count(source, ontology_id)
    total, done = sum(due.values()), 0
    copied = {}
    told("copying", 0, total)
    for table in TABLES:
        before = done
        for part in _parts(source.stream(table.select(), (ontology_id,))):
            _load(target, table, part)
            done += len(part)
            told("copying", done, total)
        copied[table.name] = done - before
    return copied


def set_checkpoint(source: Database, target: Database, ontology_id: str) -> None:
    """Take the mark off: the target's checkpoint is the source's, or there is none, as in the source."""
    held = source.row(f"SELECT {CHECKPOINT} FROM checkpoints WHERE ontology_id = ?", (ontology_id,))
    if held is None:
        forget.unmark(target, ontology_id)
    else:
        with target.transaction():
            target.run(SET_CHECKPOINT, (*held, ontology_id))
    target.settle()


def copy_quarantine(source: Database, target: Database, ontology_id: str) -> int:
    """Copy what is in quarantine of an ontology, the empty one being unknown, unless the target has such rows."""
    if _quarantined(target, ontology_id) or not _quarantined(source, ontology_id):
        return 0
    names = QUARANTINE.split()
    rows = source.rows(
        f"SELECT {', '.join(names)} FROM migration_quarantine WHERE COALESCE(ontology_id, '') = ? ORDER BY id",
        (ontology_id,),
    )
    if target.engine == SQLITE:
        given = [(ontology_id or None, *row) for row in rows]
    else:
        names.insert(0, "id")
        given = [(ontology_id, number, *row) for number, row in enumerate(rows, 1)]
    _load(target, Table("migration_quarantine", ("ontology_id", *names), 1), given)
    return len(given)


def differences(source: Database, target: Database, ontology_id: str, told: Told) -> Iterator[Difference]:
    """Give the rows in which the target's dump is not the source's, and those that no dump shows. Within snapshots."""
    unseen = [table for table in TABLES if table.unseen is not None]
    steps = len(SECTIONS) + len(unseen)
    for at, section in enumerate(SECTIONS):
        told("comparing", at, steps)
        yield from compare(source, target, ontology_id, (section,))
    for at, table in enumerate(unseen, len(SECTIONS)):
        told("comparing", at, steps)
        yield from _unseen(source, target, ontology_id, table)
    told("comparing", steps, steps)


def _unseen(source: Database, target: Database, ontology_id: str, table: Table) -> Iterator[Difference]:
    query = table.select(table.unseen or "")
    here, found = (map(plain, database.stream(query, (ontology_id,))) for database in (source, target))
    for due, there in side_by_side(here, found, lambda row: row[1 : 1 + table.key_size]):
        if due != there:
            key = (due or there or ())[1 : 1 + table.key_size]
            yield Difference(f"row of {table.name}", key, due, there)


def _quarantined(database: Database, ontology_id: str) -> bool:
    found = database.row(
        "SELECT 1 FROM migration_quarantine WHERE COALESCE(ontology_id, '') = ? LIMIT 1", (ontology_id,)
    )
    return found is not None


def _load(target: Database, table: Table, part: list[Row]) -> None:
    """Write a part. Raises DatabaseError for a value that the target's engine can't hold."""
    try:
        target.load(table.name, table.columns, part)
    except peewee.DataError as error:
        row = next((row for row in part if any(_has_nul(value) for value in row)), None)
        where = "" if row is None else f": {' '.join(str(shown(value)) for value in row[1 : 1 + table.key_size])}"
        raise DatabaseError(
            f"{table.name} of {part[0][0]!r} holds a value that {target.name} can't hold{where}: "
            f"{' '.join(str(error).split())}. The ontology was not copied"
        ) from error


def _has_nul(value: object) -> bool:
    return isinstance(value, str) and ("\0" in value or "\\u0000" in value)


def _parts(rows: Iterator[Row]) -> Iterator[list[Row]]:
    part: list[Row] = []
    size = 0
    for row in rows:
        part.append(row)
        size += sum(len(value) for value in row if isinstance(value, str | bytes))
        if len(part) >= PART_ROWS or size >= PART_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part
