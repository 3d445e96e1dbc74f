"""Copies the rows of one ontology from one database into another, and proves that both hold the same.

Nothing here knows which engine is which: rows are read one by one, within a snapshot, and written in parts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

import peewee

from visionflow_daemon.errors import DatabaseError
from visionflow_daemon.storage import checkpoint, forget
from visionflow_daemon.storage.compare import Difference, compare, side_by_side
from visionflow_daemon.storage.database import SQLITE, Database, Row
from visionflow_daemon.storage.dump import SECTIONS, plain

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
QUARANTINE = "table_name, archive_row, reason, detail, row, quarantined_at"
IN_QUARANTINE = f"SELECT {QUARANTINE} FROM migration_quarantine WHERE COALESCE(ontology_id, '') = ? ORDER BY id"
"""All of its columns but the numbers of its rows, which each database gives for itself."""

NUL_IN_JSON = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


@dataclass(frozen=True, slots=True)
class Written:
    """How many rows were written of each table, and in how many NUL was replaced, which no text of a server's holds."""

    rows: dict[str, int]
    without_nul: int = 0


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


def copy_rows(source: Database, target: Database, ontology_id: str, told: Told) -> Written:
    """Copy all rows of an ontology of which the target has none but a mark, in parts.

    The source is read within a snapshot, the target is written by its holder.
    """
    total = sum(count(source, ontology_id).values())
    rows: dict[str, int] = {}
    done = without_nul = 0
    for table in TABLES:
        before = done
        for part in _parts(source.stream(table.select(), (ontology_id,))):
            without_nul += _load(target, table, part)
            done += len(part)
            told("copying", done, total)
        rows[table.name] = done - before
    return Written(rows, without_nul)


def set_checkpoint(source: Database, target: Database, ontology_id: str) -> None:
    """Take the mark off: the target's checkpoint is the source's, or there is none, as in the source."""
    held = source.row(f"SELECT {CHECKPOINT} FROM checkpoints WHERE ontology_id = ?", (ontology_id,))
    if held is None:
        forget.unmark(target, ontology_id)
    else:
        with target.transaction():
            target.run(SET_CHECKPOINT, (*held, ontology_id))
    target.settle()


def copy_quarantine(source: Database, target: Database, ontology_id: str) -> Written:
    """Copy what is in quarantine of an ontology, the empty one being unknown, unless the target has such rows."""
    rows = source.rows(IN_QUARANTINE, (ontology_id,))
    if not rows or target.rows(IN_QUARANTINE, (ontology_id,)):
        return Written({})
    names = QUARANTINE.split(", ")
    if target.engine == SQLITE:
        table = Table("migration_quarantine", ("ontology_id", *names), 2)
        given: list[Row] = [(ontology_id or None, *row) for row in rows]
    else:
        table = Table("migration_quarantine", ("ontology_id", "id", *names), 1)
        given = [(ontology_id, number, *row) for number, row in enumerate(rows, 1)]
    return Written({table.name: len(given)}, _load(target, table, given))


def differences(source: Database, target: Database, ontology_id: str, told: Told) -> Iterator[Difference]:
    """Give the rows in which the target's dump is not the source's, and those that no dump shows. Within snapshots."""
    unseen = [table for table in TABLES if table.unseen is not None]
    steps = len(SECTIONS) + len(unseen)
    for at, section in enumerate(SECTIONS):
        told("comparing", at, steps)
        yield from filter(_is_real, compare(source, target, ontology_id, (section,)))
    for at, table in enumerate(unseen, len(SECTIONS)):
        told("comparing", at, steps)
        yield from filter(_is_real, _unseen(source, target, ontology_id, table))
    told("comparing", steps, steps)


def _unseen(source: Database, target: Database, ontology_id: str, table: Table) -> Iterator[Difference]:
    query = table.select(table.unseen or "")
    here, found = (map(plain, database.stream(query, (ontology_id,))) for database in (source, target))
    for due, there in side_by_side(here, found, lambda row: row[1 : 1 + table.key_size]):
        if due != there:
            key = (due or there or ())[1 : 1 + table.key_size]
            yield Difference(f"row of {table.name}", key, due, there)


def _is_real(difference: Difference) -> bool:
    """Tell a difference from NUL that was replaced."""
    due, there = difference.expected, difference.found
    return due is None or there is None or _without_nul(due) != there


def _load(target: Database, table: Table, part: list[Row]) -> int:
    """Write a part; give in how many rows NUL had to be replaced, for a server that can't hold it.

    Raises DatabaseError for other values that it can't hold.
    """
    try:
        target.load(table.name, table.columns, part)
    except peewee.DataError as error:
        clean = list(map(_without_nul, part))
        if clean == part:
            raise DatabaseError(
                f"{table.name} of ontology {part[0][0]!r} holds what {target.name} can't hold: "
                f"{' '.join(str(error).split())}"
            ) from error
        target.load(table.name, table.columns, clean)
        return sum(before != after for before, after in zip(part, clean, strict=True))
    return 0


def _without_nul(row: Row) -> Row:
    """Replace NUL as it is in what pages say (formats/builder.py)."""
    return tuple(_text_without_nul(value) if isinstance(value, str) else value for value in row)


def _text_without_nul(text: str) -> str:
    if text.startswith(("{", "[")):
        text = NUL_IN_JSON.sub(r"\1\\ufffd", text)
    return text.replace("\0", "\ufffd")


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
