"""What axioms say of the classes and properties of their file: declarations, labels, comments, domains, ranges."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import orjson

from visionflow_daemon.formats import expression
from visionflow_daemon.model import Axiom, ClassFact, PropertyFact

LABELS = ("http://www.w3.org/2000/01/rdf-schema#label", "http://www.w3.org/2004/02/skos/core#prefLabel")
COMMENTS = ("http://www.w3.org/2000/01/rdf-schema#comment", "http://www.w3.org/2004/02/skos/core#definition")
LANGUAGES = ("", "en")
"""The languages that a label or comment is taken in first; the others follow in their alphabet."""
PROPERTY_TYPES = ("ObjectProperty", "DataProperty", "AnnotationProperty")
CHARACTERISTIC = re.compile(r"(.+)(ObjectProperty|DataProperty)\Z")
SIDE = re.compile(r"((?:Object|Data|Annotation)Property)(Domain|Range)\Z")
OF_CLASSES = frozenset({"SubClassOf", "EquivalentClass", "DisjointWith", "ObjectPropertyAssertion", "ClassAssertion"})
"""The axioms of which there are most, and which say nothing of a property."""
LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)


@dataclass(slots=True)
class _Said:
    """What the axioms of a file say of one property."""

    property_type: str
    label: str | None = None
    comment: str | None = None
    domains: set[str] = field(default_factory=set)
    ranges: set[str] = field(default_factory=set)
    characteristics: set[str] = field(default_factory=set)


def described(
    declared: Mapping[str, ClassFact], axioms: Iterable[Axiom]
) -> tuple[tuple[ClassFact, ...], tuple[PropertyFact, ...]]:
    """Give a file's classes, those declared by axioms behind the others, and its properties by their IRIs.

    A label or comment of an annotation goes to what the file declares, where nothing else in it gave one.
    """
    classes = dict(declared)
    properties: dict[str, _Said] = {}
    annotations = []
    for axiom in axioms:
        if axiom.axiom_type in OF_CLASSES:
            continue
        if axiom.axiom_type == "Declaration":
            if axiom.object == "Class":
                classes.setdefault(axiom.subject, ClassFact(axiom.subject))
            elif axiom.object in PROPERTY_TYPES:
                _of(properties, axiom.subject, axiom.object)
        elif axiom.axiom_type == "AnnotationAssertion":
            annotations.append(axiom)
        elif is_bare_iri(axiom.subject):
            _characterise(properties, axiom)
    _annotate(classes, properties, annotations)
    facts = (_property(property_iri, said) for property_iri, said in sorted(properties.items()))
    return tuple(classes.values()), tuple(facts)


def is_bare_iri(text: str) -> bool:
    """Tell a bare IRI from a literal, an expression and an anonymous individual, as the database holds them."""
    head = text.partition(":")[0]
    return text[:1] not in {'"', "_", ""} and "(" not in head


def axiom_order(axiom: Axiom) -> tuple[str, ...]:
    """Give the key by which axioms are sorted."""
    return (axiom.axiom_type, axiom.subject, axiom.property_iri or "", axiom.object, axiom.annotations)


def _of(properties: dict[str, _Said], property_iri: str, property_type: str) -> _Said:
    said = properties.setdefault(property_iri, _Said(property_type))
    said.property_type = max(said.property_type, property_type)
    return said


def _characterise(properties: dict[str, _Said], axiom: Axiom) -> None:
    if match := SIDE.match(axiom.axiom_type):
        said = _of(properties, axiom.subject, match[1])
        (said.domains if match[2] == "Domain" else said.ranges).add(axiom.object)
    elif not axiom.object and (match := CHARACTERISTIC.match(axiom.axiom_type)):
        _of(properties, axiom.subject, match[2]).characteristics.add(match[1])


def _annotate(classes: dict[str, ClassFact], properties: dict[str, _Said], annotations: Sequence[Axiom]) -> None:
    for part, telling in (("label", LABELS), ("comment", COMMENTS)):
        found = [axiom for axiom in annotations if axiom.property_iri in telling and LITERAL.match(axiom.object)]
        for axiom in sorted(found, key=lambda axiom: _preference(axiom, telling)):
            text = _text(axiom.object)
            known = classes.get(axiom.subject)
            if known is not None and getattr(known, part) is None:
                classes[axiom.subject] = replace(known, label=text) if part == "label" else replace(known, comment=text)
            said = properties.get(axiom.subject)
            if said is not None and getattr(said, part) is None:
                setattr(said, part, text)


def _preference(axiom: Axiom, telling: Sequence[str]) -> tuple[int, int, str, str]:
    """Order what is said of a thing: by the property that says it, then the preferred language, then its text."""
    language = "" if axiom.object.endswith(('"', ">")) else axiom.object.rpartition("@")[2].lower()
    rank = LANGUAGES.index(language) if language in LANGUAGES else len(LANGUAGES)
    return telling.index(axiom.property_iri or ""), rank, language, axiom.object


def _text(literal: str) -> str:
    match = LITERAL.match(literal)
    return re.sub(r"\\(.)", r"\1", match[1], flags=re.DOTALL) if match else literal


def _property(property_iri: str, said: _Said) -> PropertyFact:
    return PropertyFact(
        property_iri,
        said.property_type,
        said.label,
        said.comment,
        _all_of(said.domains, "ObjectIntersectionOf"),
        _all_of(said.ranges, "DataIntersectionOf" if said.property_type == "DataProperty" else "ObjectIntersectionOf"),
        orjson.dumps(sorted(said.characteristics)).decode(),
    )


def _all_of(expressions: set[str], keyword: str) -> str | None:
    """Join several domains or ranges: OWL means them all at once."""
    if not expressions:
        return None
    if len(expressions) == 1:
        return next(iter(expressions))
    operands = (f"<{text}>" if is_bare_iri(text) else expression.parse(text) for text in expressions)
    return expression.render(expression.canonical((keyword, *operands)))
