"""Functional syntax: read whole or statement by statement, and mended where people err."""

from __future__ import annotations

import pytest

from visionflow_daemon.errors import PageError
from visionflow_daemon.formats import functional
from visionflow_daemon.formats.builder import PageBuilder
from visionflow_daemon.formats.statements import nesting
from visionflow_daemon.model import Axiom, Limits, Page, Reading

K = "https://example.org/kitchen#"
XSD = "http://www.w3.org/2001/XMLSchema#"
RDFS = "http://www.w3.org/2000/01/rdf-schema#"
Fact = tuple[str, str, str | None, str]
BROKEN = "\nSubClassOf(:Broken nowhere:Else)"
"""A statement whose prefix nobody declares: behind it, a text is read statement by statement."""


def read(text: str, first_line: int | None = 1, reading: Reading | None = None) -> Page:
    page = PageBuilder("test", reading or Reading())
    functional.read(page, text, first_line, K)
    return page.build()


def facts(page: Page) -> list[Fact]:
    return [(each.axiom_type, each.subject, each.property_iri, each.object) for each in page.axioms]


def warned(page: Page) -> list[tuple[str, int | None]]:
    return [(each.message, each.line) for each in page.warnings]


CLEAN = """
Declaration(Class(:Oven))  # what bakes
SubClassOf(:Oven :Appliance)
SubClassOf(:Oven ObjectSomeValuesFrom(:hasPart :Door))
DataPropertyAssertion(:heats <urn:k:mine> "180"^^xsd:integer)
"""
CLEAN_FACTS = [
    ("DataPropertyAssertion", "urn:k:mine", f"{K}heats", f'"180"^^<{XSD}integer>'),
    ("Declaration", f"{K}Oven", None, "Class"),
    ("SubClassOf", f"{K}Oven", None, f"{K}Appliance"),
    ("SubClassOf", f"{K}Oven", f"{K}hasPart", f"ObjectSomeValuesFrom(<{K}hasPart> <{K}Door>)"),
]


@pytest.mark.parametrize("tail", ["", "# the last line is a comment"])
def test_a_clean_text_is_read_whole(tail: str) -> None:
    page = read(CLEAN + tail)
    assert facts(page) == CLEAN_FACTS
    assert page.warnings == ()


def test_one_bad_statement_costs_itself_alone_and_tells_its_line() -> None:
    page = read(CLEAN + BROKEN, 40)
    assert facts(page) == CLEAN_FACTS
    assert warned(page) == [("left out, undeclared prefix 'nowhere:': SubClassOf(:Broken nowhere:Else)", 46)]


def test_parents_are_told_from_restrictions() -> None:
    assert {each.object for each in read(CLEAN).axioms if each.is_parent} == {f"{K}Appliance"}
    restriction = read(CLEAN).axioms[3]
    assert (restriction.property_type, restriction.is_parent) == ("ObjectProperty", False)


def test_a_whole_document_declares_its_own_prefixes() -> None:
    document = (
        "# a file\nPrefix(:=<urn:bike:>)\nPrefix(part:=<urn:part:>)\nOntology(<urn:bike>\n"
        'Import(<urn:elsewhere>)\nAnnotation(rdfs:label "Bikes")\nSubClassOf(:Wheel part:Thing)'
    )
    expected = [("SubClassOf", "urn:bike:Wheel", None, "urn:part:Thing")]
    mended = read(document + "\n)")
    assert facts(mended) == expected
    prefixed = "Prefix(rdfs:=<http://www.w3.org/2000/01/rdf-schema#>)\n" + document + "\n)"
    assert facts(read(prefixed)) == expected
    assert read(prefixed).warnings == ()
    broken = read(document + "\nSubClassOf(:Wheel lost:Thing)\n)")
    assert facts(broken) == expected
    assert (warned(broken)[-1][0][:40], warned(broken)[-1][1]) == ("left out, undeclared prefix 'lost:': Sub", 8)


def test_a_prefix_declared_in_the_text_holds_for_what_follows() -> None:
    page = read("SubClassOf(g:Gear g:Part)\nPrefix(g:=<urn:gear:>)\nSubClassOf(g:Cog g:Part)")
    assert facts(page) == [("SubClassOf", "urn:gear:Cog", None, "urn:gear:Part")]
    assert warned(page) == [("left out, undeclared prefix 'g:': SubClassOf(g:Gear g:Part)", 1)]


