"""The canonical dump: all that the database says of an ontology, sorted, without times and surrogate keys.

Two databases fed the same map of paths to saved blobs give the same bytes, whatever came before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from visionflow_daemon.model import display_path, escaped_json
from visionflow_daemon.storage.database import Database, Row
from visionflow_daemon.storage.legacy import remainder

OF_FILE = (
    "JOIN source_files f ON f.ontology_id = t.ontology_id AND f.file_id = t.file_id"
    " WHERE t.ontology_id = ? AND t.file_id > 0"
)
OF_LEGACY = "t WHERE t.ontology_id = ? AND t.file_id = 0"


@dataclass(frozen=True, slots=True)
class Section:
    """One kind of row: how it is asked for, and how many of its first columns tell one row from another."""

    kind: str
    query: str
    key_size: int

    @property
    def is_of_files(self) -> bool:
        """Whether its rows belong to files, whose path comes first; the others are derived from them."""
        return self.query.startswith("SELECT f.path,")


SECTIONS = (
    Section(
        "file",
        "SELECT f.path, f.blob_saved, f.format, f.is_public, f.outbound_links FROM source_files f"
        " WHERE f.ontology_id = ? AND f.file_id > 0 AND f.format IS NOT NULL ORDER BY 1",
        1,
    ),
    Section(
        "page_name",
        f"SELECT f.path, t.name_key, t.name_rank, t.class_iri FROM page_names t {OF_FILE} ORDER BY 1, 2",
        2,
    ),
    Section(
        "page_warning",
        f"SELECT f.path, t.ordinal, t.line, t.message FROM page_warnings t {OF_FILE} ORDER BY 1, 2",
        2,
    ),
    Section(
        "class_fact",
        "SELECT f.path, t.class_iri, t.is_bare, t.path, t.label, t.comment, t.properties"
        f" FROM class_facts t {OF_FILE} ORDER BY 1, 2",
        2,
    ),
    Section(
        "property_fact",
        "SELECT f.path, t.property_iri, t.is_bare, t.path, t.property_type, t.label, t.comment, t.domain, t.range,"
        f" t.characteristics FROM property_facts t {OF_FILE} ORDER BY 1, 2",
        2,
    ),
    Section(
        "link",
        "SELECT f.path, t.ordinal, t.axiom_type, t.subject, t.property_iri, t.annotations, t.name_key, t.minted_iri,"
        f" t.target_iri FROM links t {OF_FILE} ORDER BY 1, 2",
        2,
    ),
    Section(
        "axiom",
        "SELECT f.path, t.axiom_type, t.subject, COALESCE(t.property_iri, ''), t.object, t.annotations,"
        f" t.property_type, t.is_stated, t.is_parent FROM owl_axioms t {OF_FILE} ORDER BY 1, 2, 3, 4, 5, 6",
        6,
    ),
    Section(
        "class",
        "SELECT t.class_iri, t.is_declared, t.label, t.comment, t.file_sha1, t.is_public, t.properties, f.path"
        " FROM owl_classes t LEFT JOIN source_files f ON f.ontology_id = t.ontology_id AND f.file_id = t.file_id"
        " WHERE t.ontology_id = ? ORDER BY 1",
        1,
    ),
    Section(
        "class_parent",
        "SELECT class_iri, parent_iri FROM owl_class_hierarchy WHERE ontology_id = ? ORDER BY 1, 2",
        2,
    ),
    Section(
        "property_use",
        "SELECT property_iri, property_type, axioms FROM property_uses WHERE ontology_id = ? ORDER BY 1, 2",
        2,
    ),
    Section(
        "property",
        "SELECT t.property_iri, t.is_declared, t.property_type, t.label, t.comment, t.domain, t.range,"
        " t.characteristics, t.properties, f.path FROM owl_properties t LEFT JOIN source_files f"
        " ON f.ontology_id = t.ontology_id AND f.file_id = t.file_id WHERE t.ontology_id = ? ORDER BY 1",
        1,
    ),
    Section(
        "legacy_class_fact",
        f"SELECT t.class_iri, t.is_bare, t.label, t.comment, t.properties FROM class_facts {OF_LEGACY} ORDER BY 1",
        1,
    ),
    Section(
        "legacy_property_fact",
        "SELECT t.property_iri, t.is_bare, t.property_type, t.label, t.comment, t.domain, t.range, t.characteristics,"
        f" t.properties FROM property_facts {OF_LEGACY} ORDER BY 1",
        1,
    ),
    Section(
        "legacy_axiom",
        "SELECT t.axiom_type, t.subject, COALESCE(t.property_iri, ''), t.object, t.annotations, t.property_type,"
        f" t.is_parent FROM owl_axioms {OF_LEGACY} ORDER BY 1, 2, 3, 4, 5",
        5,
    ),
)
"""Facts of an old database that no file has claimed come last, apart from those of files."""


def dump(database: Database, ontology_id: str) -> Iterator[bytes]:
    """Give the dump line by line: a JSON array each, its first element the kind of row."""
    with database.snapshot():
        for section in SECTIONS:
            for row in rows(database, ontology_id, section):
                yield json_line([section.kind, *map(shown, row)])


def json_line(value: Any) -> bytes:  # noqa: ANN401 - whatever JSON takes
    """Write a value as one line of JSON that no terminal obeys."""
    return escaped_json(orjson.dumps(value).decode()).encode() + b"\n"


def rows(database: Database, ontology_id: str, section: Section) -> Iterator[Row]:
    """Give one section's rows, sorted by their key."""
    return map(plain, database.stream(section.query, (ontology_id,)))


def plain(row: Row) -> Row:
    """Give a row as all engines' drivers give it."""
    return tuple(bytes(value) if isinstance(value, memoryview) else value for value in row)


def shown(value: Any) -> Any:  # noqa: ANN401 - whatever a column holds
    """Write a column's value as JSON can: a path as text."""
    if value == remainder.PATH:
        return remainder.NAME
    return display_path(value) if isinstance(value, bytes) else value
