"""The words of RDF, RDFS, OWL and SKOS, by the part they play in a graph."""

from __future__ import annotations

OWL = "http://www.w3.org/2002/07/owl#"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
RDFS = "http://www.w3.org/2000/01/rdf-schema#"
XSD = "http://www.w3.org/2001/XMLSchema#"
SKOS = "http://www.w3.org/2004/02/skos/core#"

PROPERTY_KINDS = {
    OWL + "ObjectProperty": "Object",
    OWL + "DatatypeProperty": "Data",
    OWL + "AnnotationProperty": "Annotation",
    OWL + "OntologyProperty": "Annotation",
}
ANNOTATION_NAMESPACES = ("http://purl.org/dc/elements/1.1/", "http://purl.org/dc/terms/")
ANNOTATIONS = frozenset(
    [RDFS + name for name in ("label", "comment", "seeAlso", "isDefinedBy")]
    + [OWL + name for name in ("deprecated", "versionInfo", "priorVersion", "backwardCompatibleWith")]
    + [OWL + "incompatibleWith"]
    + [SKOS + name for name in ("prefLabel", "altLabel", "hiddenLabel", "notation", "note", "changeNote", "definition")]
    + [SKOS + name for name in ("editorialNote", "example", "historyNote", "scopeNote")]
)
OBJECT_CHARACTERISTICS = frozenset(
    OWL + name
    for name in (
        "InverseFunctionalProperty",
        "ReflexiveProperty",
        "IrreflexiveProperty",
        "SymmetricProperty",
        "AsymmetricProperty",
        "TransitiveProperty",
    )
)
DECLARED = {
    OWL + "Class": "Class",
    RDFS + "Class": "Class",
    RDFS + "Datatype": "Datatype",
    OWL + "DataRange": "Datatype",
    OWL + "NamedIndividual": "NamedIndividual",
    RDF + "Property": "",
    **{iri: f"{kind}Property" for iri, kind in PROPERTY_KINDS.items()},
}
STRUCTURAL_TYPES = frozenset(
    OWL + name
    for name in (
        "Ontology",
        "Restriction",
        "Axiom",
        "Annotation",
        "AllDisjointClasses",
        "AllDisjointProperties",
        "AllDifferent",
        "NegativePropertyAssertion",
        "DeprecatedClass",
        "DeprecatedProperty",
    )
)
FACETS = (
    *("minInclusive", "maxInclusive", "minExclusive", "maxExclusive", "length", "minLength", "maxLength", "pattern"),
    *("totalDigits", "fractionDigits"),
)
STRUCTURE = frozenset(
    [RDF + "first", RDF + "rest", RDF + "langRange", *(XSD + name for name in FACETS)]
    + [
        OWL + name
        for name in (
            *("onProperty", "someValuesFrom", "allValuesFrom", "hasValue", "hasSelf", "onClass", "onDataRange"),
            *("minCardinality", "maxCardinality", "cardinality", "minQualifiedCardinality", "maxQualifiedCardinality"),
            *("qualifiedCardinality", "onDatatype", "withRestrictions", "datatypeComplementOf", "members"),
            *("distinctMembers", "annotatedSource", "annotatedProperty", "annotatedTarget", "sourceIndividual"),
            *("assertionProperty", "targetIndividual", "targetValue", "imports"),
        )
    ]
)
"""Predicates that make expressions and axioms of blank nodes, and are no statement by themselves."""
NODE_AXIOMS = frozenset(
    OWL + name
    for name in ("AllDisjointClasses", "AllDisjointProperties", "AllDifferent", "NegativePropertyAssertion", "Axiom")
)
"""What a blank node that makes an axiom by itself is typed with; those of Axiom annotate another one."""
SET_OPERATORS = frozenset(OWL + name for name in ("intersectionOf", "unionOf", "complementOf", "oneOf"))
ABOUT_CLASSES = SET_OPERATORS | {
    RDFS + "subClassOf",
    *(OWL + name for name in ("equivalentClass", "disjointWith", "disjointUnionOf", "hasKey")),
}
ABOUT_INDIVIDUALS = {OWL + "sameAs": "SameIndividual", OWL + "differentFrom": "DifferentIndividuals"}
ABOUT_PROPERTIES = frozenset(
    [RDFS + name for name in ("subPropertyOf", "domain", "range")]
    + [OWL + name for name in ("inverseOf", "propertyChainAxiom", "equivalentProperty", "propertyDisjointWith")]
)
