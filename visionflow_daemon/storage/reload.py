"""Reads back what the database holds of one file, for a file whose content is out of reach."""

from __future__ import annotations

import orjson

from visionflow_daemon.model import Axiom, ClassFact, Link, NameRank, Page, PageName, PageWarning, PropertyFact
from visionflow_daemon.storage.database import Database

OF_FILE = "WHERE ontology_id = ? AND file_id = (SELECT file_id FROM source_files WHERE ontology_id = ? AND path = ?)"
PAGE = (
    "SELECT format, is_public, outbound_links FROM source_files"
    " WHERE ontology_id = ? AND path = ? AND format IS NOT NULL"
)
CLASSES = (
    f"SELECT class_iri, label, comment, properties FROM class_facts {OF_FILE}"
    " ORDER BY class_iri <> COALESCE((SELECT MIN(n.class_iri) FROM page_names n"
    " WHERE n.ontology_id = class_facts.ontology_id AND n.file_id = class_facts.file_id), ''), class_iri"
)
PROPERTIES = (
    "SELECT property_iri, property_type, label, comment, domain, range, characteristics FROM property_facts"
    f" {OF_FILE} ORDER BY 1"
)
AXIOMS = (
    "SELECT axiom_type, subject, object, property_iri, property_type, annotations, is_parent FROM owl_axioms"
    f" {OF_FILE} AND is_stated = 1 ORDER BY id"
)
LINKS = (
    f"SELECT axiom_type, subject, name_key, minted_iri, property_iri, annotations FROM links {OF_FILE} ORDER BY ordinal"
)
NAMES = f"SELECT name_key, name_rank FROM page_names {OF_FILE} ORDER BY 1"
WARNINGS = f"SELECT message, line FROM page_warnings {OF_FILE} ORDER BY ordinal"


def page_of(database: Database, ontology_id: str, path: bytes) -> Page | None:
    """Give the page that a file's facts make; None where the database holds none of it."""
    owner = (ontology_id, ontology_id, path)
    page = database.row(PAGE, (ontology_id, path))
    if page is None:
        return None
    return Page(
        format=page[0],
        classes=tuple(ClassFact(*row) for row in database.rows(CLASSES, owner)),
        properties=tuple(PropertyFact(*row) for row in database.rows(PROPERTIES, owner)),
        axioms=tuple(Axiom(*row) for row in database.rows(AXIOMS, owner)),
        links=tuple(Link(*row) for row in database.rows(LINKS, owner)),
        names=tuple(PageName(key, NameRank(rank)) for key, rank in database.rows(NAMES, owner)),
        outbound_links=tuple(orjson.loads(page[2])),
        warnings=tuple(PageWarning(*row) for row in database.rows(WARNINGS, owner)),
        is_public=bool(page[1]),
    )
