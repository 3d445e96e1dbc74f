"""JSON-LD pages: markdown whose ```json-ld fences hold a Class, and beside it the Page that it stands on.

IRIs are kept as written: publication, not the database, rewrites prefixes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from visionflow_daemon.errors import PageError
from visionflow_daemon.formats import iri, markdown
from visionflow_daemon.formats.builder import PageBuilder
from visionflow_daemon.formats.text import is_deeper
from visionflow_daemon.model import Limits, NameRank, Reading

TAGS = frozenset({"json-ld", "jsonld"})
CLASS_TYPES = frozenset({"Class", "OntologyClass", "Individual"})

RELATION_NAMESPACE = "https://narrativegoldmine.com/ns/v1#"
PARENT_KEYS = frozenset({"subClassOf", "isSubclassOf"})
SAME_AS = "http://www.w3.org/2002/07/owl#sameAs"
RENAMED_RELATIONS = {"partOf": RELATION_NAMESPACE + "isPartOf", "sameAs": SAME_AS}
NOT_PROPERTIES = frozenset({"@context", "@id", "@type", "label", "definition", "subClassOf", "relations", "sameAs"})
NOT_IN_IRI = re.compile(r"[\x00-\x20<>\"{}|\\^`%]")

Block = Mapping[str, Any]


def blocks(text: str, limits: Limits) -> list[tuple[int, Block]]:
    """Read every JSON-LD fence of a page, each with its first line. Raises PageError for one that isn't JSON."""
    return [_block(fence, limits) for fence in markdown.fences(text) if fence.tag in TAGS]


def is_class(block: Block) -> bool:
    """Tell whether a block describes a class."""
    kind = block.get("@type")
    return (
        kind in CLASS_TYPES if isinstance(kind, str) else isinstance(kind, list) and bool(CLASS_TYPES & _strings(kind))
    )


def read(text: str, found: list[tuple[int, Block]], reading: Reading) -> PageBuilder:
    """Read a page from its blocks, at least one of which `is_class`."""
    page = PageBuilder("jsonld-page", reading)
    for alias in markdown.aliases(markdown.page_properties(text).get("alias")):
        page.add_name(alias, NameRank.ALIAS)
    for line, block in found:
        if is_class(block):
            _read_class(page, block, line)
        elif block.get("@type") == "Page":
            _read_page(page, block)
    return page


def _block(fence: markdown.Fence, limits: Limits) -> tuple[int, Block]:
    if not fence.is_closed:
        raise PageError("this json-ld fence is never closed", fence.line - 1)
    try:
        block = orjson.loads(fence.body)
    except orjson.JSONDecodeError as error:
        raise PageError(f"bad JSON: {error.msg}", fence.line + error.lineno - 1) from None
    if fence.body.count("[") + fence.body.count("{") > limits.depth and is_deeper(block, limits.depth):
        raise PageError(f"nested deeper than {limits.depth} levels", fence.line)
    if not isinstance(block, dict):
        raise PageError(f"a json-ld fence must hold an object, not {type(block).__name__}", fence.line)
    return fence.line, block


def _read_page(page: PageBuilder, block: Block) -> None:
    page.is_public = block.get("vc:public") is True
    if isinstance(title := block.get("title"), str):
        page.add_name(title, NameRank.ALIAS)
    for item in _items(block.get("vc:outboundWikilinks")):
        label = item if isinstance(item, str) else _label(item)
        if label:
            page.add_outbound([label])


def _read_class(page: PageBuilder, block: Block, line: int) -> None:
    class_iri = block.get("@id")
    if not isinstance(class_iri, str):
        raise PageError("a Class block without an @id", line)
    label = block.get("label", block.get("vc:label"))
    relations = block.get("relations")
    flat = {key: value for key, value in block.items() if _is_flat_relation(key, value)}
    kept = {key: value for key, value in block.items() if key not in NOT_PROPERTIES and key not in flat}
    page.add_class(class_iri, label, block.get("definition"), kept, line)
    if isinstance(label, str):
        page.add_name(label, NameRank.PREFERRED_TERM)
    for parent in _targets(page, block.get("subClassOf"), "subClassOf", line):
        page.add_parent(class_iri, parent, line)
    for target in _targets(page, block.get("sameAs"), "sameAs", line):
        page.add_relation(class_iri, SAME_AS, target, line)
    if relations is not None and not isinstance(relations, dict):
        page.warn(f"relations left out: an object is due, not {type(relations).__name__}", line)
        relations = {}
    for key, value in [*(relations or {}).items(), *((key[3:], value) for key, value in flat.items())]:
        property_iri = None if key in PARENT_KEYS else _relation_iri(key, page.reading)
        for target in _targets(page, value, key, line):
            if property_iri is None:
                page.add_parent(class_iri, target, line)
            else:
                page.add_relation(class_iri, property_iri, target, line)


def _is_flat_relation(key: str, value: object) -> bool:
    """Tell a relation of a v1 block, a `vc:` key of the class itself whose every item names a target."""
    if not key.startswith("vc:") or isinstance(value, str):
        return False
    items = _items(value)
    return bool(items) and all(isinstance(item, dict) and "@id" in item for item in items)


def _targets(page: PageBuilder, value: object, key: str, line: int) -> Iterator[str]:
    for item in _items(value):
        target = item.get("@id") if isinstance(item, dict) else item
        if isinstance(target, str):
            yield target
        else:
            page.warn(f"{key} left out: an item without an @id", line)


def _relation_iri(key: str, reading: Reading) -> str:
    """Give a relation's property IRI: its key in the relations' namespace, unless it brings a known prefix."""
    if key in RENAMED_RELATIONS:
        return RENAMED_RELATIONS[key]
    if ":" in key and (known := iri.expand(key, reading.prefixes)):
        return known
    return RELATION_NAMESPACE + NOT_IN_IRI.sub(lambda match: f"%{ord(match[0]):02X}", key)


def _items(value: object) -> list[Any]:
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def _label(item: object) -> str | None:
    label = (item.get("label") or item.get("vc:label")) if isinstance(item, dict) else None
    return label if isinstance(label, str) else None


def _strings(values: list[Any]) -> set[str]:
    return {value for value in values if isinstance(value, str)}
