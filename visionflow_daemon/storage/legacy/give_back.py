"""Gives an adopted database back in its old shape, with what it holds by then.

What nobody has changed comes back row for row, as it was; a row whose class, property or axiom is gone stays out; the
rest is written by the rules of the old table's columns. What the old shape has no place for is counted as lost.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from visionflow_daemon.storage.database import Database, Row
from visionflow_daemon.storage.legacy import archive, clean
from visionflow_daemon.storage.legacy.adopt import PARENTS
from visionflow_daemon.storage.legacy.archive import NUMBER, archived
from visionflow_daemon.storage.legacy.convert import digest
from visionflow_daemon.storage.legacy.shapes import (
    AXIOMS,
    CHARACTERISTICS,
    CLASSES,
    HIERARCHY,
    PROPERTIES,
    TABLES,
    OldTable,
    Shape,
    quoted,
)

NOT_IN_KEY = re.compile(r"[^a-z0-9]")
OWN_INDEXES = "SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = ?"
CLASS_VERDICTS = (
    f"SELECT a.{NUMBER}, r.ontology_id, r.subject, r.digest, c.label, c.comment, c.properties, c.is_declared,"
    " f.display_path, c.file_sha1, c.created_at, c.updated_at, c.last_synced"
    f" FROM {archived(CLASSES)} a"
    f" LEFT JOIN legacy_rows r ON r.table_name = '{CLASSES}' AND r.archive_row = a.{NUMBER}"
    " LEFT JOIN present_owl_classes c ON c.ontology_id = r.ontology_id AND c.class_iri = r.subject"
    " LEFT JOIN source_files f ON f.ontology_id = c.ontology_id AND f.file_id = c.file_id"
)
NEW_CLASSES = (
    "SELECT NULL, c.ontology_id, c.class_iri, '', c.label, c.comment, c.properties, c.is_declared, f.display_path,"
    " c.file_sha1, c.created_at, c.updated_at, c.last_synced FROM present_owl_classes c"
    " LEFT JOIN source_files f ON f.ontology_id = c.ontology_id AND f.file_id = c.file_id"
    f" WHERE c.is_declared = 1 AND NOT EXISTS (SELECT 1 FROM legacy_rows r WHERE r.table_name = '{CLASSES}'"
    "  AND r.ontology_id = c.ontology_id AND r.subject = c.class_iri) ORDER BY c.ontology_id, c.class_iri"
)
PROPERTY_VALUES = (
    "p.property_type, p.label, p.comment, p.domain, p.range, p.characteristics, p.properties, p.created_at,"
    " p.updated_at"
)
PROPERTY_VERDICTS = (
    f"SELECT a.{NUMBER}, r.ontology_id, r.subject, r.digest, {PROPERTY_VALUES}, p.is_declared"
    f" FROM {archived(PROPERTIES)} a"
    f" LEFT JOIN legacy_rows r ON r.table_name = '{PROPERTIES}' AND r.archive_row = a.{NUMBER}"
    " LEFT JOIN present_owl_properties p ON p.ontology_id = r.ontology_id AND p.property_iri = r.subject"
)
NEW_PROPERTIES = (
    f"SELECT NULL, p.ontology_id, p.property_iri, '', {PROPERTY_VALUES}, p.is_declared FROM present_owl_properties p"
    f" WHERE NOT EXISTS (SELECT 1 FROM legacy_rows r WHERE r.table_name = '{PROPERTIES}'"
    "  AND r.ontology_id = p.ontology_id AND r.subject = p.property_iri) ORDER BY p.ontology_id, p.property_iri"
)
STILL_PARENTS = (
    f"SELECT a.{NUMBER} FROM {archived(HIERARCHY)} a WHERE NOT EXISTS (SELECT 1 FROM legacy_rows r"
    f" WHERE r.table_name = '{HIERARCHY}' AND r.archive_row = a.{NUMBER})"
    " OR EXISTS (SELECT 1 FROM legacy_rows r JOIN present_owl_class_hierarchy h ON h.ontology_id = r.ontology_id"
    "  AND h.class_iri = r.subject AND h.parent_iri = r.object"
    f"  WHERE r.table_name = '{HIERARCHY}' AND r.archive_row = a.{NUMBER})"
)
NEW_PARENTS = (
    "SELECT h.ontology_id, h.class_iri, h.parent_iri FROM present_owl_class_hierarchy h"
    " WHERE NOT EXISTS (SELECT 1 FROM held_parents p WHERE p.ontology_id = h.ontology_id"
    "  AND p.class_iri = h.class_iri AND p.parent_iri = h.parent_iri)"
    " AND NOT EXISTS (SELECT 1 FROM legacy_rows r WHERE r.table_name = '{table}' AND r.ontology_id = h.ontology_id"
    "  AND r.subject = h.class_iri AND r.object = h.parent_iri) ORDER BY 1, 2, 3"
)
SAME_AXIOM = (
    " r.table_name = '{table}' AND r.ontology_id = x.ontology_id AND r.subject = x.subject AND r.object = x.object"
    " AND TRIM(CAST(a.{type} AS TEXT)) = x.axiom_type AND (r.digest = 'inferred') = (x.file_id IS NULL)"
)
SPELLED = (
    f"SELECT a.{{column}} FROM legacy_rows r JOIN {archived(CLASSES)} a ON a.{NUMBER} = r.archive_row"
    f" WHERE r.table_name = '{CLASSES}' AND r.ontology_id = ? AND r.subject = ? LIMIT 1"
)


@dataclass(slots=True)
class Returned:
    """What came of each table: rows as they were, changed, new, gone; and what the old shape has no place for."""

    shape: str
    tables: dict[str, Counter[str]] = field(default_factory=dict)
    lost: Counter[str] = field(default_factory=Counter)

    def count(self, table: str, what: str, by: int = 1) -> None:
        """Count rows of a table."""
        self.tables.setdefault(table, Counter())[what] += by


@dataclass(slots=True)
class Return:
    """One way back at work."""

    database: Database
    shape: Shape
    done: Returned

    def table(self, name: str) -> OldTable | None:
        """Give an old table, if the old database had it."""
        return self.shape.tables.get(name)


def give_back(database: Database) -> Returned:
    """Put the old tables in the place of ours, with the present content; within a transaction."""
    shape = archive.old_shape(database)
    work = Return(database, shape, Returned(shape.name))
    _make_way(database)
    archive.set_up_again(database)
    database.run("CREATE TEMPORARY TABLE coming (number INTEGER NOT NULL PRIMARY KEY)")
    database.run(
        "CREATE TEMPORARY TABLE held_parents (ontology_id TEXT, class_iri TEXT, parent_iri TEXT,"
        " PRIMARY KEY (ontology_id, class_iri, parent_iri)) WITHOUT ROWID"
    )
    try:
        _named(work, CLASSES, CLASS_VERDICTS, NEW_CLASSES, _class_values, _is_class)
        _named(work, PROPERTIES, PROPERTY_VERDICTS, NEW_PROPERTIES, _property_values, _is_property)
        _parents(work)
        _axioms(work)
    finally:
        database.run("DROP TABLE coming")
        database.run("DROP TABLE held_parents")
    archive.finish_again(database)
    return work.done


def _make_way(database: Database) -> None:
    """Rename our tables of the same names, without their indexes, whose names may be wanted, too."""
    for name in TABLES:
        for (index,) in database.rows(OWN_INDEXES, (name,)):
            database.run(f"DROP INDEX {index}")
        database.run(f"ALTER TABLE {name} RENAME TO present_{name}")
    database.run("CREATE INDEX present_axioms ON present_owl_axioms (ontology_id, subject)")


def _named(
    work: Return,
    name: str,
    verdicts: str,
    new: str,
    values: Callable[[Return, OldTable, Row, bool], dict[str, Any]],
    judge: Callable[[Row], tuple[bool, bool]],
) -> None:
    """Bring back a table whose rows have a name: the old rows, then the changed ones, then the new ones."""
    table = work.table(name)
    if table is None:
        work.done.lost[name] += _count(work.database, f"SELECT COUNT(*) FROM ({new})")
        return
    changed: list[Row] = []
    for row in _streamed(work.database, verdicts):
        number, ontology_id = row[:2]
        is_there, is_changed = (True, False) if ontology_id is None else judge(row)
        if not is_there:
            work.done.count(name, "gone")
            continue
        work.database.run("INSERT INTO coming VALUES (?)", (number,))
        parent = _parent_due(work, row) if ontology_id is not None and "parent" in table.roles else None
        if is_changed or parent is not None:
            work.database.run("INSERT INTO coming VALUES (?) ON CONFLICT DO NOTHING", (number,))
            changed.append((row if is_changed else row[:4], parent))
    _bring(work, table)
    for row, parent in changed:
        due = values(work, table, row, False) if len(row) > 4 else {}  # noqa: PLR2004 - a row's values follow its name
        if parent is not None:
            due[table.roles["parent"]] = parent[0]
        _update(work, table, row[0], due)
        work.done.count(name, "changed")
        work.done.count(name, "as before", -1)
    for row in _streamed(work.database, new):
        due = values(work, table, row, True)
        if "parent" in table.roles and (parent := _parent_due(work, row)) is not None:
            due[table.roles["parent"]] = parent[0]
        if _insert(work, table, due):
            work.done.count(name, "new")
        else:
            work.done.lost[name] += 1


def _is_class(row: Row) -> tuple[bool, bool]:
    due, label, comment, properties, is_declared = row[3:8]
    return bool(is_declared), due != digest(label, comment, properties)


def _is_property(row: Row) -> tuple[bool, bool]:
    due, *values = row[3:11]
    is_declared = row[13]
    return is_declared is not None, bool(is_declared) and due != digest(*values)


def _class_values(work: Return, table: OldTable, row: Row, is_new: bool) -> dict[str, Any]:  # noqa: FBT001 - one of two ways
    _, ontology_id, iri, _, label, comment, properties, _, path, blob, created, updated, synced = row
    said = clean.json_of(properties) or {}
    left = dict(said)
    due = _roles(table, {"label": label, "comment": comment, "updated": updated, "synced": synced})
    if is_new:
        due |= _roles(table, {"ontology": ontology_id, "iri": iri, "created": created})
    by_key = {NOT_IN_KEY.sub("", key.lower()): key for key in said}
    for column in table.unknown:
        if column in {"source_file", "source_path"}:
            due[column] = path
        elif column == "file_sha1":
            due[column] = blob
        elif (key := by_key.get(NOT_IN_KEY.sub("", column.lower()))) is not None:
            due[column] = _scalar(left.pop(key, None))
    if "properties" in table.roles:
        due[table.roles["properties"]] = properties
    elif left:
        work.done.lost["properties of classes"] += 1
    return due


def _property_values(work: Return, table: OldTable, row: Row, is_new: bool) -> dict[str, Any]:  # noqa: FBT001 - as above
    _, ontology_id, iri, _, kind, label, comment, domain, range_, characteristics, properties, created, updated, _ = row
    kinds = _kinds(work, table)
    due = _roles(table, {"label": label, "comment": comment, "type": kinds.get(kind, kind), "updated": updated})
    due |= _roles(table, {"characteristics": characteristics, "properties": properties})
    for role, value in (("domain", domain), ("range", range_)):
        if column := table.roles.get(role):
            due[column] = clean.canonical([value]) if value is not None and table.is_json(column) else value
    if is_new:
        due |= _roles(table, {"ontology": ontology_id, "iri": iri, "created": created})
    set_ = set(clean.json_of(characteristics) or ())
    flags = {column: int(name in set_) for column, name in CHARACTERISTICS.items() if column in table.names}
    held = set_ if "characteristics" in table.roles else {CHARACTERISTICS[column] for column in flags}
    for role, value in (("comment", comment), ("label", label), ("domain", domain), ("range", range_)):
        if value is not None and role not in table.roles:
            work.done.lost[f"{role}s of properties"] += 1
    work.done.lost["characteristics of properties"] += len(set_ - held)
    return due | flags


def _kinds(work: Return, table: OldTable) -> Mapping[str, str]:
    """Give the names that the old database had for the kinds of properties, where they were others."""
    if (column := table.roles.get("type")) is None:
        return {}
    found: Counter[tuple[str, str]] = Counter()
    for value, rows in work.database.rows(
        f"SELECT {quoted(column)}, COUNT(*) FROM {archived(PROPERTIES)} GROUP BY 1 HAVING {quoted(column)} IS NOT NULL"
    ):
        found[clean.property_type(value), str(value)] += rows
    return dict(pair for pair, _ in reversed(found.most_common()))


def _parent_due(work: Return, row: Row) -> tuple[str | None] | None:
    """Say what a class's one parent is to be; None where it is what it was. It is noted as held."""
    number, ontology_id, iri = row[:3]
    parents = [
        parent
        for (parent,) in work.database.rows(
            "SELECT parent_iri FROM present_owl_class_hierarchy WHERE ontology_id = ? AND class_iri = ? ORDER BY 1",
            (ontology_id, iri),
        )
    ]
    was = work.database.row(
        "SELECT object FROM legacy_rows WHERE table_name = ? AND archive_row = ? AND ontology_id = ?",
        (PARENTS, number, ontology_id),
    )
    due = was[0] if was is not None and was[0] in parents else next(iter(parents), None)
    if due is not None:
        work.database.run("INSERT INTO held_parents VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (ontology_id, iri, due))
    if due == (was[0] if was is not None else None):
        return None
    return (_spelled(work, ontology_id, due) if due is not None else None,)


def _parents(work: Return) -> None:
    table, database, done = work.table(HIERARCHY), work.database, work.done
    if table is None:
        done.lost["parents"] += _count(database, f"SELECT COUNT(*) FROM ({NEW_PARENTS.format(table=PARENTS)})")
        return
    database.run(f"INSERT INTO coming {STILL_PARENTS}")
    _bring(work, table)
    for ontology_id, child, parent in _streamed(database, NEW_PARENTS.format(table=HIERARCHY)):
        pair = {"iri": _spelled(work, ontology_id, child), "parent": _spelled(work, ontology_id, parent)}
        if _insert(work, table, _roles(table, {"ontology": ontology_id, **pair})):
            done.count(HIERARCHY, "new")
        elif "ontology" in table.roles:
            done.lost["parents"] += 1


def _axioms(work: Return) -> None:
    table, database, done = work.table(AXIOMS), work.database, work.done
    if table is None:
        done.lost["axioms"] += _count(database, "SELECT COUNT(*) FROM present_owl_axioms WHERE is_parent = 0")
        return
    same = SAME_AXIOM.format(table=AXIOMS, type=quoted(table.roles["type"]))
    database.run(
        f"INSERT INTO coming SELECT a.{NUMBER} FROM {archived(AXIOMS)} a WHERE NOT EXISTS"
        f" (SELECT 1 FROM legacy_rows r WHERE r.table_name = '{AXIOMS}' AND r.archive_row = a.{NUMBER})"
        " OR EXISTS (SELECT 1 FROM legacy_rows r CROSS JOIN present_owl_axioms x INDEXED BY present_axioms"
        f"  WHERE r.archive_row = a.{NUMBER} AND {same})"
    )
    _bring(work, table)
    new = (
        "SELECT x.ontology_id, x.axiom_type, x.subject, x.property_iri, x.object, MIN(x.annotations), x.is_inferred,"
        " MIN(x.created_at) FROM present_owl_axioms x WHERE x.file_id IS NOT 0 AND NOT EXISTS (SELECT 1"
        f" FROM legacy_rows r INDEXED BY legacy_rows_subject CROSS JOIN {archived(AXIOMS)} a"
        f"  ON a.{NUMBER} = r.archive_row WHERE {same})"
        " GROUP BY 1, 2, 3, 4, 5, 7 ORDER BY 1, 2, 3, 4, 5, 7"
    )
    for row in _streamed(database, new):
        if _insert(work, table, _axiom_values(table, row)):
            done.count(AXIOMS, "new")
        else:
            done.lost["axioms"] += 1


def _axiom_values(table: OldTable, row: Row) -> dict[str, Any]:
    ontology_id, axiom_type, subject, property_iri, target, annotations, is_inferred, created = row
    if property_iri is not None and "property" not in table.roles:
        annotations = clean.canonical(
            {"property_iri": property_iri} | ({"annotations": annotations} if annotations else {})
        )
    said = {"type": axiom_type, "subject": subject, "object": target, "property": property_iri}
    more = {"ontology": ontology_id, "annotations": annotations or None, "inferred": is_inferred, "created": created}
    return _roles(table, said | more)


def _spelled(work: Return, ontology_id: str, iri: str) -> str:
    """Write a class as its row writes it, so that the old program finds it."""
    if (table := work.table(CLASSES)) is None:
        return iri
    found = work.database.row(SPELLED.format(column=quoted(table.roles["iri"])), (ontology_id, iri))
    return found[0] if found is not None else iri


def _roles(table: OldTable, values: Mapping[str, Any]) -> dict[str, Any]:
    return {table.roles[role]: value for role, value in values.items() if role in table.roles}


def _scalar(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    return clean.canonical(value) if isinstance(value, list | dict) else value


def _bring(work: Return, table: OldTable) -> None:
    """Bring back the rows that were chosen, value for value and number for number."""
    columns = ", ".join(map(quoted, table.names))
    number, source = (f"{table.rowid}, ", f"{NUMBER}, ") if table.rowid else ("", "")
    rows = work.database.run(
        f"INSERT INTO {table.name} ({number}{columns}) SELECT {source}{columns} FROM {archived(table.name)}"
        f" WHERE {NUMBER} IN (SELECT number FROM coming) ORDER BY {NUMBER}"
    ).rowcount
    work.database.run("DELETE FROM coming")
    work.done.count(table.name, "as before", rows)
    if table.name in {HIERARCHY, AXIOMS}:
        work.done.count(
            table.name, "gone", _count(work.database, f"SELECT COUNT(*) FROM {archived(table.name)}") - rows
        )


def _update(work: Return, table: OldTable, number: int, due: Mapping[str, Any]) -> None:
    if not due:
        return
    changes = ", ".join(f"{quoted(column)} = ?" for column in due)
    if table.rowid:
        where, marks = f"{table.rowid} = ?", 1
    else:
        where = " AND ".join(
            f"{quoted(column)} IS (SELECT {quoted(column)} FROM {archived(table.name)} WHERE {NUMBER} = ?)"
            for column in table.key
        )
        marks = len(table.key)
    work.database.run(f"UPDATE {table.name} SET {changes} WHERE {where}", (*due.values(), *[number] * marks))


def _insert(work: Return, table: OldTable, due: dict[str, Any]) -> bool:
    """Write a new row; False where a key of the old table does not let it in."""
    for column in table.columns:
        if column.is_required and due.get(column.name) is None and column.name not in table.key:
            if column.default is None:
                due[column.name] = 0 if column.affinity == "number" else ""
            else:
                due.pop(column.name, None)
    columns = ", ".join(map(quoted, due))
    marks = ", ".join("?" * len(due))
    sql = f"INSERT INTO {table.name} ({columns}) VALUES ({marks}) ON CONFLICT DO NOTHING"
    return bool(work.database.run(sql, tuple(due.values())).rowcount)


def _count(database: Database, query: str) -> int:
    return int((database.row(query) or (0,))[0])


def _streamed(database: Database, query: str) -> Iterator[Row]:
    cursor = database.run(query)
    while part := cursor.fetchmany(1_000):
        yield from part
