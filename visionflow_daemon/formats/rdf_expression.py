"""Class, property and data expressions out of RDF: what blank nodes describe, as trees of functional syntax.

Source: https://www.w3.org/TR/owl2-mapping-to-rdf/
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

from visionflow_daemon.errors import PageError
from visionflow_daemon.formats.expression import Tree
from visionflow_daemon.formats.rdf_vocabulary import (
    ANNOTATION_NAMESPACES,
    ANNOTATIONS,
    OBJECT_CHARACTERISTICS,
    OWL,
    PROPERTY_KINDS,
    RDF,
    RDFS,
    XSD,
)
from visionflow_daemon.model import Limits

Node: TypeAlias = Any
"""A term of rdflib, which is imported late."""
Triple: TypeAlias = tuple[Node, Node, Node]

MAX_PARTS = 10_000
"""How many nodes one expression may have: blank nodes that share others can unfold to any size."""
PARTS_PER_TRIPLE = 20
"""How many nodes all expressions of a file together may have for each of its triples, beyond those of one expression.
"""


class Unreadable(Exception):  # noqa: N818 - it tells of a part of a file, and never leaves this reading
    """A part of a graph that makes no expression, with the reason."""


def is_blank(node: Node) -> bool:
    """Tell a blank node."""
    return type(node).__name__ == "BNode"


def is_literal(node: Node) -> bool:
    """Tell a literal."""
    return type(node).__name__ == "Literal"


def atom(node: Node) -> str:
    """Write a node as functional syntax does."""
    if is_blank(node):
        return f"_:{node}"
    if not is_literal(node):
        return f"<{node}>"
    text = '"' + str(node).replace("\\", "\\\\").replace('"', '\\"') + '"'
    if node.language:
        return f"{text}@{node.language}"
    return f"{text}^^<{node.datatype}>" if node.datatype else text


class Expressions:
    """A graph's triples by their subject, and the expressions that its blank nodes make."""

    def __init__(self, triples: Iterable[Triple], limits: Limits) -> None:
        self.limits = limits
        self.said: dict[Node, dict[str, list[Node]]] = defaultdict(lambda: defaultdict(list))
        self._all_parts_allowed = MAX_PARTS
        for subject, predicate, target in triples:
            self._all_parts_allowed += PARTS_PER_TRIPLE
            self.said[subject][str(predicate)].append(target)
        self.said.default_factory = None
        self.property_kinds: dict[str, str] = {}
        self.datatypes: set[Node] = set()
        self._parts = 0
        self._all_parts = 0
        self._find_kinds()

    def values(self, node: Node, predicate: str) -> list[Node]:
        """Give all that a predicate says of a node."""
        said = self.said.get(node)
        return said.get(predicate, []) if said else []

    def kind_of(self, relation: Node) -> str:
        """Tell an object, data or annotation property: "Object", "Data", "Annotation", or "" where nothing tells."""
        if is_blank(relation):
            return "Object"
        text = str(relation)
        known = self.property_kinds.get(text, "")
        if not known and (text in ANNOTATIONS or text.startswith(ANNOTATION_NAMESPACES)):
            return "Annotation"
        return known

    def begin(self) -> None:
        """Begin the expressions of another statement: each has a limit of its own."""
        self._parts = 0

    def relation(self, node: Node) -> Tree:
        """Read a property expression."""
        if is_blank(node):
            return ("ObjectInverseOf", self.relation_name(self.one(node, OWL + "inverseOf")))
        return self.relation_name(node)

    def relation_name(self, node: Node) -> str:
        """Read the name of a property."""
        if is_blank(node) or is_literal(node):
            raise Unreadable("a property without a name")
        return atom(node)

    def class_(self, node: Node, depth: int = 0) -> Tree:
        """Read a class expression."""
        self._count(depth)
        if is_literal(node):
            raise Unreadable("a literal where a class is due")
        if not is_blank(node):
            return atom(node)
        if self.values(node, OWL + "onProperty"):
            return self._restriction(node, depth + 1)
        return self.boolean(node, depth)

    def boolean(self, node: Node, depth: int = 0) -> Tree:
        """Read what the set operators say of a node, named or not."""
        for name, keyword in (("intersectionOf", "ObjectIntersectionOf"), ("unionOf", "ObjectUnionOf")):
            if self.values(node, OWL + name):
                operands = [self.class_(each, depth + 1) for each in self.list_of(self.one(node, OWL + name))]
                return _joined(keyword, operands)
        if self.values(node, OWL + "complementOf"):
            return ("ObjectComplementOf", self.class_(self.one(node, OWL + "complementOf"), depth + 1))
        if self.values(node, OWL + "oneOf"):
            return ("ObjectOneOf", *(self.individual(each) for each in self.list_of(self.one(node, OWL + "oneOf"))))
        raise Unreadable("a blank node that describes no class")

    def data_range(self, node: Node, depth: int = 0) -> Tree:
        """Read a data range."""
        self._count(depth)
        if is_literal(node):
            raise Unreadable("a literal where a datatype is due")
        if not is_blank(node):
            return atom(node)
        for name, keyword in (("intersectionOf", "DataIntersectionOf"), ("unionOf", "DataUnionOf")):
            if self.values(node, OWL + name):
                operands = [self.data_range(each, depth + 1) for each in self.list_of(self.one(node, OWL + name))]
                return _joined(keyword, operands)
        if self.values(node, OWL + "datatypeComplementOf"):
            return ("DataComplementOf", self.data_range(self.one(node, OWL + "datatypeComplementOf"), depth + 1))
        if self.values(node, OWL + "oneOf"):
            return ("DataOneOf", *(self.literal(each) for each in self.list_of(self.one(node, OWL + "oneOf"))))
        if self.values(node, OWL + "onDatatype"):
            facets: list[Tree] = []
            for facet in self.list_of(self.one(node, OWL + "withRestrictions")):
                for name, values in self.said.get(facet, {}).items():
                    facets += [part for value in values for part in (f"<{name}>", self.literal(value))]
            return ("DatatypeRestriction", self.data_range(self.one(node, OWL + "onDatatype"), depth + 1), *facets)
        raise Unreadable("a blank node that describes no datatype")

    def individual(self, node: Node) -> str:
        """Read an individual, named or not."""
        if is_literal(node):
            raise Unreadable("a literal where an individual is due")
        return atom(node)

    def literal(self, node: Node) -> str:
        """Read a literal."""
        if not is_literal(node):
            raise Unreadable("a literal is due")
        return atom(node)

    def list_of(self, node: Node) -> Iterator[Node]:
        """Give the members of an RDF list."""
        seen = set()
        while str(node) != RDF + "nil":
            if node in seen:
                raise Unreadable("a list that runs in a circle")
            seen.add(node)
            self._count(0)
            yield self.one(node, RDF + "first")
            node = self.one(node, RDF + "rest")

    def is_data_range(self, node: Node) -> bool:
        """Tell a datatype or data range from a class."""
        text = str(node)
        if node in self.datatypes or (not is_blank(node) and (text.startswith(XSD) or text == RDFS + "Literal")):
            return True
        if not is_blank(node):
            return text in {
                RDF + "PlainLiteral",
                RDF + "langString",
                RDF + "XMLLiteral",
                OWL + "real",
                OWL + "rational",
            }
        if self.values(node, OWL + "onDatatype") or self.values(node, OWL + "datatypeComplementOf"):
            return True
        first = [member for head in self.values(node, OWL + "oneOf") for member in self.values(head, RDF + "first")]
        return any(is_literal(member) for member in first)

    def _restriction(self, node: Node, depth: int) -> Tree:
        on = self.one(node, OWL + "onProperty")
        relation = self.relation(on)
        is_data = self.kind_of(on) == "Data"
        for name, keyword in (("someValuesFrom", "SomeValuesFrom"), ("allValuesFrom", "AllValuesFrom")):
            if self.values(node, OWL + name):
                filler = self.one(node, OWL + name)
                if is_data or self.is_data_range(filler):
                    return ("Data" + keyword, relation, self.data_range(filler, depth))
                return ("Object" + keyword, relation, self.class_(filler, depth))
        if self.values(node, OWL + "hasValue"):
            value = self.one(node, OWL + "hasValue")
            return ("DataHasValue" if is_literal(value) else "ObjectHasValue", relation, atom(value))
        if self.values(node, OWL + "hasSelf"):
            return ("ObjectHasSelf", relation)
        for name, keyword in (("min", "MinCardinality"), ("max", "MaxCardinality"), ("", "ExactCardinality")):
            plain = OWL + (name + "Cardinality" if name else "cardinality")
            qualified = OWL + (name + "QualifiedCardinality" if name else "qualifiedCardinality")
            for predicate in (plain, qualified):
                if self.values(node, predicate):
                    number = self._number(self.one(node, predicate))
                    return self._cardinality(node, keyword, number, relation, depth, is_data=is_data)
        raise Unreadable("a restriction that restricts nothing")

    def _cardinality(self, node: Node, keyword: str, number: str, relation: Tree, depth: int, *, is_data: bool) -> Tree:
        if self.values(node, OWL + "onDataRange"):
            return ("Data" + keyword, number, relation, self.data_range(self.one(node, OWL + "onDataRange"), depth))
        if self.values(node, OWL + "onClass"):
            return ("Object" + keyword, number, relation, self.class_(self.one(node, OWL + "onClass"), depth))
        return (("Data" if is_data else "Object") + keyword, number, relation)

    def _number(self, node: Node) -> str:
        text = str(node).strip()
        if not is_literal(node) or not text.isascii() or not text.isdigit() or len(text) > 10 or int(text) >= 2**32:  # noqa: PLR2004 - 32 bits, as functional syntax is read
            raise Unreadable("a cardinality that is no number below 4294967296")
        return str(int(text))

    def one(self, node: Node, predicate: str) -> Node:
        """Give the one value that a predicate has to have."""
        found = self.values(node, predicate)
        if len(found) != 1:
            raise Unreadable(f"{len(found) or 'no'} {predicate.rpartition('#')[2]} where one is due")
        return found[0]

    def _count(self, depth: int) -> None:
        self._parts += 1
        self._all_parts += 1
        if depth > self.limits.depth:
            raise Unreadable(f"nested deeper than {self.limits.depth} levels")
        if self._parts > MAX_PARTS:
            raise Unreadable(f"an expression of more than {MAX_PARTS} parts")
        if self._all_parts > self._all_parts_allowed:
            raise PageError(f"its expressions share parts, and written out have more than {self._all_parts_allowed:,}")

    def _find_kinds(self) -> None:
        for node, said in self.said.items():
            found = set()
            for kind in map(str, said.get(RDF + "type", ())):
                if kind in {RDFS + "Datatype", OWL + "DataRange"}:
                    self.datatypes.add(node)
                elif kind in PROPERTY_KINDS:
                    found.add(PROPERTY_KINDS[kind])
                elif kind in OBJECT_CHARACTERISTICS:
                    found.add("Object")
            if found:
                self.property_kinds[str(node)] = max(found)
        for node, said in self.said.items():  # a plain property is what its range tells, once all datatypes are known
            if str(node) not in self.property_kinds and RDF + "Property" in map(str, said.get(RDF + "type", ())):
                is_data = any(self.is_data_range(each) for each in said.get(RDFS + "range", ()))
                self.property_kinds[str(node)] = "Data" if is_data else "Object"


def _joined(keyword: str, operands: list[Tree]) -> Tree:
    """Join operands; one alone is itself, as functional syntax wants two at least."""
    if not operands:
        raise Unreadable("a set operator without operands")
    return operands[0] if len(operands) == 1 else (keyword, *operands)
