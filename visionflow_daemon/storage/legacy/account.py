"""Counts what became of an old database, row by row and by meaning, and finds what is not accounted for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from visionflow_daemon.errors import DatabaseError
from visionflow_daemon.storage.database import Database, Row
from visionflow_daemon.storage.legacy import quarantine
from visionflow_daemon.storage.legacy.adopt import PARENTS, Adoption
from visionflow_daemon.storage.legacy.archive import archived
from visionflow_daemon.storage.legacy.convert import digest
from visionflow_daemon.storage.legacy.shapes import AXIOMS, CLASSES, HIERARCHY, PROPERTIES, quoted

HAS_BECOME = "EXISTS (SELECT 1 FROM legacy_rows r WHERE r.table_name = '{}' AND r.archive_row = a.archive_row)"
IS_QUARANTINED = (
    "EXISTS (SELECT 1 FROM migration_quarantine q WHERE q.table_name = '{}' AND q.archive_row = a.archive_row)"
)
OLD_PARENTS = f"SELECT ontology_id, subject, object FROM legacy_rows WHERE table_name IN ('{HIERARCHY}', '{PARENTS}')"
NEW_PARENTS = "SELECT ontology_id, class_iri, parent_iri FROM owl_class_hierarchy"
CLASS_ROWS = (
    "SELECT r.digest, c.label, c.comment, c.properties FROM legacy_rows r LEFT JOIN owl_classes c"
    f" ON c.ontology_id = r.ontology_id AND c.class_iri = r.subject WHERE r.table_name = '{CLASSES}'"
)
PROPERTY_ROWS = (
    "SELECT r.digest, p.property_type, p.label, p.comment, p.domain, p.range, p.characteristics, p.properties"
    " FROM legacy_rows r LEFT JOIN owl_properties p ON p.ontology_id = r.ontology_id AND p.property_iri = r.subject"
    f" WHERE r.table_name = '{PROPERTIES}'"
)
CASE_VARIANTS = (
    "SELECT COUNT(*) FROM (SELECT 1 FROM owl_classes GROUP BY ontology_id, LOWER(class_iri) HAVING COUNT(*) > 1)"
)


@dataclass(frozen=True, slots=True)
class TableCount:
    """What became of the rows of one old table."""

    rows: int
    in_place: int
    in_quarantine: int


@dataclass(frozen=True, slots=True)
class Account:
    """What became of an old database: by table, by meaning, and what is worth knowing of it."""

    shape: str
    reasons: tuple[str, ...]
    ontologies: tuple[str, ...]
    tables: Mapping[str, TableCount]
    meanings: Mapping[str, tuple[int, int]]
    undeclared: int
    quarantine: Mapping[str, Mapping[str, int]]
    unknown_columns: Mapping[str, tuple[str, ...]]
    oddities: Mapping[str, Mapping[str, int]]
    notes: tuple[str, ...] = field(default=())


def rows_of_others(database: Database, ours: set[str]) -> dict[str, int]:
    """Count the rows of all tables that are not ours, so that they can be seen to be left alone."""
    tables = database.rows(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!'"
        " AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name"
    )
    return {
        name: int((database.row(f"SELECT COUNT(*) FROM {quoted(name)}") or (0,))[0])
        for (name,) in tables
        if name not in ours
    }


def account_for(adoption: Adoption, notes: list[str]) -> Account:
    """Count, and raise DatabaseError where anything is not accounted for."""
    database, shape = adoption.database, adoption.shape
    tables = {name: _table_count(database, name) for name in shape.tables}
    meanings = {what: pair for what, pair in _meanings(adoption) if pair != (0, 0)}
    doubts = [
        f"{name}: {count.rows:,} rows, {count.in_place:,} in place, {count.in_quarantine:,} in quarantine"
        for name, count in tables.items()
        if count.rows != count.in_place + count.in_quarantine
    ]
    doubts += [
        f"{what}: {before:,} before, {after:,} after" for what, (before, after) in meanings.items() if before != after
    ]
    doubts += _other_content(database)
    if doubts:
        raise DatabaseError(f"not everything is accounted for ({'; '.join(doubts)}): all was undone")
    if variants := _one(database, CASE_VARIANTS):
        notes.append(f"{variants:,} groups of classes whose IRIs differ in case alone: each is a class of its own")
    return Account(
        shape.name,
        shape.reasons,
        tuple(adoption.ontologies),
        tables,
        meanings,
        _one(database, "SELECT COUNT(*) FROM owl_classes WHERE is_declared = 0"),
        quarantine.counts(database),
        {name: table.unknown for name, table in shape.tables.items() if table.unknown},
        {name: odd.counts for name, odd in adoption.oddities.items() if odd.counts},
        tuple(notes),
    )


def _table_count(database: Database, name: str) -> TableCount:
    of = f"SELECT COUNT(*) FROM {archived(name)} a"
    return TableCount(
        _one(database, of),
        _one(database, f"{of} WHERE {HAS_BECOME.format(name)} AND NOT {IS_QUARANTINED.format(name)}"),
        _one(database, f"{of} WHERE {IS_QUARANTINED.format(name)} AND NOT {HAS_BECOME.format(name)}"),
    )


def _meanings(adoption: Adoption) -> Iterator[tuple[str, tuple[int, int]]]:
    """Count each kind of thing said, in the archive's rows that are in place, and in the tables made of them."""
    database, tables = adoption.database, adoption.shape.tables
    for name, made, what in ((CLASSES, "owl_classes", "class"), (PROPERTIES, "owl_properties", "property")):
        if name not in tables:
            continue
        declared = f"SELECT COUNT(*) FROM {made} WHERE is_declared = 1"
        rows = f"SELECT COUNT(*) FROM {archived(name)} a WHERE {HAS_BECOME.format(name)}"
        yield ("classes" if what == "class" else "properties"), (_one(database, rows), _one(database, declared))
        for role in ("label", "comment"):
            if column := tables[name].roles.get(role):
                yield (
                    f"{role}s of {'classes' if what == 'class' else 'properties'}",
                    (
                        _one(database, f"{rows} AND a.{quoted(column)} IS NOT NULL"),
                        _one(database, f"{declared} AND {role} IS NOT NULL"),
                    ),
                )
    yield (
        "parents",
        (
            _one(database, f"SELECT COUNT(*) FROM ({OLD_PARENTS} GROUP BY 1, 2, 3)"),
            _one(database, f"SELECT COUNT(*) FROM ({NEW_PARENTS})"),
        ),
    )
    became = f"SELECT COUNT(*) FROM legacy_rows WHERE table_name = '{AXIOMS}'"
    inferred = _one(database, "SELECT COUNT(*) FROM owl_axioms WHERE file_id IS NULL")
    own = _one(database, "SELECT COUNT(*) FROM owl_axioms WHERE file_id = 0") - adoption.made_axioms
    yield "axioms", (_one(database, became), own + inferred)


def _other_content(database: Database) -> Iterator[str]:
    """Find what was written otherwise than it was read."""
    for first, second, what in ((OLD_PARENTS, NEW_PARENTS, "missing"), (NEW_PARENTS, OLD_PARENTS, "made up")):
        if wrong := _one(database, f"SELECT COUNT(*) FROM ({first} EXCEPT {second})"):
            yield f"{wrong:,} parents {what}"
    for query, what in ((CLASS_ROWS, "classes"), (PROPERTY_ROWS, "properties")):
        wrong = sum(_is_other(row) for row in database.run(query))
        if wrong:
            yield f"{wrong:,} {what} with other content"


def _is_other(row: Row) -> bool:
    due, *values = row
    return bool(due != digest(*values))


def _one(database: Database, query: str) -> int:
    return int((database.row(query) or (0,))[0])
