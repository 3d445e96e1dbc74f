"""OWL out of RDF triples: what a graph says, as statements of functional syntax.

Source: https://www.w3.org/TR/owl2-mapping-to-rdf/. Beyond OWL, a relation whose property nobody declared is kept as
what its object tells it to be, for vocabularies that only use RDFS or SKOS.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from visionflow_daemon.formats.builder import PageBuilder
from visionflow_daemon.formats.expression import Stated, Tree, atoms, render
from visionflow_daemon.formats.iri import shorten
from visionflow_daemon.formats.rdf_expression import Expressions, Node, Triple, Unreadable, atom, is_blank, is_literal
from visionflow_daemon.formats.rdf_vocabulary import (
    ABOUT_CLASSES,
    ABOUT_INDIVIDUALS,
    ABOUT_PROPERTIES,
    DECLARED,
    NODE_AXIOMS,
    OBJECT_CHARACTERISTICS,
    OWL,
    RDF,
    RDFS,
    SET_OPERATORS,
    STRUCTURAL_TYPES,
    STRUCTURE,
)

NO_BASE = "relative:/"
"""What relative IRIs are resolved against: a file that declares no base has none that could be stored."""


def stated(triples: Iterable[Triple], page: PageBuilder) -> list[Stated]:
    """Give the statements of a graph; what can't be read costs itself alone, with a warning."""
    return list(_Statements(list(triples), page).all())


