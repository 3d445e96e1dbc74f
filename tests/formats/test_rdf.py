"""RDF and OWL files: every suffix, OWL out of triples; bounded and read alike."""

from __future__ import annotations

import json

import pytest

from visionflow_daemon.errors import PageError
from visionflow_daemon.formats.choose import read_page
from visionflow_daemon.model import Page, Reading

B = "urn:bike:"
OWL = "http://www.w3.org/2002/07/owl#"
RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
RDFS = "http://www.w3.org/2000/01/rdf-schema#"
XSD = "http://www.w3.org/2001/XMLSchema#"
VC = "https://narrativegoldmine.com/ns/v1#"
pytestmark = [
    pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Dataset.default_context is deprecated:DeprecationWarning"),
]
Fact = tuple[str, str, str | None, str]
HEAD = (
    f"@prefix : <{B}> . @prefix owl: <{OWL}> . @prefix rdf: <{RDF}> . @prefix rdfs: <{RDFS}> . @prefix xsd: <{XSD}> .\n"
)


def read(text: str, suffix: str = "ttl") -> Page:
    return read_page(b"bikes." + suffix.encode(), text.encode(), Reading())


def refused(text: str, suffix: str) -> PageError:
    with pytest.raises(PageError) as error:
        read(text, suffix)
    return error.value


def facts(page: Page) -> list[Fact]:
    return [(each.axiom_type, each.subject, each.property_iri, each.object) for each in page.axioms]


TURTLE = f"{HEAD}:Bike a owl:Class ; rdfs:subClassOf :Vehicle ."
TRIPLES = f"<{B}Bike> <{RDF}type> <{OWL}Class> .\n<{B}Bike> <{RDFS}subClassOf> <{B}Vehicle> .\n"
XML = (
    f'<?xml version="1.0" encoding="UTF-8"?>\n<rdf:RDF xmlns:rdf="{RDF}" xmlns:rdfs="{RDFS}" xmlns:owl="{OWL}">'
    f'<owl:Class rdf:about="{B}Bike"><rdfs:subClassOf rdf:resource="{B}Vehicle"/></owl:Class></rdf:RDF>'
)
JSONLD = json.dumps({"@id": f"{B}Bike", "@type": f"{OWL}Class", f"{RDFS}subClassOf": {"@id": f"{B}Vehicle"}})
OFN = f"Prefix(:=<{B}>)\nOntology(<urn:o>\nDeclaration(Class(:Bike))\nSubClassOf(:Bike :Vehicle)\n)"
OMN = f"Prefix: : <{B}>\nOntology: <urn:o>\nClass: :Vehicle\nClass: :Bike\n    SubClassOf: :Vehicle\n"
OWX = (
    f'<?xml version="1.0"?>\n<Ontology xmlns="{OWL}" ontologyIRI="urn:o"><Declaration><Class IRI="{B}Bike"/>'
    f'</Declaration><SubClassOf><Class IRI="{B}Bike"/><Class IRI="{B}Vehicle"/></SubClassOf></Ontology>'
)
BIKE: list[Fact] = [("Declaration", f"{B}Bike", None, "Class"), ("SubClassOf", f"{B}Bike", None, f"{B}Vehicle")]


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        ("ttl", TURTLE),
        ("TTL", TURTLE),
        ("nt", TRIPLES),
        ("nq", TRIPLES.replace(" .\n", " <urn:g> .\n", 1)),
        ("trig", f"{HEAD}:g {{ :Bike a owl:Class }} :Bike rdfs:subClassOf :Vehicle ."),
        ("rdf", XML),
        ("jsonld", JSONLD),
        ("ofn", OFN),
        ("omn", OMN),
        *((suffix, text) for suffix in ("owl", "xml") for text in (XML, OWX, TURTLE, OFN, OMN, JSONLD)),
    ],
)
def test_every_suffix_and_what_is_sniffed_give_the_same_facts(suffix: str, text: str) -> None:
    page = read(text, suffix)
    assert [fact for fact in facts(page) if fact[1] != f"{B}Vehicle"] == BIKE
    assert (page.format, page.warnings) == (f"rdf-{suffix.lower()}", ())


@pytest.mark.parametrize("text", ["<project><name>x</name></project>", '<RDF xmlns="urn:other"/>', "<Ontology/>"])
def test_other_xml_is_a_plain_page(text: str) -> None:
    page = read('<?xml version="1.0"?>\n<!-- x -->\n' + text, "xml")
    assert (page.format, page.skip_reason) == ("plain", "a page without an ontology")