def test_lisp_order_is_read_with_a_warning() -> None:
    page = read("SubClassOf(:Pan :Pot)\n\nSubClassOf(:Pan\n  (ObjectSomeValuesFrom :hasPart :Handle))")
    whole = f"ObjectSomeValuesFrom(<{K}hasPart> <{K}Handle>)"
    assert facts(page) == [
        ("SubClassOf", f"{K}Pan", None, f"{K}Pot"),
        ("SubClassOf", f"{K}Pan", f"{K}hasPart", whole),
    ]
    ((message, line),) = warned(page)
    assert message.startswith("read as ObjectSomeValuesFrom(…), though written (first the parenthesis")
    assert line == 3


def test_bare_numbers_are_read_with_a_warning() -> None:
    page = read("SubClassOf(:Mug DataHasValue(:millilitres 250^^xsd:integer))")
    value = f'DataHasValue(<{K}millilitres> "250"^^<{XSD}integer>)'
    assert facts(page) == [("SubClassOf", f"{K}Mug", f"{K}millilitres", value)]
    assert warned(page)[0][0].startswith('read as "250", though written without quotation marks')


def test_both_kinds_of_comments_are_no_part_of_a_statement() -> None:
    page = read(
        ';; a heading\n## another\nSubClassOf(:Cup :Dish) ;; trails\nAnnotationAssertion(rdfs:comment :Cup "a #1 ;; b")'
    )
    assert facts(page) == [
        ("AnnotationAssertion", f"{K}Cup", f"{RDFS}comment", '"a #1 ;; b"'),
        ("SubClassOf", f"{K}Cup", None, f"{K}Dish"),
    ]
    assert page.warnings == ()


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ("SubClassOf(:Fork ObjectSomeValuesFrom(:of :Steel)", "its parentheses are not closed"),
        ('AnnotationAssertion(rdfs:label :Fork "fork)', "AnnotationValue is due"),
        ("AnnotationAssertion(rdfs:label :Fork \u201cfork\u201d)", "not readable|is due"),
        ("SubClassOf(:Fork zz:Tool)", "undeclared prefix 'zz:'"),
        ("SubClassOf(:Fork))", "is due|not readable"),
        ("Sorry, this is prose", "not an axiom"),
        ("SubClassOf(:Fork ObjectMinCardinality(4294967296 :tine :Tine))", "a cardinality above 4294967295"),
        ("SubClassOf(:Fork ObjectExactCardinality(99999999999999999999999 :tine))", "a cardinality above 4294967295"),
    ],
)
def test_a_broken_statement_leaves_its_neighbours_whole(bad: str, reason: str) -> None:
    page = read(f"SubClassOf(:Knife :Cutlery)\n{bad}\nSubClassOf(:Spoon :Cutlery)", 11)
    assert facts(page) == [
        ("SubClassOf", f"{K}Knife", None, f"{K}Cutlery"),
        ("SubClassOf", f"{K}Spoon", None, f"{K}Cutlery"),
    ]
    assert {line for _, line in warned(page)} == {12}
    assert any(part in warned(page)[0][0] for part in reason.split("|")), warned(page)


def test_the_greatest_cardinality_of_32_bits_is_read() -> None:
    page = read("SubClassOf(:Sieve ObjectMinCardinality(4294967295 :hole))")
    assert facts(page) == [("SubClassOf", f"{K}Sieve", f"{K}hole", f"ObjectMinCardinality(4294967295 <{K}hole>)")]


def nested(levels: int) -> str:
    return "SubClassOf(:Box " + "ObjectComplementOf(" * (levels - 1) + ":Lid" + ")" * levels


def test_nesting_is_read_up_to_the_limit() -> None:
    assert nesting(nested(200)) == 200
    assert read(nested(200)).warnings == ()
    assert len(read(nested(200)).axioms) == 1


@pytest.mark.parametrize("levels", [201, 30_000])
def test_nesting_beyond_the_limit_costs_the_statement(levels: int) -> None:
    page = read("SubClassOf(:Lid :Part)\n" + nested(levels))
    assert facts(page) == [("SubClassOf", f"{K}Lid", None, f"{K}Part")]
    assert [(message[:44], line) for message, line in warned(page)] == [
        ("left out, nested deeper than 200 levels: Sub", 2)
    ]


