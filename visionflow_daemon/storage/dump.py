"""The canonical dump: all that the database says of an ontology, sorted, without times and surrogate keys.

Two databases fed the same map of paths to saved blobs give the same bytes, whatever came before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from visionflow_daemon.model import display_path
from visionflow_daemon.storage.database import Database

OF_FILE = "JOIN source_files f ON f.ontology_id = t.ontology_id AND f.file_id = t.file_id WHERE t.ontology_id = ?"

SECTIONS: dict[str, str] = {
    "file": f"SELECT f.path, f.blob_saved, t.format, t.is_public, t.outbound_links FROM pages t {OF_FILE} ORDER BY 1",
    "page_name": f"SELECT f.path, t.name_key, t.name_rank, t.class_iri FROM page_names t {OF_FILE} ORDER BY 1, 2",
    "page_warning": f"SELECT f.path, t.ordinal, t.line, t.message FROM page_warnings t {OF_FILE} ORDER BY 1, 2",
    "class_fact": (
        f"SELECT f.path, t.class_iri, t.label, t.comment, t.properties FROM class_facts t {OF_FILE} ORDER BY 1, 2"
    ),
    "property_fact": (
        "SELECT f.path, t.property_iri, t.property_type, t.label, t.comment, t.domain, t.range, t.characteristics"
        f" FROM property_facts t {OF_FILE} ORDER BY 1, 2"
    ),
    "link": (
        "SELECT f.path, t.ordinal, t.axiom_type, t.subject, t.property_iri, t.annotations, t.name_key, t.minted_iri,"
        f" t.target_iri FROM links t {OF_FILE} ORDER BY 1, 2"
    ),
    "axiom": (
        "SELECT f.path, t.axiom_type, t.subject, COALESCE(t.property_iri, ''), t.object, t.annotations,"
        f" t.property_type, t.is_stated, t.is_parent FROM owl_axioms t {OF_FILE} ORDER BY 1, 2, 3, 4, 5, 6"
    ),
    "class": (
        "SELECT t.class_iri, t.is_declared, t.label, t.comment, t.file_sha1, t.is_public, t.properties, f.path"
        " FROM owl_classes t LEFT JOIN source_files f ON f.ontology_id = t.ontology_id AND f.file_id = t.file_id"
        " WHERE t.ontology_id = ? ORDER BY 1"
    ),
    "class_parent": "SELECT class_iri, parent_iri FROM owl_class_hierarchy WHERE ontology_id = ? ORDER BY 1, 2",
    "property": (
        "SELECT t.property_iri, t.is_declared, t.property_type, t.label, t.comment, t.domain, t.range,"
        " t.characteristics, f.path FROM owl_properties t LEFT JOIN source_files f"
        " ON f.ontology_id = t.ontology_id AND f.file_id = t.file_id WHERE t.ontology_id = ? ORDER BY 1"
    ),
}


def dump(database: Database, ontology_id: str) -> Iterator[bytes]:
    """Give the dump line by line: a JSON array each, its first element the kind of row."""
    with database.snapshot():
        for kind, query in SECTIONS.items():
            for row in database.run(query, (ontology_id,)):
                yield orjson.dumps([kind, *(_shown(value) for value in row)]) + b"\n"


def _shown(value: Any) -> Any:  # noqa: ANN401 - whatever a column holds
    return display_path(bytes(value)) if isinstance(value, bytes | memoryview) else value