NEGATIVE = "[] a owl:NegativePropertyAssertion ; owl:sourceIndividual :mine ; owl:assertionProperty "
KINDS = "\n:has a owl:ObjectProperty . :in a owl:ObjectProperty . :gears a owl:DatatypeProperty .\n"
HAS, IN, GEARS, WHEEL = (f"<{B}{name}>" for name in ("has", "in", "gears", "Wheel"))
INTEGER = f"<{XSD}integer>"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            ":Bike rdfs:subClassOf [ owl:onProperty :has ; owl:someValuesFrom [ owl:unionOf ( :Wheel :Bell ) ] ]",
            ("SubClassOf", f"{B}Bike", f"{B}has", f"ObjectSomeValuesFrom({HAS} ObjectUnionOf(<{B}Bell> {WHEEL}))"),
        ),
        (
            ':Bike rdfs:subClassOf [ owl:onProperty :has ; owl:minQualifiedCardinality "2" ; owl:onClass :Wheel ]',
            ("SubClassOf", f"{B}Bike", f"{B}has", f"ObjectMinCardinality(2 {HAS} {WHEEL})"),
        ),
        (
            ":Bike owl:equivalentClass [ owl:intersectionOf ( :Vehicle [ owl:complementOf :Car ] ) ]",
            ("EquivalentClass", f"{B}Bike", None, f"ObjectIntersectionOf(<{B}Vehicle> ObjectComplementOf(<{B}Car>))"),
        ),
        (
            "[] a owl:AllDisjointClasses ; owl:members ( :Car :Bike :Tram )",
            ("DisjointWith", f"{B}Bike", None, f"<{B}Car> <{B}Tram>"),
        ),
        (
            "[] a owl:AllDifferent ; owl:distinctMembers ( :b :a )",
            ("DifferentIndividuals", f"{B}a", None, f"{B}b"),
        ),
        (
            ":in owl:propertyChainAxiom ( :has [ owl:inverseOf :in ] )",
            ("SubObjectPropertyOf", f"ObjectPropertyChain({HAS} ObjectInverseOf({IN}))", None, f"{B}in"),
        ),
        (":Bike owl:hasKey ( :gears :has )", ("HasKey", f"{B}Bike", None, f"({HAS}) ({GEARS})")),
        (
            NEGATIVE + ":has ; owl:targetIndividual :bell",
            ("NegativeObjectPropertyAssertion", f"{B}mine", f"{B}has", f"{B}bell"),
        ),
        (
            NEGATIVE + ":gears ; owl:targetValue 3",
            ("NegativeDataPropertyAssertion", f"{B}mine", f"{B}gears", f'"3"^^{INTEGER}'),
        ),
        (
            ':Bike rdfs:subClassOf [ owl:onProperty :gears ; owl:allValuesFrom [ owl:oneOf ( 1 "b" ) ] ]',
            ("SubClassOf", f"{B}Bike", f"{B}gears", f'DataAllValuesFrom({GEARS} DataOneOf("1"^^{INTEGER} "b"))'),
        ),
        (':mine :gears "01"^^xsd:integer', ("DataPropertyAssertion", f"{B}mine", f"{B}gears", f'"01"^^{INTEGER}')),
        (
            ":mine :gears 1E+50000000",
            ("DataPropertyAssertion", f"{B}mine", f"{B}gears", f'"1E+50000000"^^<{XSD}double>'),
        ),
    ],
)
def test_owl_is_read_out_of_triples(text: str, expected: Fact) -> None:
    page = read(HEAD + KINDS + text + " .")
    assert [fact for fact in facts(page) if fact[0] != "Declaration"] == [expected]
    assert page.warnings == ()


def test_annotated_axioms_carry_their_annotations() -> None:
    page = read(
        f"{HEAD}:Bike rdfs:subClassOf :Vehicle . [] a owl:Axiom ; owl:annotatedSource :Bike ; owl:annotatedProperty"
        ' rdfs:subClassOf ; owl:annotatedTarget :Vehicle ; rdfs:comment "sure"@en .'
    )
    assert facts(page) == BIKE[1:]
    assert page.axioms[0].annotations == f'Annotation(<{RDFS}comment> "sure"@en)'


def test_one_graph_gives_one_page_in_every_syntax() -> None:
    import rdflib  # noqa: PLC0415 - only this test writes RDF

    source = (
        HEAD
        + KINDS
        + (
            ':Bike a owl:Class ; rdfs:label "Bike"@en, "Rad"@de ; rdfs:comment "a \\"quoted\\"\\nline" ;'
            " rdfs:subClassOf [ a owl:Restriction ; owl:onProperty :has ; owl:someValuesFrom :Wheel ] .\n"
            ":mine a :Bike ; :gears 7 ; :has [ a :Wheel ], [ a :Bell ] .\n"
        )
    )
    graph = rdflib.Graph().parse(data=source, format="turtle")
    syntaxes = {"rdf": "xml", "nt": "nt", "jsonld": "json-ld", "ttl": "turtle"}
    expected = read(source)
    assert len(expected.axioms) == 14
    assert (expected.classes[0].label, expected.classes[0].comment) == ("Bike", 'a "quoted"\nline')
    for suffix, syntax in syntaxes.items():
        page = read(graph.serialize(format=syntax), suffix)
        assert (page.axioms, page.classes, page.properties) == (expected.axioms, expected.classes, expected.properties)


