"""IRI-first pages: flat properties from the first line, which is the class's IRI, then sections of an outline."""

from __future__ import annotations

import re
from collections.abc import Iterable

from visionflow_daemon.errors import PageError
from visionflow_daemon.formats import iri, markdown, outline
from visionflow_daemon.formats.builder import PageBuilder
from visionflow_daemon.formats.outline import Line, Said
from visionflow_daemon.model import NameRank, Reading

IS_CLASS = re.compile(r"^[ \t]*(?:[-*+][ \t]+)?rdf-type::[ \t]+owl:Class[ \t]*$", re.MULTILINE)
DEFINITION = re.compile(r"#{1,6}[ \t]+Definition\b")
IDENTITY, LABEL, COMMENT = "iri", "preferred-term", "definition"


def matches(text: str) -> bool:
    """Tell an IRI-first page by its first line, and a line that says that it is about a class."""
    return text.lstrip().startswith("iri::") and IS_CLASS.search(text) is not None


def read(text: str, reading: Reading) -> PageBuilder:
    """Read a page that `matches`. Raises PageError for a class that has no valid IRI."""
    page = PageBuilder("iri-first", reading)
    lines = list(outline.lines(text))
    found = list(outline.properties(lines))
    first: dict[str, Said] = {}
    for said in found:
        if said.value:
            first.setdefault(said.name, said)
    if IDENTITY not in first:
        raise PageError(f"{IDENTITY}:: is empty", found[0].line)
    identity, label = first[IDENTITY], first.get(LABEL)
    class_iri = iri.expand(identity.value, reading.prefixes)
    if class_iri is None:
        raise PageError(f"{IDENTITY}:: {iri.shorten(identity.value)!r} is no IRI", identity.line)
    relations = [said for said in found if outline.is_relation(said, page)]
    used = {id(said) for said in (identity, label, *relations)}
    comment = _definition(lines)
    if comment is None and COMMENT in first:
        comment = outline.unquoted(first[COMMENT].value)
        used.add(id(first[COMMENT]))
    page.add_class(
        class_iri,
        label.value if label else None,
        comment,
        outline.as_written(said for said in found if id(said) not in used),
        identity.line,
    )
    if label:
        page.add_name(label.value, NameRank.PREFERRED_TERM)
    namespace = outline.namespace_for(identity.value, class_iri, page)
    for said in relations:
        outline.add_relations(page, said, class_iri, namespace)
    outline.add_axioms(page, text, namespace)
    outline.add_page(page, text)
    return page


def _definition(lines: Iterable[Line]) -> str | None:
    """Give the first text under the heading Definition, with the lines that continue it."""
    is_under = False
    text: list[str] = []
    for line in lines:
        if DEFINITION.match(line.content):
            is_under = True
        elif is_under:
            if line.is_heading or (text and line.is_bullet):
                break
            if line.content and markdown.PROPERTY.match(line.text) is None:
                text.append(line.content)
    return " ".join(text) or None
