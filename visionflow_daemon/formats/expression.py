"""OWL 2 functional syntax as trees, their canonical text, and the axiom row that each statement makes.

A tree is a tuple `(keyword, operand, …)`; an atom is a string as functional syntax writes it: `<iri>`, `"literal"`,
`"5"^^<datatype>`, `_:name`, a number. A list in parentheses (the properties of HasKey) has the keyword "".
Source: https://www.w3.org/TR/owl2-syntax/
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TypeAlias

from visionflow_daemon.model import Axiom

Tree: TypeAlias = "str | tuple[Tree, ...]"

XSD_STRING = "^^<http://www.w3.org/2001/XMLSchema#string>"

TOKEN = re.compile(
    r"\s+|(?P<open>[A-Za-z]*\()|(?P<close>\))"
    r'|(?P<atom>"(?:[^"\\]|\\.)*"(?:@[A-Za-z0-9-]+|\^\^<[^<>]*>)?|<[^<>]*>|[^\s()"<>]+)',
    re.DOTALL,
)

UNORDERED = frozenset(
    [
        "ObjectUnionOf",
        "ObjectIntersectionOf",
        "ObjectOneOf",
        "DataUnionOf",
        "DataIntersectionOf",
        "DataOneOf",
        "EquivalentClasses",
        "DisjointClasses",
        "EquivalentObjectProperties",
        "DisjointObjectProperties",
        "EquivalentDataProperties",
        "DisjointDataProperties",
        "InverseObjectProperties",
        "SameIndividual",
        "DifferentIndividuals",
    ]
)
"""Constructors whose operands are a set: sorted and without repetition in canonical form."""

COLLAPSING = frozenset({"ObjectUnionOf", "ObjectIntersectionOf", "DataUnionOf", "DataIntersectionOf"})
"""Constructors that of one operand alone are that operand."""

ONE_WILL_DO = frozenset({"ObjectOneOf", "DataOneOf"})
"""Unordered constructors that take one operand; all others want two at least, if need be the same one."""

RESTRICTIONS = {
    **dict.fromkeys(
        [
            "ObjectSomeValuesFrom",
            "ObjectAllValuesFrom",
            "ObjectHasValue",
            "ObjectHasSelf",
            "ObjectMinCardinality",
            "ObjectMaxCardinality",
            "ObjectExactCardinality",
        ],
        "ObjectProperty",
    ),
    **dict.fromkeys(
        [
            "DataSomeValuesFrom",
            "DataAllValuesFrom",
            "DataHasValue",
            "DataMinCardinality",
            "DataMaxCardinality",
            "DataExactCardinality",
        ],
        "DataProperty",
    ),
}

ASSERTIONS = {
    "ObjectPropertyAssertion": "ObjectProperty",
    "NegativeObjectPropertyAssertion": "ObjectProperty",
    "DataPropertyAssertion": "DataProperty",
    "NegativeDataPropertyAssertion": "DataProperty",
    "AnnotationAssertion": "AnnotationProperty",
}

VISIONFLOW_NAMES = {"EquivalentClasses": "EquivalentClass", "DisjointClasses": "DisjointWith"}
"""Where VisionFlow's readers know an axiom type by a name of their own."""


@dataclass(frozen=True, slots=True)
class Stated:
    """One statement of a file: its tree, those of its annotations, and the line that it begins on, where known."""

    tree: Tree
    annotations: tuple[Tree, ...] = ()
    line: int | None = None


def parse(text: str) -> Tree:
    """Read one functional-syntax expression with full IRIs into a tree. Raises ValueError if it is none."""
    stack: list[list[Tree]] = [[]]
    position = 0
    while position < len(text):
        match = TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"unreadable at offset {position}: {text[position : position + 40]!r}")
        position = match.end()
        if (opened := match["open"]) is not None:
            stack.append([opened[:-1]])
        elif match["close"] is not None:
            if len(stack) == 1:
                raise ValueError("a closing parenthesis without its opening one")
            done = tuple(stack.pop())
            stack[-1].append(done)
        elif (atom := match["atom"]) is not None:
            stack[-1].append(atom)
    if len(stack) != 1 or len(stack[0]) != 1:
        raise ValueError("not one whole expression")
    return stack[0][0]


