"""Outlines of `key:: value` lines: properties, relations to wikilinked pages, and fences of axioms."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from visionflow_daemon.formats import functional, iri, markdown
from visionflow_daemon.formats.builder import PageBuilder
from visionflow_daemon.formats.expression import render
from visionflow_daemon.formats.statements import is_axioms
from visionflow_daemon.model import Link, NameRank, name_key

AXIOM_TAGS = frozenset({"clojure", "owl", ""})
PARENT_KEYS = frozenset({"is-subclass-of", "subclass-of"})
EDITOR_KEYS = frozenset({"id", "collapsed"})
"""What Logseq keeps about the look of a block; it says nothing of the class."""
TEXT_KEYS = frozenset({"definition", "scope-note", "preferred-term", "alias", "alt-terms"})
"""Keys whose values are text even where it holds links."""
TARGET = re.compile(markdown.WIKILINK.pattern + r"(?:[ \t]+via[ \t]+(?P<via>[\w-]{1,100}))?")


@dataclass(frozen=True, slots=True)
class Line:
    """One line outside fences, without comments: its number from 1, its indentation in columns, its text."""

    number: int
    indent: int
    text: str

    @property
    def is_bullet(self) -> bool:
        """Whether the line begins a block of the outline."""
        return self.text[:2] in {"- ", "* ", "+ "} or self.text in {"-", "*", "+"}

    @property
    def content(self) -> str:
        """The text without its bullet."""
        return self.text[1:].lstrip() if self.is_bullet else self.text

    @property
    def is_heading(self) -> bool:
        """Whether the line is a heading, with a bullet or without."""
        return self.content.startswith("#")


@dataclass(frozen=True, slots=True)
class Said:
    """One `key:: value` of an outline, as written but for comments."""

    key: str
    value: str
    line: int

    @property
    def name(self) -> str:
        """The key as it is compared."""
        return self.key.lower()


def lines(text: str) -> Iterator[Line]:
    """Give the lines of a page that are neither blank, nor comments, nor part of a fence."""
    written = markdown.outside_fences(text)
    for number, line in _without_comments(written) if "<!--" in text else written:
        if stripped := line.strip():
            margin = line[: -len(line.lstrip())]
            yield Line(number, len(margin.expandtabs(4)), stripped)


def _without_comments(written: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Take the comments off numbered lines, those of several lines, too."""
    in_comment = False
    for number, whole in written:
        line = whole
        if in_comment:
            _, ended, line = line.partition(markdown.COMMENT_ENDS)
            in_comment = not ended
        if in_comment:
            continue
        before, opening, _ = markdown.without_comments(line).partition(markdown.COMMENT_BEGINS)
        in_comment = bool(opening)
        yield number, before


def properties(found: Iterable[Line]) -> Iterator[Said]:
    """Give the properties among some lines, on bullets and on the lines that continue them."""
    for line in found:
        if "::" in line.text and (match := markdown.PROPERTY.match(line.text)):
            yield Said(match["key"], markdown.clean(match["value"]), line.number)


def namespace_for(name: str, class_iri: str, page: PageBuilder) -> str:
    """Give the namespace in which a page mints names: that of its class's prefix, as written, or of its IRI."""
    prefix, colon, _ = name.partition(":")
    namespace = page.reading.prefixes.get(prefix) if colon else None
    return namespace if namespace and class_iri.startswith(namespace) else iri.namespace_of(class_iri)


def is_relation(said: Said, page: PageBuilder) -> bool:
    """Tell whether a property relates its class to the pages that its value links to."""
    return (
        "[[" in said.value
        and said.name not in TEXT_KEYS
        and said.name not in page.reading.not_relations
        and markdown.WIKILINK.search(said.value) is not None
    )


def add_relations(page: PageBuilder, said: Said, class_iri: str, namespace: str) -> None:
    """Keep what one property says of its class: a parent or a relation for each page that it links to."""
    relation = _property_iri(said.key, namespace, page)
    if why := iri.problem(relation, page.reading.limits):
        page.warn(f"{said.key} left out: {why}", said.line)
        return
    for match in TARGET.finditer(said.value):
        name = match[1].partition("|")[0].strip()
        if not name_key(name):
            continue
        local = iri.local_name(name)
        minted = namespace + local if local else None
        if minted and iri.problem(minted, page.reading.limits):
            minted = None
        via = match["via"]
        annotations = render(("Annotation", f"<{namespace}via>", f'"{via}"')) if via else ""
        if said.name in PARENT_KEYS:
            page.add_link(Link("SubClassOf", class_iri, name_key(name), minted, None, annotations))
        else:
            page.add_link(Link("ObjectPropertyAssertion", class_iri, name_key(name), minted, relation, annotations))


def as_written(found: Iterable[Said]) -> dict[str, str | list[str]]:
    """Gather properties as they were written; a key that comes several times has a list."""
    values: dict[str, list[str]] = {}
    for said in found:
        if said.value and said.name not in EDITOR_KEYS:
            values.setdefault(said.key, []).append(said.value)
    return {key: each[0] if len(each) == 1 else each for key, each in values.items()}


def add_axioms(page: PageBuilder, text: str, namespace: str | None) -> None:
    """Read a page's fences of axioms; a fence that holds a query or anything else is left alone."""
    for fence in markdown.fences(text):
        if fence.tag in AXIOM_TAGS and is_axioms(fence.body, fence.tag):
            if not fence.is_closed:
                page.warn("this fence is never closed: read to the end of the page", fence.line - 1)
            functional.read(page, fence.body, fence.line, namespace)


def add_page(page: PageBuilder, text: str) -> None:
    """Keep what a page says of itself before its first bullet, and the pages that it links to."""
    said = markdown.page_properties(text)
    page.is_public = page.is_public or markdown.is_true(said.get("public"))
    for alias in markdown.aliases(said.get("alias")):
        page.add_name(alias, NameRank.ALIAS)
    page.add_outbound(markdown.wikilinks(text))


def unquoted(value: str) -> str:
    """Take one pair of quotation marks off a text that stands in them."""
    for opening, closing in ('""', "''", "“”"):
        if len(value) > 1 and value.startswith(opening) and value.endswith(closing):
            return value[1:-1].strip()
    return value


def _property_iri(key: str, namespace: str, page: PageBuilder) -> str:
    prefix, colon, local = key.partition(":")
    known = page.reading.prefixes.get(prefix) if colon else None
    return known + iri.camel_case(local) if known else namespace + iri.camel_case(key.replace(":", "-"))
