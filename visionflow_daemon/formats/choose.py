"""Chooses a file's format by its content, and reads it: bytes in, Page out."""

from __future__ import annotations

from hashlib import sha256

import orjson

from visionflow_daemon.errors import PageError
from visionflow_daemon.formats import iri_first, jsonld_page, markdown, ontology_block, owl_text, rdf
from visionflow_daemon.formats.builder import PageBuilder
from visionflow_daemon.formats.text import decode, title_of
from visionflow_daemon.model import NameRank, Page, Reading, harmless

PARSER_VERSION = 3
"""Raise this when the same bytes come to yield other facts: every file is then read anew, once."""


def reading_digest(reading: Reading) -> str:
    """Give the digest of how files are read: where it changes, the same bytes may yield other facts."""
    limits = {name: getattr(reading.limits, name) for name in reading.limits.__slots__}
    rules = [PARSER_VERSION, dict(reading.prefixes), sorted(reading.not_relations), limits]
    return sha256(orjson.dumps(rules, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


def read_page(path: bytes, data: bytes, reading: Reading) -> Page:
    """Read one file.

    Raises PageError for a file that can't be read, and for an ontology file that yields no fact.
    """
    try:
        return _read(path, data, reading)
    except PageError as error:
        raise PageError(harmless(error.reason), error.line) from None
    except RecursionError:
        raise PageError("nested too deeply") from None


def _read(path: bytes, data: bytes, reading: Reading) -> Page:
    suffix = rdf.suffix_of(path)
    limit = reading.limits.rdf_bytes if suffix else reading.limits.page_bytes
    if len(data) > limit:
        raise PageError(f"the file has {len(data):,} bytes, the limit is {limit:,}")
    if suffix:
        builder: PageBuilder | None = rdf.read(data, suffix, reading)
        text = ""
    else:
        text = decode(data)
        builder = _read_markdown(text, reading)
    if builder is None:
        return _plain(text)
    builder.add_name(title_of(path), NameRank.TITLE)
    page = builder.build()
    if not page.has_facts:
        raise PageError(_why_empty(page))
    return page


def _read_markdown(text: str, reading: Reading) -> PageBuilder | None:
    found = jsonld_page.blocks(text, reading.limits)
    if any(jsonld_page.is_class(block) for _, block in found):
        return jsonld_page.read(text, found, reading)
    if ontology_block.matches(text):
        return ontology_block.read(text, reading)
    if iri_first.matches(text):
        return iri_first.read(text, reading)
    if owl_text.matches(text):
        return owl_text.read(text, reading)
    return None


def _plain(text: str) -> Page:
    is_public = markdown.is_true(markdown.page_properties(text).get("public"))
    return Page(
        format="note" if is_public else "plain",
        outbound_links=tuple(dict.fromkeys(markdown.wikilinks(text))),
        is_public=is_public,
        skip_reason="a public note without an ontology" if is_public else "a page without an ontology",
    )


def _why_empty(page: Page) -> str:
    first = f": {page.warnings[0].message}" if page.warnings else ""
    return f"an ontology file ({page.format}) that yields no fact{first}"
