"""Contexts of JSON-LD files: what a file names is never fetched, what is known is bundled here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from visionflow_daemon.errors import PageError
from visionflow_daemon.formats.iri import shorten
from visionflow_daemon.formats.jsonld_page import RELATION_NAMESPACE, RENAMED_RELATIONS
from visionflow_daemon.formats.prefixes import too_long
from visionflow_daemon.formats.text import is_deeper
from visionflow_daemon.model import DEFAULT_PREFIXES, Limits

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


LONGEST_WAY = 10
"""Terms that a term may lead through before its IRI is whole: rdflib goes that way anew for each."""
TERMS_COPIED = 10_000_000
"""Terms times contexts of one file: rdflib copies all terms at each context within."""
TERMS_LOADED = 200_000
"""Terms of all contexts together, those bundled among them."""


def closed(text: str, limits: Limits) -> str:
    """Replace every context that a file names by a bundled one.

    Raises PageError for bad JSON, unknown contexts, and those whose terms would expand without bounds.
    """
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise PageError(f"bad JSON: {error.msg}", error.lineno) from None
    if is_deeper(document, limits.depth):
        raise PageError(f"nested deeper than {limits.depth} levels")
    document = _shared(document)
    contexts: list[dict[str, Any]] = []
    whole = _closed(document, contexts)
    _refuse_expansion(contexts, limits)
    return orjson.dumps(whole).decode()


def _shared(document: Any) -> Any:  # noqa: ANN401 - any JSON
    """Give the blocks of a list that all name one context this context together: each would load it anew."""
    if not isinstance(document, list) or not document or not all(isinstance(block, dict) for block in document):
        return document
    name = document[0].get("@context")
    if not isinstance(name, str) or any(block.get("@context") != name for block in document):
        return document
    blocks = [{key: value for key, value in block.items() if key != "@context"} for block in document]
    return {"@context": name, "@graph": blocks}


def _refuse_expansion(contexts: list[dict[str, Any]], limits: Limits) -> None:
    """Refuse contexts whose terms are too many, or stand for too much: rdflib would copy and expand without bounds."""
    meant: dict[str, set[str]] = {}
    loaded = 0
    for context in contexts:
        loaded += len(context)
        for term, definition in context.items():
            iri = definition.get("@id") if isinstance(definition, dict) else definition
            if not isinstance(iri, str):
                continue
            if len(iri) > limits.iri_bytes:
                raise too_long(term, limits)
            meant.setdefault(term, set()).add(iri)
    if loaded > TERMS_LOADED or len(meant) * len(contexts) > TERMS_COPIED:
        raise PageError(f"its {len(contexts):,} contexts with {len(meant):,} terms are too many")
    ways: dict[str, int] = {}
    for term in meant:
        _measure(term, meant, ways)


def _measure(term: str, meant: Mapping[str, set[str]], ways: dict[str, int], above: int = 0) -> int:
    """Count the terms that a term leads through. Raises PageError for too many, and so for a circle."""
    if above > LONGEST_WAY:
        raise PageError(
            f"the context's term {shorten(term)!r} leads through more than {LONGEST_WAY} others or in a circle"
        )
    if term not in ways:
        way = 0
        for iri in meant[term]:
            name, colon, local = iri.partition(":")
            if name in meant and iri not in {term, f"{term}:"} and not (colon and local.startswith("//")):
                way = max(way, 1 + _measure(name, meant, ways, above + 1))
        ways[term] = way
    if above + ways[term] > LONGEST_WAY:
        return _measure(term, meant, ways, LONGEST_WAY + 1)
    return ways[term]


def _closed(value: Any, contexts: list[dict[str, Any]]) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, list):
        return [_closed(item, contexts) for item in value]
    if not isinstance(value, dict):
        return value
    if "@import" in value:
        raise PageError("an @import of a remote context is never followed: write its terms into the file")
    return {
        key: _context(each, contexts) if key == "@context" else _closed(each, contexts) for key, each in value.items()
    }


def _context(value: Any, contexts: list[dict[str, Any]]) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, list):
        return [_context(item, contexts) for item in value]
    if isinstance(value, dict):
        contexts.append(value)
    if not isinstance(value, str):
        return _closed(value, contexts)
    if PAGES.match(value):
        contexts.append(BUNDLED)
        return BUNDLED
    raise PageError(f"the remote context {shorten(value)!r} is never fetched: write its terms into the file")
