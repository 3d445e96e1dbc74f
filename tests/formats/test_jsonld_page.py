"""JSON-LD pages: what the fences say of a class, its relations as written, and what is no fact."""

from __future__ import annotations

import json

import pytest

from visionflow_daemon.errors import PageError
from visionflow_daemon.formats.choose import read_page
from visionflow_daemon.model import Page, Reading

VC = "https://narrativegoldmine.com/ns/v1#"
SELF = "urn:k:kettle"
Fact = tuple[str, str, str | None, str]


def fence(tag: str = "json-ld", indent: int | None = None, **block: object) -> str:
    return f"```{tag}\n{json.dumps(block, indent=indent)}\n```\n"


def kettle(indent: int | None = None, **more: object) -> str:
    return "# Kettle\n" + fence(indent=indent, **{"@id": SELF, "@type": "Class", "label": "Kettle", **more})


def read(text: str) -> Page:
    return read_page(b"Kettle.md", text.encode(), Reading())


def facts(page: Page) -> list[Fact]:
    return [(each.axiom_type, each.subject, each.property_iri, each.object) for each in page.axioms]


def relation(key: str, target: str) -> Fact:
    return ("ObjectPropertyAssertion", SELF, key, target)


def test_all_that_is_said_of_a_class_is_kept() -> None:
    page = read(kettle(definition="Boils water.", maturity="mature", quality={"b": 1, "a": [True, None, 0.5]}))
    (fact,) = page.classes
    assert (fact.iri, fact.label, fact.comment) == (SELF, "Kettle", "Boils water.")
    assert fact.properties == '{"maturity":"mature","quality":{"a":[true,null,0.5],"b":1}}'


@pytest.mark.parametrize("indent", [None, 1, 4])
def test_lists_and_bare_objects_mean_the_same(indent: int | None) -> None:
    items = [{"@id": "urn:k:pot", "label": "Pot"}, {"vc:label": "Can", "@id": "urn:k:can"}]
    page = read(
        kettle(indent, subClassOf=items[0], sameAs=items[1:], relations={"hasPart": items, "enables": items[0]})
    )
    assert facts(page) == [
        relation("http://www.w3.org/2002/07/owl#sameAs", "urn:k:can"),
        relation(f"{VC}enables", "urn:k:pot"),
        relation(f"{VC}hasPart", "urn:k:can"),
        relation(f"{VC}hasPart", "urn:k:pot"),
        ("SubClassOf", SELF, None, "urn:k:pot"),
    ]
    assert page.classes[0].properties == "{}"


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("partOf", f"{VC}isPartOf"),
        ("requires", f"{VC}requires"),
        ("depends-on", f"{VC}depends-on"),
        ("relatedTo_2", f"{VC}relatedTo_2"),
        ("skos:related", "http://www.w3.org/2004/02/skos/core#related"),
        ("two words", f"{VC}two%20words"),
    ],
)
def test_a_relation_keeps_its_key(key: str, expected: str) -> None:
    assert facts(read(kettle(relations={key: {"@id": "urn:k:lid"}}))) == [relation(expected, "urn:k:lid")]


@pytest.mark.parametrize("key", ["subClassOf", "isSubclassOf"])
def test_parents_among_the_relations_are_parents(key: str) -> None:
    page = read(kettle(relations={key: [{"@id": "urn:k:pot"}]}))
    assert facts(page) == [("SubClassOf", SELF, None, "urn:k:pot")]
    assert page.axioms[0].is_parent


def test_flat_relations_of_older_blocks_are_relations() -> None:
    block = {"vc:hasPart": [{"@id": "urn:k:lid"}], "vc:partOf": {"@id": "urn:k:set"}, "vc:plainGloss": "a pot"}
    page = read(kettle(**block))
    assert facts(page) == [relation(f"{VC}hasPart", "urn:k:lid"), relation(f"{VC}isPartOf", "urn:k:set")]
    assert page.classes[0].properties == '{"vc:plainGloss":"a pot"}'


def test_other_blocks_hold_no_facts() -> None:
    for kind in ("LinkResolutionsAnnotation", "vc:LinkResolutionsAnnotation"):
        extra = fence(**{"@type": kind, "@id": "urn:k:links", "relations": {"hasPart": {"@id": "urn:k:no"}}})
        assert read(kettle() + extra) == read(kettle())


@pytest.mark.parametrize("kind", ["Class", "OntologyClass", "Individual", ["Class", "Other"]])
def test_each_type_of_class_is_read(kind: str | list[str]) -> None:
    assert [each.iri for each in read(kettle(**{"@type": kind})).classes] == [SELF]


@pytest.mark.parametrize(("flag", "public"), [(True, True), (False, False), ("true", False), (None, False)])
def test_only_the_page_blocks_flag_makes_public(flag: object, public: bool) -> None:  # noqa: FBT001
    page = fence(
        **{"@type": "Page", "@id": "urn:p", "title": "Kettle", **({} if flag is None else {"vc:public": flag})}
    )
    assert read("public:: true\n\n" + page + kettle()).is_public is public


def test_the_outbound_links_of_the_page_block_are_kept() -> None:
    links = ["Tea", {"@id": "urn:c", "label": "Cup"}, {"@id": "urn:d", "vc:label": "Dish"}, 5]
    assert read(fence(**{"@type": "Page", "vc:outboundWikilinks": links}) + kettle()).outbound_links == (
        "Tea",
        "Cup",
        "Dish",
    )


def test_a_context_is_neither_fetched_nor_kept() -> None:
    assert read(kettle(**{"@context": "https://127.0.0.1:1/context.jsonld"})) == read(kettle())


def test_targets_without_an_iri_cost_themselves_alone() -> None:
    page = read(
        kettle(relations={"hasPart": [{"label": "Lid"}, {"@id": "has blanks"}, {"@id": "urn:k:lid"}], "uses": 7})
    )
    assert facts(page) == [relation(f"{VC}hasPart", "urn:k:lid")]
    assert [(each.message, each.line) for each in page.warnings] == [
        ("hasPart left out: an item without an @id", 3),
        ("relation left out: invalid IRI 'has blanks'", 3),
        ("uses left out: an item without an @id", 3),
    ]


@pytest.mark.parametrize(
    ("text", "reason", "line"),
    [
        ("# K\n```json-ld\n{\n 'a': 1}\n```\n", "bad JSON: ", 4),
        ("# K\n\n```json-ld\n{}\n", "this json-ld fence is never closed", 3),
        ("```json-ld\n[1]\n```\n", "a json-ld fence must hold an object, not list", 2),
        ('```json-ld\n{"@type": "Class"}\n```\n', "a Class block without an @id", 2),
        ('x\n```json-ld\n{"@type": "Class", "@id": "a b"}\n```\n', "class with invalid IRI 'a b'", 3),
    ],
)
def test_a_broken_block_is_refused_with_its_line(text: str, reason: str, line: int) -> None:
    with pytest.raises(PageError) as error:
        read(text)
    assert error.value.reason.startswith(reason)
    assert error.value.line == line
