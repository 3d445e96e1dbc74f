"""Contexts of JSON-LD files: what a file names is never fetched, what is known is bundled here."""

from __future__ import annotations

import re
from typing import Any

import orjson

from visionflow_daemon.errors import PageError
from visionflow_daemon.formats.iri import shorten
from visionflow_daemon.formats.jsonld_page import RELATION_NAMESPACE, RENAMED_RELATIONS
from visionflow_daemon.model import DEFAULT_PREFIXES

PAGES = re.compile(r"https?://(?:www\.)?narrativegoldmine\.com/(?:context|ns)/[\w./-]*\Z")
"""The names under which JSON-LD pages know their context."""

BUNDLED: dict[str, Any] = {
    **{prefix: {"@id": namespace, "@prefix": True} for prefix, namespace in DEFAULT_PREFIXES.items()},
    "@vocab": RELATION_NAMESPACE,
    "Class": "owl:Class",
    "OntologyClass": "owl:Class",
    "label": "rdfs:label",
    "definition": "rdfs:comment",
    "subClassOf": {"@id": "rdfs:subClassOf", "@type": "@id"},
    **{key: {"@id": property_iri, "@type": "@id"} for key, property_iri in RENAMED_RELATIONS.items()},
    "relations": "@nest",
}
"""What the pages' context says of the keys that hold ontology facts."""


def closed(text: str) -> str:
    """Replace every context that a file names by a bundled one. Raises PageError for bad JSON and unknown contexts."""
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise PageError(f"bad JSON: {error.msg}", error.lineno) from None
    return orjson.dumps(_closed(document)).decode()


def _closed(value: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, list):
        return [_closed(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "@import" in value:
        raise PageError("an @import of a remote context is never followed: write its terms into the file")
    return {key: _context(each) if key == "@context" else _closed(each) for key, each in value.items()}


def _context(value: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, list):
        return [_context(item) for item in value]
    if not isinstance(value, str):
        return _closed(value)
    if PAGES.match(value):
        return BUNDLED
    raise PageError(f"the remote context {shorten(value)!r} is never fetched: write its terms into the file")
