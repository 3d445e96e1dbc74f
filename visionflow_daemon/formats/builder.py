"""Gathers what a file says into a Page: each fact once, checked, in a canonical order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from visionflow_daemon.errors import PageError
from visionflow_daemon.formats import expression, iri
from visionflow_daemon.model import (
    Axiom,
    ClassFact,
    Link,
    NameRank,
    Page,
    PageName,
    PageWarning,
    PropertyFact,
    Reading,
    name_key,
)

RDFS_LABEL = "http://www.w3.org/2000/01/rdf-schema#label"
RDFS_COMMENT = "http://www.w3.org/2000/01/rdf-schema#comment"
PROPERTY_TYPES = ("ObjectProperty", "DataProperty", "AnnotationProperty")
CHARACTERISTIC = re.compile(r"(.*)(ObjectProperty|DataProperty)\Z")
LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
MAX_WARNINGS = 100


@dataclass(slots=True)
class PageBuilder:
    """Collects one file's facts. Classes keep the order in which they come; all else is sorted at the end."""

    format: str
    reading: Reading
    is_public: bool = False
    _classes: dict[str, ClassFact] = field(default_factory=dict)
    _properties: dict[str, dict[str, Any]] = field(default_factory=dict)
    _axioms: dict[Axiom, None] = field(default_factory=dict)
    _links: dict[Link, None] = field(default_factory=dict)
    _names: dict[str, NameRank] = field(default_factory=dict)
    _outbound: dict[str, None] = field(default_factory=dict)
    _warnings: list[PageWarning] = field(default_factory=list)
    _unshown_warnings: int = 0

    def add_class(
        self,
        class_iri: str,
        label: str | None = None,
        comment: str | None = None,
        properties: Mapping[str, Any] | None = None,
        line: int | None = None,
    ) -> None:
        """Declare a class. Said twice in one file, what comes first wins. Raises PageError for an invalid IRI."""
        if why := iri.problem(class_iri, self.reading.limits):
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

    def add_axiom(self, axiom: Axiom, line: int | None = None) -> None:
        """Keep an axiom; one whose IRIs are invalid costs itself alone, with a warning."""
        named = (axiom.subject, axiom.property_iri) if not axiom.is_parent else (axiom.subject, axiom.object)
        for text in named:
            if text is not None and _is_named(text) and (why := iri.problem(text, self.reading.limits)):
                self.warn(f"{axiom.axiom_type} left out: {why}", line)
                return
        if len(self._axioms) >= self.reading.limits.statements:
            raise PageError(f"more than {self.reading.limits.statements} statements in one file", line)
        self._axioms[_without_nul(axiom)] = None

    def add_relation(self, subject: str, property_iri: str, target: str, line: int | None = None) -> None:
        """Keep a relation between two named things; an invalid IRI costs it, with a warning."""
        for text in (property_iri, target):
            if why := iri.problem(text, self.reading.limits):
                self.warn(f"relation left out: {why}", line)
                return
        self.add_axiom(Axiom("ObjectPropertyAssertion", subject, target, property_iri, "ObjectProperty"), line)

    def add_parent(self, subject: str, parent: str, line: int | None = None) -> None:
        """Keep a named parent; an invalid IRI costs it, with a warning."""
        self.add_axiom(Axiom("SubClassOf", subject, parent, is_parent=True), line)

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
        """Report something that was not read as written; a hostile page can't flood the table of warnings."""
        if len(self._warnings) < MAX_WARNINGS:
            self._warnings.append(PageWarning(message.replace("\0", "\ufffd"), line))
        else:
            self._unshown_warnings += 1

    def build(self) -> Page:
        """Give the page. Labels and comments said by annotation axioms go to what this file declares."""
        self._describe()
        warnings = list(self._warnings)
        if self._unshown_warnings:
            warnings.append(PageWarning(f"and {self._unshown_warnings} more warnings like these"))
        return Page(
            format=self.format,
            classes=tuple(self._classes.values()),
            properties=tuple(_property(key, said) for key, said in sorted(self._properties.items())),
            axioms=tuple(sorted(self._axioms, key=_axiom_order)),
            links=tuple(sorted(self._links, key=_link_order)),
            names=tuple(PageName(key, rank) for key, rank in sorted(self._names.items())) if self._classes else (),
            outbound_links=tuple(self._outbound),
            warnings=tuple(warnings),
            is_public=self.is_public,
        )

    def _describe(self) -> None:
        """Read declarations, labels, comments, domains and ranges off the axioms."""
        for axiom in self._axioms:
            if axiom.axiom_type == "Declaration":
                if axiom.object == "Class":
                    self.add_class(axiom.subject)
                elif axiom.object in PROPERTY_TYPES:
                    self._said_of(axiom.subject, axiom.object)["is_declared"] = True
            elif match := CHARACTERISTIC.fullmatch(axiom.axiom_type):
                if match[1] and not axiom.object and _is_named(axiom.subject):
                    said = self._said_of(axiom.subject, match[2])
                    said.setdefault("characteristics", set()).add(match[1])
            elif axiom.axiom_type.endswith(("PropertyDomain", "PropertyRange")) and _is_named(axiom.subject):
                side = "domain" if axiom.axiom_type.endswith("Domain") else "range"
                kind = axiom.axiom_type.removesuffix("Domain").removesuffix("Range")
                self._said_of(axiom.subject, kind).setdefault(side, set()).add(axiom.object)
        for axiom in sorted(self._axioms, key=_axiom_order):
            if axiom.axiom_type == "AnnotationAssertion" and axiom.property_iri in {RDFS_LABEL, RDFS_COMMENT}:
                part = "label" if axiom.property_iri == RDFS_LABEL else "comment"
                self._annotate(axiom.subject, part, literal_text(axiom.object))

    def _said_of(self, property_iri: str, property_type: str) -> dict[str, Any]:
        said = self._properties.setdefault(property_iri, {"property_type": property_type})
        said["property_type"] = max(said["property_type"], property_type)
        return said

    def _annotate(self, subject: str, part: str, text: str | None) -> None:
        known = self._classes.get(subject)
        if known is not None and getattr(known, part) is None:
            self._classes[subject] = replace(known, label=text) if part == "label" else replace(known, comment=text)
        if (said := self._properties.get(subject)) is not None:
            said.setdefault(part, text)