def canonical(tree: Tree) -> Tree:
    """Bring a tree into the one form that all ways of writing it share."""
    if isinstance(tree, str):
        return tree[: -len(XSD_STRING)] if tree.startswith('"') and tree.endswith(XSD_STRING) else tree
    keyword, *operands = tree
    done = [canonical(operand) for operand in operands]
    if keyword in UNORDERED:
        done = sorted(set(done), key=_order)
        if len(done) == 1 and keyword in COLLAPSING:
            return done[0]
        if len(done) == 1 and keyword not in ONE_WILL_DO:
            done = done * 2
    elif keyword == "DisjointUnion":
        done = [done[0], *sorted(set(done[1:]), key=_order)]
    elif keyword == "HasKey":
        done = [done[0], *(("", *sorted(set(part[1:]), key=_order)) for part in done[1:])]
    return (keyword, *done)


def render(tree: Tree) -> str:
    """Write a tree as functional syntax."""
    if isinstance(tree, str):
        return tree
    return f"{tree[0]}({' '.join(render(operand) for operand in tree[1:])})"


def axiom(statement: Tree, annotations: str = "") -> Axiom:
    """Make the row of one statement.

    `statement` is a tree such as `("SubClassOf", "<a>", "<b>")`, not yet canonical; `annotations` is canonical already.
    """
    tree = canonical(statement)
    if isinstance(tree, str):
        raise TypeError(f"not a statement: {tree!r}")
    keyword = str(tree[0])
    operands = tree[1:]
    if keyword in ASSERTIONS:
        return _assertion(keyword, operands, annotations)
    if keyword == "Declaration" and isinstance(operands[0], tuple):
        return Axiom(keyword, value(operands[0][1]), str(operands[0][0]), annotations=annotations)
    if keyword == "ClassAssertion":  # a reader expects the individual where the subject stands
        operands = operands[::-1]
    subject = value(operands[0]) if operands else ""
    rest = operands[1:]
    target = value(rest[0]) if len(rest) == 1 else " ".join(render(operand) for operand in rest)
    property_iri, property_type = _restricted(rest)
    return Axiom(
        VISIONFLOW_NAMES.get(keyword, keyword),
        subject,
        target,
        property_iri,
        property_type,
        annotations,
        is_parent=keyword == "SubClassOf" and all(is_named(operand) for operand in operands),
    )


def atoms(tree: Tree) -> list[str]:
    """Give all atoms of a tree, in their order."""
    found = []
    todo = [tree]
    while todo:
        if isinstance(last := todo.pop(), str):
            found.append(last)
        else:
            todo += last[:0:-1]
    return found


def value(tree: Tree) -> str:
    """Write a tree as the database holds it: a named thing as its bare IRI, all else as functional syntax."""
    return tree[1:-1] if isinstance(tree, str) and tree.startswith("<") else render(tree)


def is_named(tree: Tree) -> bool:
    """Tell a named thing from an expression, a literal or an anonymous individual."""
    return isinstance(tree, str) and tree.startswith("<")


def _assertion(keyword: str, operands: tuple[Tree, ...], annotations: str) -> Axiom:
    relation, subject, target = operands
    if isinstance(relation, tuple) and relation[0] == "ObjectInverseOf":
        relation, subject, target = relation[1], target, subject
    return Axiom(keyword, value(subject), value(target), value(relation), ASSERTIONS[keyword], annotations)


def _restricted(operands: tuple[Tree, ...]) -> tuple[str | None, str | None]:
    """Find the property of the one restriction among an axiom's objects."""
    if len(operands) != 1 or isinstance(operands[0], str):
        return None, None
    keyword, *parts = operands[0]
    if keyword not in RESTRICTIONS:
        return None, None
    relation = parts[1] if "Cardinality" in str(keyword) else parts[0]
    if isinstance(relation, tuple) and relation[0] == "ObjectInverseOf":
        relation = relation[1]
    return (value(relation), RESTRICTIONS[str(keyword)]) if is_named(relation) else (None, None)


def _order(tree: Tree) -> tuple[bool, str]:
    """Order operands: named things first, then by their text."""
    return not is_named(tree), render(tree)
