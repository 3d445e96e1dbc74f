"""Writes what is said now into the columns of an old table."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from visionflow_daemon.storage.database import Row
from visionflow_daemon.storage.legacy import clean
from visionflow_daemon.storage.legacy.archive import archived
from visionflow_daemon.storage.legacy.remainder import NAME
from visionflow_daemon.storage.legacy.returning import Return
from visionflow_daemon.storage.legacy.shapes import CHARACTERISTICS, PROPERTIES, OldTable, quoted

NOT_IN_KEY = re.compile(r"[^a-z0-9]")


def class_values(work: Return, table: OldTable, row: Row, is_new: bool) -> dict[str, Any]:  # noqa: FBT001 - one of two ways
    """Write a class: its label, comment and properties, and whatever column goes by the name of a property."""
    _, ontology_id, iri, _, label, comment, properties, _, path, blob, created, updated, synced = row
    said = clean.json_of(properties) or {}
    left = dict(said)
    due = in_columns(table, {"label": label, "comment": comment, "updated": updated, "synced": synced})
    if is_new:
        due |= in_columns(table, {"ontology": ontology_id, "iri": iri, "created": created})
    by_key = {NOT_IN_KEY.sub("", key.lower()): key for key in said}
    for column in table.unknown:
        if column in {"source_file", "source_path"} and path != NAME:
            due[column] = path
        elif column == "file_sha1" and path != NAME:
            due[column] = blob
        elif (key := by_key.get(NOT_IN_KEY.sub("", column.lower()))) is not None:
            due[column] = _scalar(left.pop(key, None))
    if "properties" in table.roles:
        due[table.roles["properties"]] = properties
    elif left:
        work.done.lose("properties of classes")
    return due


def property_values(work: Return, table: OldTable, row: Row, is_new: bool) -> dict[str, Any]:  # noqa: FBT001 - as above
    """Write a property, by the names that the old database had for the kinds of properties."""
    _, ontology_id, iri, _, kind, label, comment, domain, range_, characteristics, properties, created, updated, _ = row
    kinds = _kinds(work, table)
    due = in_columns(table, {"label": label, "comment": comment, "type": kinds.get(kind, kind), "updated": updated})
    due |= in_columns(table, {"characteristics": characteristics, "properties": properties})
    for role, value in (("domain", domain), ("range", range_)):
        if column := table.roles.get(role):
            due[column] = clean.canonical([value]) if value is not None and table.is_json(column) else value
    if is_new:
        due |= in_columns(table, {"ontology": ontology_id, "iri": iri, "created": created})
    set_ = set(clean.json_of(characteristics) or ())
    flags = {column: int(name in set_) for column, name in CHARACTERISTICS.items() if column in table.names}
    held = set_ if "characteristics" in table.roles else {CHARACTERISTICS[column] for column in flags}
    for role, value in (("comment", comment), ("label", label), ("domain", domain), ("range", range_)):
        if value is not None and role not in table.roles:
            work.done.lose(f"{role}s of properties")
    work.done.lose("characteristics of properties", len(set_ - held))
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


def axiom_values(table: OldTable, row: Row) -> dict[str, Any]:
    """Write an axiom; a property that has no column of its own goes into the annotations."""
    ontology_id, axiom_type, subject, property_iri, target, annotations, is_inferred, created = row
    if property_iri is not None and "property" not in table.roles:
        annotations = clean.canonical(
            {"property_iri": property_iri} | ({"annotations": annotations} if annotations else {})
        )
    said = {"type": axiom_type, "subject": subject, "object": target, "property": property_iri}
    more = {"ontology": ontology_id, "annotations": annotations or None, "inferred": is_inferred, "created": created}
    return in_columns(table, said | more)


def in_columns(table: OldTable, values: Mapping[str, Any]) -> dict[str, Any]:
    """Give values by what they mean to the columns that mean it."""
    return {table.roles[role]: value for role, value in values.items() if role in table.roles}


def _scalar(value: Any) -> Any:  # noqa: ANN401 - whatever JSON holds
    return clean.canonical(value) if isinstance(value, list | dict) else value
