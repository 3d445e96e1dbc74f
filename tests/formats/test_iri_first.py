"""IRI-first pages: flat properties from the first line, sections in any order."""

from __future__ import annotations

import json

import pytest

from visionflow_daemon.errors import PageError
from visionflow_daemon.formats.choose import read_page
from visionflow_daemon.model import Link, NameRank, Page, PageName, Reading

N = "http://narrativegoldmine.com/robotics#"
HEAD = f"iri:: {N}Whisk\nrdf-type:: owl:Class\n"
DEFINITION = "- ### Definition\n  - Beats [[Egg]] whites,\n    and cream.\n  - More text.\n"
RELATIONS = (
    "- ### Relationships\n  - is-subclass-of:: [[Kitchen Tool]], [[Hand Tool]]\n"
    "  - bridges-to:: [[Robot Control]] (domain: robotics)\n"
)


def read(text: str) -> Page:
    return read_page(b"Whisk.md", text.encode(), Reading())


@pytest.mark.parametrize("sections", [DEFINITION + RELATIONS, RELATIONS + DEFINITION])
def test_a_page_is_read_whatever_the_order_of_its_sections(sections: str) -> None:
    page = read(HEAD + "uri:: urn:k:whisk\npreferred-term:: Whisk\nauthor-did::\npublic:: true\n\n" + sections)
    (whisk,) = page.classes
    assert (whisk.iri, whisk.label, whisk.comment) == (f"{N}Whisk", "Whisk", "Beats [[Egg]] whites, and cream.")
    assert json.loads(whisk.properties) == {"rdf-type": "owl:Class", "uri": "urn:k:whisk", "public": "true"}
    assert page.links == (
        Link("ObjectPropertyAssertion", whisk.iri, "robot control", f"{N}RobotControl", f"{N}bridgesTo"),
        Link("SubClassOf", whisk.iri, "hand tool", f"{N}HandTool"),
        Link("SubClassOf", whisk.iri, "kitchen tool", f"{N}KitchenTool"),
    )
    assert page.names == (PageName("whisk", NameRank.TITLE),)
    assert page.is_public
    assert page.warnings == ()
    assert set(page.outbound_links) == {"Egg", "Kitchen Tool", "Hand Tool", "Robot Control"}


def test_without_the_public_property_a_page_is_private() -> None:
    assert not read(HEAD + "public::\n").is_public


def test_a_definition_property_stands_in_for_the_section() -> None:
    page = read(HEAD + 'definition:: "Beats."\n')
    assert page.classes[0].comment == "Beats."
    assert json.loads(page.classes[0].properties) == {"rdf-type": "owl:Class"}


def test_comments_are_no_text() -> None:
    page = read(HEAD + "<!-- status:: gone -->\n- ### Definition <!-- here -->\n  <!-- not yet -->\n  - Beats.\n")
    assert page.classes[0].comment == "Beats."
    assert "status" not in page.classes[0].properties


def test_a_prefixed_identity_is_expanded() -> None:
    assert read(HEAD.replace(N, "rb:")).classes[0].iri == f"{N}Whisk"


@pytest.mark.parametrize(
    ("identity", "reason", "line"),
    [
        ("", "iri:: is empty", 2),
        ("no iri", "iri:: 'no iri' is no IRI", 2),
        ("zz:Whisk", "iri:: 'zz:Whisk' is no IRI", 2),
    ],
)
def test_a_bad_identity_is_refused_with_its_line(identity: str, reason: str, line: int) -> None:
    with pytest.raises(PageError) as error:
        read(f"\niri:: {identity}\nrdf-type:: owl:Class\n")
    assert (error.value.reason, error.value.line) == (reason, line)


def test_axioms_in_fences_are_read_in_the_namespace_of_the_class() -> None:
    page = read(HEAD + "\n```owl\nSubClassOf(:Whisk :Tool)\nSubClassOf(:Whisk zz:Tool)\n```\n")
    assert [(each.axiom_type, each.subject, each.property_iri, each.object) for each in page.axioms] == [
        ("SubClassOf", f"{N}Whisk", None, f"{N}Tool")
    ]
    assert [each.line for each in page.warnings] == [6]


@pytest.mark.parametrize("empty", ["  - <!-- not yet -->", "  -"])
def test_an_empty_bullet_before_the_definition_is_no_text(empty: str) -> None:
    assert read(HEAD + f"- ### Definition\n{empty}\n  - Beats.\n").classes[0].comment == "Beats."