@pytest.mark.parametrize(
    "name", ["https://narrativegoldmine.com/context/v1.jsonld", "http://narrativegoldmine.com/ns/v1"]
)
def test_the_pages_own_context_is_bundled(name: str) -> None:
    document = {"@context": name, "@id": f"{B}Bike", "@type": "Class", "label": "Bike", "subClassOf": f"{B}Vehicle"}
    page = read(json.dumps({**document, "relations": {"partOf": {"@id": f"{B}Fleet"}}}), "jsonld")
    assert set(facts(page)) >= {*BIKE, ("ObjectPropertyAssertion", f"{B}Bike", f"{VC}isPartOf", f"{B}Fleet")}
    assert page.classes[0].label == "Bike"


@pytest.mark.parametrize(
    ("text", "suffix"), [("[" * 900 + "]" * 900, "ttl"), ("(" * 3_000, "ttl"), ("[" * 5_000, "jsonld")]
)
def test_deep_nesting_is_an_error(text: str, suffix: str) -> None:
    assert refused(HEAD + f":a :b {text} ." if suffix == "ttl" else text, suffix).reason


def test_lists_that_run_in_a_circle_cost_themselves_alone() -> None:
    page = read(f"{TURTLE} :Car owl:disjointUnionOf _:l . _:l rdf:first :A ; rdf:rest _:l .")
    assert facts(page) == BIKE
    assert ["a list that runs in a circle" in each.message for each in page.warnings] == [True]


def test_blank_nodes_that_unfold_to_any_size_are_bounded() -> None:
    bomb = "".join(f"_:n{n} owl:unionOf ( _:n{n + 1} _:n{n + 1} ) . " for n in range(60))
    page = read(f"{TURTLE} :Car rdfs:subClassOf _:n0 . {bomb} _:n60 owl:complementOf :Car .")
    assert facts(page) == BIKE
    assert any("an expression of more than 10000 parts" in each.message for each in page.warnings)


def test_relative_iris_cost_their_statement_with_a_warning() -> None:
    page = read(f"{TURTLE} <Car> rdfs:subClassOf :Vehicle .")
    assert facts(page) == BIKE
    assert ["a relative IRI in a file without a base" in each.message for each in page.warnings] == [True]
    assert (
        facts(read("@base <urn:bike:x/> ." + f"{TURTLE} <http://a/Car> rdfs:subClassOf :Vehicle ."))[1][1]
        == "http://a/Car"
    )


@pytest.mark.parametrize(("suffix", "text", "line"), [("ttl", TURTLE + "\n:a :b ] .", 3), ("rdf", "<a>\n</b>", 2)])
def test_bad_syntax_is_an_error_with_its_line(suffix: str, text: str, line: int) -> None:
    assert refused(text, suffix).line == line


def test_the_facets_of_a_data_range_are_no_statements_of_their_own() -> None:
    page = read(
        f"{HEAD}{KINDS}:gears rdfs:range [ a rdfs:Datatype ; owl:onDatatype xsd:integer ;"
        " owl:withRestrictions ( [ xsd:minInclusive 1 ] [ xsd:maxInclusive 30 ] ) ] ."
    )
    facets = f'<{XSD}minInclusive> "1"^^{INTEGER} <{XSD}maxInclusive> "30"^^{INTEGER}'
    assert [fact for fact in facts(page) if fact[0] != "Declaration"] == [
        ("DataPropertyRange", f"{B}gears", None, f"DatatypeRestriction({INTEGER} {facets})")
    ]


@pytest.mark.parametrize("suffix", ["owl", "xml"])
@pytest.mark.parametrize("text", [TRIPLES, f"<http://bikes.test/Bike> a <{OWL}Class> ."], ids=["triples", "turtle"])
def test_triples_that_begin_with_an_iri_are_no_xml(suffix: str, text: str) -> None:
    assert "Declaration" in {fact[0] for fact in facts(read(text, suffix))}


def test_the_line_of_a_bad_manchester_frame_is_right_behind_text_beyond_ascii() -> None:
    comment = "# " + "ü" * 60
    text = (
        f"Prefix: : <https://t.example/>\n{comment}\n\nOntology: <urn:o>\nClass: :A\n    SubClassOf: ((\n" + "\n" * 80
    )
    with pytest.raises(PageError) as raised:
        read_page(b"x.omn", text.encode(), Reading())
    assert raised.value.line == 6