class _Statements:
    def __init__(self, triples: list[Triple], page: PageBuilder) -> None:
        self.page = page
        self.read = Expressions(triples, page.reading.limits)
        self.annotations = self._annotations()

    def all(self) -> Iterator[Stated]:
        for subject, said in self.read.said.items():
            kinds = {str(kind) for kind in said.get(RDF + "type", ())}
            if OWL + "Ontology" in kinds:
                continue
            if is_blank(subject) and kinds & NODE_AXIOMS:
                yield from self._kept(subject, min(kinds & NODE_AXIOMS), None)
                continue
            for predicate, targets in said.items():
                if predicate not in STRUCTURE:
                    for target in targets:
                        yield from self._kept(subject, predicate, target)

    def _kept(self, subject: Node, predicate: str, target: Node) -> Iterator[Stated]:
        """Give what a triple states, or the axiom that a node makes; a part that can't be read is a warning."""
        self.read.begin()
        try:
            trees = list(self._node(subject, predicate) if target is None else self._triple(subject, predicate, target))
        except Unreadable as error:
            self.page.warn(f"left out, {error}: {predicate.rpartition('#')[2]} of {shorten(atom(subject))}")
            return
        annotations = self.annotations.get((subject, predicate, target), ())
        for tree in trees:
            if any(NO_BASE in part for part in atoms(tree) if part.startswith("<")):
                self.page.warn(f"left out, a relative IRI in a file without a base: {shorten(render(tree))}")
            else:
                yield Stated(tree, annotations)

    def _triple(self, subject: Node, predicate: str, target: Node) -> Iterator[Tree]:
        """Give what one triple states: usually one statement, none for what only builds an expression."""
        if predicate == RDF + "type":
            yield from self._type(subject, str(target), target)
        elif predicate in ABOUT_CLASSES:
            yield from self._class(subject, predicate, target)
        elif predicate in ABOUT_PROPERTIES:
            yield from self._property(subject, predicate, target)
        elif predicate in ABOUT_INDIVIDUALS:
            yield (ABOUT_INDIVIDUALS[predicate], self.read.individual(subject), self.read.individual(target))
        else:
            yield self._assertion(subject, predicate, target)

    def _class(self, subject: Node, predicate: str, target: Node) -> Iterator[Tree]:
        read = self.read
        if predicate == RDFS + "subClassOf":
            yield ("SubClassOf", read.class_(subject), read.class_(target))
        elif predicate == OWL + "equivalentClass":
            if subject in read.datatypes:
                yield ("DatatypeDefinition", atom(subject), read.data_range(target))
            else:
                yield ("EquivalentClasses", read.class_(subject), read.class_(target))
        elif predicate == OWL + "disjointWith":
            yield ("DisjointClasses", read.class_(subject), read.class_(target))
        elif predicate == OWL + "disjointUnionOf":
            yield ("DisjointUnion", atom(subject), *map(read.class_, read.list_of(target)))
        elif predicate in SET_OPERATORS:
            if not is_blank(subject) and subject not in read.datatypes:
                yield ("EquivalentClasses", atom(subject), read.boolean(subject))
        elif predicate == OWL + "hasKey":
            relations = list(read.list_of(target))
            objects = [read.relation(each) for each in relations if read.kind_of(each) != "Data"]
            data = [read.relation(each) for each in relations if read.kind_of(each) == "Data"]
            yield ("HasKey", read.class_(subject), ("", *objects), ("", *data))

    def _type(self, subject: Node, kind: str, target: Node) -> Iterator[Tree]:
        if kind in DECLARED:
            if not is_blank(subject):
                keyword = DECLARED[kind] or f"{self.read.kind_of(subject)}Property"
                yield ("Declaration", (keyword, atom(subject)))
        elif kind == OWL + "FunctionalProperty":
            side = "Data" if self.read.kind_of(subject) == "Data" else "Object"
            yield (f"Functional{side}Property", self.read.relation(subject))
        elif kind in OBJECT_CHARACTERISTICS:
            name = kind.rpartition("#")[2].removesuffix("Property")
            yield (f"{name}ObjectProperty", self.read.relation(subject))
        elif kind not in STRUCTURAL_TYPES:
            yield ("ClassAssertion", self.read.class_(target), self.read.individual(subject))

    def _property(self, subject: Node, predicate: str, target: Node) -> Iterator[Tree]:
        read = self.read
        kind = read.kind_of(subject) or "Object"
        if predicate == OWL + "inverseOf":
            if not is_blank(subject):
                yield ("InverseObjectProperties", read.relation(subject), read.relation(target))
        elif predicate == OWL + "propertyChainAxiom":
            chain = ("ObjectPropertyChain", *map(read.relation, read.list_of(target)))
            yield ("SubObjectPropertyOf", chain, read.relation(subject))
        elif predicate == RDFS + "domain":
            domain = atom(target) if kind == "Annotation" else read.class_(target)
            yield (f"{kind}PropertyDomain", read.relation(subject), domain)
        elif predicate == RDFS + "range":
            range_ = read.data_range(target) if kind == "Data" else read.class_(target)
            yield (f"{kind}PropertyRange", read.relation(subject), range_)
        elif predicate == RDFS + "subPropertyOf":
            kind = read.kind_of(subject) or read.kind_of(target) or "Object"
            yield (f"Sub{kind}PropertyOf", read.relation(subject), read.relation(target))
        else:
            kind = "Data" if kind == "Data" else "Object"
            how = "Equivalent" if predicate == OWL + "equivalentProperty" else "Disjoint"
            yield (f"{how}{kind}Properties", read.relation(subject), read.relation(target))

    def _assertion(self, subject: Node, predicate: str, target: Node) -> Tree:
        """Give a statement about an individual, or an annotation of whatever the file declares."""
        kind = self.read.kind_of(predicate)
        if not kind:
            is_declared = any(str(each) in DECLARED for each in self.read.values(subject, RDF + "type"))
            kind = ("Annotation" if is_declared else "Data") if is_literal(target) else "Object"
        if kind == "Object" and is_literal(target):
            kind = "Data"
        elif kind == "Data" and not is_literal(target):
            kind = "Object"
        keyword = "AnnotationAssertion" if kind == "Annotation" else f"{kind}PropertyAssertion"
        return (keyword, f"<{predicate}>", atom(subject), atom(target))

    def _node(self, node: Node, kind: str) -> Iterator[Tree]:
        """Give the axiom that a blank node makes: of several classes, properties or individuals, or a negative one."""
        read = self.read
        if kind == OWL + "NegativePropertyAssertion":
            source, relation = read.one(node, OWL + "sourceIndividual"), read.one(node, OWL + "assertionProperty")
            is_data = not read.values(node, OWL + "targetIndividual")
            target = read.one(node, OWL + ("targetValue" if is_data else "targetIndividual"))
            keyword = f"Negative{'Data' if is_data else 'Object'}PropertyAssertion"
            yield (keyword, read.relation(relation), read.individual(source), atom(target))
            return
        predicate = "members" if read.values(node, OWL + "members") else "distinctMembers"
        members = list(read.list_of(read.one(node, OWL + predicate)))
        if kind == OWL + "AllDisjointClasses":
            yield ("DisjointClasses", *map(read.class_, members))
        elif kind == OWL + "AllDifferent":
            yield ("DifferentIndividuals", *map(read.individual, members))
        elif kind == OWL + "AllDisjointProperties":
            side = "Data" if all(read.kind_of(each) == "Data" for each in members) else "Object"
            yield (f"Disjoint{side}Properties", *map(read.relation, members))

    def _annotations(self) -> dict[tuple[Node, str, Node], tuple[Tree, ...]]:
        """Read the annotations of axioms off the nodes that reify them."""
        found: dict[tuple[Node, str, Node], list[Tree]] = defaultdict(list)
        for said in self.read.said.values():
            if OWL + "Axiom" not in map(str, said.get(RDF + "type", ())):
                continue
            source, relation, target = (
                said.get(OWL + f"annotated{part}", []) for part in ("Source", "Property", "Target")
            )
            if len(source) == len(relation) == len(target) == 1:
                for predicate, values in said.items():
                    if predicate not in STRUCTURE and predicate != RDF + "type":
                        annotations = [("Annotation", f"<{predicate}>", atom(value)) for value in values]
                        found[source[0], str(relation[0]), target[0]] += annotations
        return {key: tuple(annotations) for key, annotations in found.items()}
