"""Gathers what a file says into a Page: each fact once, checked, in a canonical order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from visionflow_daemon.errors import PageError
from visionflow_daemon.formats import expression, iri
from visionflow_daemon.formats.blank_nodes import renamed, scoped
from visionflow_daemon.formats.description import axiom_order, described
from visionflow_daemon.formats.expression import Stated
from visionflow_daemon.model import (
    Axiom,
    ClassFact,
    Link,
    NameRank,
    Page,
    PageName,
    PageWarning,
    Reading,
    harmless,
    name_key,
)

ODD = re.compile(r"-0\.0|\de\d")
"""May be a number that PostgreSQL's JSONB writes in another way."""

WITH_POWER, LOWEST, HIGHEST = 1e16, -(2.0**63), 2.0**64
"""From where on we write whole numbers with a power of ten, and the bounds of those that are read as whole numbers."""

MAX_WARNINGS = 100


@dataclass(slots=True)
class PageBuilder:
    """Collects one file's facts. Classes keep the order in which they come; all else is sorted at the end."""

    format: str
    reading: Reading
    is_public: bool = False
    _classes: dict[str, ClassFact] = field(default_factory=dict)
    _axioms: dict[Axiom, None] = field(default_factory=dict)
    _stated: list[Stated] = field(default_factory=list)
    _documents: int = 0
    _has_blank_nodes: bool = False
    _links: dict[Link, None] = field(default_factory=dict)
    _names: dict[str, NameRank] = field(default_factory=dict)
    _outbound: dict[str, None] = field(default_factory=dict)
    _warnings: list[PageWarning] = field(default_factory=list)
    _unshown_warnings: int = 0
    _valid: set[str] = field(default_factory=set)

    def add_class(
        self,
        class_iri: str,
        label: str | None = None,
        comment: str | None = None,
        properties: Mapping[str, Any] | None = None,
        line: int | None = None,
    ) -> None:
        """Declare a class. Said twice in one file, what comes first wins. Raises PageError for an invalid IRI."""
        if why := self._problem(class_iri):
            raise PageError(f"class with {why}", line)
        fact = ClassFact(class_iri, _text(label), _text(comment), canonical_json(properties))
        known = self._classes.get(class_iri)
        if known is not None:
            fact = ClassFact(
                class_iri,
                known.label if known.label is not None else fact.label,
                known.comment if known.comment is not None else fact.comment,
                known.properties if known.properties != "{}" else fact.properties,
            )
        self._classes[class_iri] = fact

    def add_stated(self, found: Sequence[Stated]) -> None:
        """Keep the statements of one document, to which alone its blank nodes' labels belong."""
        self._documents += 1
        apart = scoped(found, self._documents)
        self._has_blank_nodes |= apart is not found
        self._stated += apart

    def add_relation(self, subject: str, property_iri: str, target: str, line: int | None = None) -> None:
        """Keep a relation of a class to a named thing; an invalid IRI costs it, with a warning."""
        if why := self._problem(property_iri) or self._problem(target):
            self.warn(f"relation left out: {why}", line)
        else:
            self._keep(Axiom("ObjectPropertyAssertion", subject, target, property_iri, "ObjectProperty"), line)

    def add_parent(self, subject: str, parent: str, line: int | None = None) -> None:
        """Keep a class's named parent; an invalid IRI costs it, with a warning."""
        if why := self._problem(parent):
            self.warn(f"parent left out: {why}", line)
        else:
            self._keep(Axiom("SubClassOf", subject, parent, is_parent=True), line)

    def add_link(self, link: Link) -> None:
        """Keep a relation whose object is a wikilink."""
        self._links[link] = None

    def add_name(self, name: str, rank: NameRank) -> None:
        """Note a name that the page goes by; blank names are none."""
        if key := name_key(name.replace("\0", "")):
            self._names[key] = min(rank, self._names.get(key, rank))

    def add_outbound(self, names: Iterable[str]) -> None:
        """Note the pages that this page's text links to, in the order of the text."""
        self._outbound.update(dict.fromkeys(name.replace("\0", "") for name in names))

    def warn(self, message: str, line: int | None = None) -> None:
        """Report something that was not read as written; no page can flood the table, or command a terminal."""
        if len(self._warnings) < MAX_WARNINGS:
            self._warnings.append(PageWarning(harmless(message), line))
        else:
            self._unshown_warnings += 1

    def build(self) -> Page:
        """Give the page. Labels and comments said by annotation axioms go to what this file declares."""
        self._keep_stated()
        classes, properties = described(self._classes, self._axioms)
        warnings = list(self._warnings)
        if self._unshown_warnings:
            warnings.append(PageWarning(f"and {self._unshown_warnings} more warnings like these"))
        return Page(
            format=self.format,
            classes=classes,
            properties=properties,
            axioms=tuple(sorted(self._axioms, key=axiom_order)),
            links=tuple(sorted(self._links, key=_link_order)),
            names=tuple(PageName(key, rank) for key, rank in sorted(self._names.items())) if classes else (),
            outbound_links=tuple(self._outbound),
            warnings=tuple(warnings),
            is_public=self.is_public,
        )

    def _keep_stated(self) -> None:
        """Make the axioms of the statements; one with an invalid IRI costs itself alone, with a warning."""
        for stated in renamed(self._stated) if self._has_blank_nodes else self._stated:
            whole = ("", stated.tree, *stated.annotations)
            named = (atom[1:-1] for atom in expression.atoms(whole) if expression.is_named(atom))
            if why := next(filter(None, map(self._problem, named)), None):
                self.warn(f"{stated.tree[0]} left out: {why}", stated.line)
                continue
            annotations = sorted({expression.render(expression.canonical(each)) for each in stated.annotations})
            self._keep(expression.axiom(stated.tree, " ".join(annotations)), stated.line)
        self._stated.clear()

    def _keep(self, axiom: Axiom, line: int | None) -> None:
        if len(self._axioms) >= self.reading.limits.statements:
            raise PageError(f"more than {self.reading.limits.statements} statements in one file", line)
        self._axioms[_without_nul(axiom)] = None

    def _problem(self, text: str) -> str | None:
        """Say what is wrong with an IRI; what was found right is not looked at again."""
        if text in self._valid:
            return None
        why = iri.problem(text, self.reading.limits)
        if why is None:
            self._valid.add(text)
        return why


