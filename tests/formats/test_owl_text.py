"""OWL text pages: axioms indented below `owl:functional-syntax::`."""

from __future__ import annotations

import pytest

from visionflow_daemon.formats.choose import read_page
from visionflow_daemon.model import Page, Reading

MV = "http://narrativegoldmine.com/metaverse#"
Fact = tuple[str, str, str | None, str]


def read(text: str) -> Page:
    return read_page(b"Bicycles.md", text.encode(), Reading())


def facts(page: Page) -> list[Fact]:
    return [(each.axiom_type, each.subject, each.property_iri, each.object) for each in page.axioms]


def sub(child: str, parent: str) -> Fact:
    return ("SubClassOf", MV + child, None, MV + parent)


def test_sections_are_read_and_prose_is_not() -> None:
    page = read(
        "- Bicycles in prose, SubClassOf(mv:No mv:No)\n"
        "- owl:functional-syntax:: |\n    # wheels\n    SubClassOf(mv:Rim mv:Part)\n\n    SubClassOf(mv:Hub mv:Part)\n"
        "- more prose on [[Wheel]]\n  - owl:functional-syntax::\n      SubClassOf(mv:Spoke mv:Part)\n- end\n"
    )
    assert facts(page) == [sub("Hub", "Part"), sub("Rim", "Part"), sub("Spoke", "Part")]
    assert page.warnings == ()
    assert page.outbound_links == ("Wheel",)


def test_what_one_section_declares_holds_for_the_next() -> None:
    page = read(
        "owl:functional-syntax:: |\n  Prefix(b:=<urn:b:>)\n  SubClassOf(b:Rim zz:No)\n"
        "- prose\n- owl:functional-syntax:: |\n    SubClassOf(b:Hub b:Part)\n"
    )
    assert facts(page) == [("SubClassOf", "urn:b:Hub", None, "urn:b:Part")]
    assert [(each.message, each.line) for each in page.warnings] == [
        ("left out, undeclared prefix 'zz:': SubClassOf(b:Rim zz:No)", 3)
    ]


def test_an_axiom_may_take_several_lines() -> None:
    page = read(
        "owl:functional-syntax:: |\n  SubClassOf(mv:Bike\n    ObjectSomeValuesFrom(mv:has\n      mv:Bell)\n  )\n"
    )
    assert facts(page) == [("SubClassOf", f"{MV}Bike", f"{MV}has", f"ObjectSomeValuesFrom(<{MV}has> <{MV}Bell>)")]


def test_fences_of_axioms_on_such_a_page_are_read_too() -> None:
    page = read("owl:functional-syntax:: |\n  SubClassOf(mv:A mv:B)\n- x\n```owl\nSubClassOf(mv:C mv:D)\n```\n")
    assert facts(page) == [sub("A", "B"), sub("C", "D")]


@pytest.mark.parametrize(
    "text",
    [
        "owl:functional-syntax::\n- no axiom\n",
        "the key owl:functional-syntax:: | in prose\n",
        "owl:functional-syntax:: |\n",
        "```\nowl:functional-syntax:: |\n  SubClassOf(mv:A mv:B)\n```\n",
    ],
)
def test_the_key_alone_makes_no_ontology(text: str) -> None:
    assert read(text).format == "plain"