def test_parentheses_in_comments_and_literals_do_not_nest() -> None:
    assert nesting('# ((((\nA(:b "((((" <urn:x> C(:d))') == 2


def test_more_statements_than_the_limit_are_an_error_that_tells_the_line() -> None:
    with pytest.raises(PageError) as error:
        read(
            "SubClassOf(:A :B)\nSubClassOf(:B :C)\nSubClassOf(:C :D)" + BROKEN, 5, Reading(limits=Limits(statements=2))
        )
    assert error.value.line == 7


@pytest.mark.parametrize("tail", ["", BROKEN], ids=["whole", "one by one"])
def test_operands_of_sets_have_one_order(tail: str) -> None:
    ways = (
        "EquivalentClasses(:Tea ObjectUnionOf(:Green :Black :Green) :Brew)",
        "EquivalentClasses(ObjectUnionOf(:Black :Green) :Brew :Tea :Tea)",
    )
    (expected,) = [
        ("EquivalentClass", f"{K}Brew", None, f"<{K}Tea> ObjectUnionOf(<{K}Black> <{K}Green>)"),
    ]
    assert [facts(read(way + tail)) for way in ways] == [[expected], [expected]]


def test_operands_of_chains_keep_their_order() -> None:
    page = read("SubObjectPropertyOf(ObjectPropertyChain(:z :a :m) :b)")
    assert facts(page) == [("SubObjectPropertyOf", f"ObjectPropertyChain(<{K}z> <{K}a> <{K}m>)", None, f"{K}b")]


def test_annotations_on_axioms_are_kept_in_one_order() -> None:
    one, other = 'Annotation(rdfs:comment "sure")', "Annotation(rdfs:seeAlso <urn:book>)"
    ways = [read(f"SubClassOf({first} {second} :Whisk :Tool)") for first, second in ((one, other), (other, one))]
    expected = f'Annotation(<{RDFS}comment> "sure") Annotation(<{RDFS}seeAlso> <urn:book>)'
    whisk = Axiom("SubClassOf", f"{K}Whisk", f"{K}Tool", annotations=expected, is_parent=True)
    assert [way.axioms for way in ways] == [(whisk,), (whisk,)]


def test_an_unclosed_quotation_mark_takes_nothing_of_what_follows() -> None:
    page = read(
        'AnnotationAssertion(rdfs:label :Fork "fork)\nSubClassOf(:Spoon :Cutlery)\n'
        'AnnotationAssertion(rdfs:label :Spoon "spoon")',
        3,
    )
    assert facts(page) == [
        ("AnnotationAssertion", f"{K}Spoon", f"{RDFS}label", '"spoon"'),
        ("SubClassOf", f"{K}Spoon", None, f"{K}Cutlery"),
    ]
    ((message, line),) = warned(page)
    assert message.startswith("left out, a quotation mark is not closed: AnnotationAssertion(rdfs:label :Fork")
    assert line == 3


def test_the_first_declared_class_of_a_text_comes_first() -> None:
    page = read("Declaration(Class(:Zester))\nDeclaration(Class(:Apron))\nDeclaration(Class(<urn:k:Mop>))")
    assert [each.iri for each in page.classes] == [f"{K}Zester", f"{K}Apron", "urn:k:Mop"]


def test_labels_comments_and_sides_go_to_what_is_declared() -> None:
    page = read(
        "Declaration(Class(:Jug)) Declaration(DataProperty(:volume)) DataPropertyRange(:volume xsd:decimal)\n"
        'AnnotationAssertion(rdfs:label :Jug "Krug"@de) AnnotationAssertion(rdfs:label :Jug "a \\"jug\\""@en)\n'
        'AnnotationAssertion(skos:definition :Jug "pours") DataPropertyDomain(:volume :Jug)\n'
        "FunctionalDataProperty(:volume)"
    )
    assert [(each.iri, each.label, each.comment) for each in page.classes] == [(f"{K}Jug", 'a "jug"', "pours")]
    (volume,) = page.properties
    assert (volume.iri, volume.property_type, volume.domain) == (f"{K}volume", "DataProperty", f"{K}Jug")
    assert (volume.range, volume.characteristics) == (f"{XSD}decimal", '["Functional"]')