def canonical_json(value: Mapping[str, Any] | None) -> str:
    """Write JSON in one canonical form: keys sorted, no blanks, NUL replaced (no PostgreSQL text can hold it)."""
    if not value:
        return "{}"
    return canonical_scalar(value).replace("\\u0000", "\\ufffd")


def _text(text: object) -> str | None:
    if text is None:
        return None
    plain = text if isinstance(text, str) else canonical_scalar(text)
    return plain.replace("\0", "\ufffd")


def canonical_scalar(value: object) -> str:
    """Write any JSON value as text. Raises PageError for what nests deeper than orjson writes.

    Numbers are written as they come back from a database that keeps JSON as values, not as text.
    """
    try:
        text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
        return orjson.dumps(_plain(value), option=orjson.OPT_SORT_KEYS).decode() if ODD.search(text) else text
    except orjson.JSONEncodeError as error:
        raise PageError(f"JSON that can't be kept: {error}") from None


def _plain(value: object) -> object:
    """Give a value whose numbers are written in one way: no zero below zero, no power in whole numbers of 64 bits."""
    if isinstance(value, float):
        is_whole = abs(value) >= WITH_POWER and LOWEST <= value < HIGHEST
        return int(value) if is_whole else value or 0.0
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _without_nul(axiom: Axiom) -> Axiom:
    if "\0" in axiom.object or "\0" in axiom.annotations or "\0" in axiom.subject:
        subject, target, annotations = (
            text.replace("\0", "\ufffd") for text in (axiom.subject, axiom.object, axiom.annotations)
        )
        return replace(axiom, subject=subject, object=target, annotations=annotations)
    return axiom


def _link_order(link: Link) -> tuple[str, ...]:
    return (link.axiom_type, link.subject, link.property_iri or "", link.name, link.annotations, link.minted_iri or "")