def canonical_json(value: Mapping[str, Any] | None) -> str:
    """Write JSON in one canonical form: keys sorted, no blanks, NUL replaced (no PostgreSQL text can hold it)."""
    if not value:
        return "{}"
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode().replace("\\u0000", "\\ufffd")


def literal_text(literal: str) -> str | None:
    """Give the text of a functional-syntax literal; None for what isn't one."""
    match = LITERAL.match(literal)
    return re.sub(r"\\(.)", r"\1", match[1], flags=re.DOTALL) if match else None


def _property(property_iri: str, said: Mapping[str, Any]) -> PropertyFact:
    return PropertyFact(
        property_iri,
        said["property_type"],
        said.get("label"),
        said.get("comment"),
        _all_of(said.get("domain"), "ObjectIntersectionOf"),
        _all_of(
            said.get("range"),
            "DataIntersectionOf" if said["property_type"] == "DataProperty" else "ObjectIntersectionOf",
        ),
        orjson.dumps(sorted(said.get("characteristics", ()))).decode(),
    )


def _all_of(expressions: set[str] | None, keyword: str) -> str | None:
    """Join several domains or ranges: OWL means them all at once."""
    if not expressions:
        return None
    if len(expressions) == 1:
        return next(iter(expressions))
    operands = (f"<{text}>" if _is_named(text) else expression.parse(text) for text in expressions)
    return expression.render(expression.canonical((keyword, *operands)))


def _is_named(text: str) -> bool:
    """Tell a bare IRI from a literal, an expression and an anonymous individual, as the database holds them."""
    head = text.partition(":")[0]
    return text[:1] not in {'"', "_", ""} and "(" not in head


def _text(text: object) -> str | None:
    if text is None:
        return None
    plain = text if isinstance(text, str) else canonical_scalar(text)
    return plain.replace("\0", "\ufffd")


def canonical_scalar(value: object) -> str:
    """Write any JSON value as text."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()


def _without_nul(axiom: Axiom) -> Axiom:
    if "\0" in axiom.object or "\0" in axiom.annotations:
        return replace(
            axiom, object=axiom.object.replace("\0", "\ufffd"), annotations=axiom.annotations.replace("\0", "\ufffd")
        )
    return axiom


def _axiom_order(axiom: Axiom) -> tuple[str, ...]:
    return (axiom.axiom_type, axiom.subject, axiom.property_iri or "", axiom.object, axiom.annotations)


def _link_order(link: Link) -> tuple[str, ...]:
    return (link.axiom_type, link.subject, link.property_iri or "", link.name, link.annotations, link.minted_iri or "")
