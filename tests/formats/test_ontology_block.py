"""OntologyBlock pages: identity, properties as written, relations to wikilinks, fences of axioms."""

from __future__ import annotations

import json

import pytest

from visionflow_daemon.errors import PageError
from visionflow_daemon.formats.choose import read_page
from visionflow_daemon.model import Axiom, Link, NameRank, Page, PageName, Reading

MV = "http://narrativegoldmine.com/metaverse#"
BIKE = f"{MV}Bicycle"


def read(text: str, reading: Reading | None = None) -> Page:
    return read_page(b"Two Wheeler.md", text.encode(), reading or Reading())


def block(*lines: str) -> Page:
    body = "".join(f"  - {line}\n" for line in lines)
    return read(f"- ### OntologyBlock\n  - owl:class:: mv:Bicycle\n{body}")


def part(target: str, minted: str | None, annotations: str = "", key: str = "hasPart") -> Link:
    return Link("ObjectPropertyAssertion", BIKE, target, minted, MV + key, annotations)


WHOLE = """public:: true
alias:: Bike, [[Push Bike]]

- ### OntologyBlock
\tid:: 1234
\tcollapsed:: true
\t- **Identification**
\t\t- owl:class:: mv:Bicycle
\t\t- preferred-term:: Bicycle
\t\t- term-id:: 77
\t\t- source:: [[A Catalogue]]
\t- **Definition**
\t\t- definition:: "A vehicle with [[Wheel|wheels]]."
\t- #### Relationships
\t\t- is-subclass-of:: [[Vehicle]]
\t\t- has-part:: [[Wheel]], [[3D Printed Frame|frame]]
\t\t  has-part:: [[Bell]]
- Prose with [[Elsewhere]]
\t- preferred-term:: not this one
"""


def test_a_whole_block_is_read() -> None:
    page = read(WHOLE)
    (bicycle,) = page.classes
    assert (bicycle.iri, bicycle.label, bicycle.comment) == (BIKE, "Bicycle", "A vehicle with [[Wheel|wheels]].")
    assert json.loads(bicycle.properties) == {"term-id": "77", "source": "[[A Catalogue]]"}
    assert page.links == (
        part("3d printed frame", f"{MV}3DPrintedFrame"),
        part("bell", f"{MV}Bell"),
        part("wheel", f"{MV}Wheel"),
        Link("SubClassOf", BIKE, "vehicle", f"{MV}Vehicle"),
    )
    assert page.names == (
        PageName("bicycle", NameRank.PREFERRED_TERM),
        PageName("bike", NameRank.ALIAS),
        PageName("push bike", NameRank.ALIAS),
        PageName("two wheeler", NameRank.TITLE),
    )
    assert page.is_public
    assert page.warnings == ()
    assert page.outbound_links[-1] == "Elsewhere"


def test_tabs_and_spaces_mean_the_same() -> None:
    assert read(WHOLE.replace("\t", "  ")) == read(WHOLE)


def test_a_predicate_behind_a_link_is_an_annotation() -> None:
    page = block("bridges-to:: [[Roller Skate]] via enables, [[Scooter]]")
    via = f'Annotation(<{MV}via> "enables")'
    assert page.links == (
        part("roller skate", f"{MV}RollerSkate", via, "bridgesTo"),
        part("scooter", f"{MV}Scooter", key="bridgesTo"),
    )


def test_keys_that_are_no_relations_are_configurable() -> None:
    text = "- ### OntologyBlock\n  - owl:class:: mv:Bicycle\n  - seen-at:: [[Fair]]\n  - source:: [[Book]]\n"
    assert [link.name for link in read(text).links] == ["fair"]
    assert [link.name for link in read(text, Reading(not_relations=frozenset({"seen-at"}))).links] == ["book"]


def test_a_prefixed_key_is_expanded_and_another_key_turns_to_camel_case() -> None:
    page = block("skos:related:: [[Tandem]]", "goes_well-with:: [[Helmet]]")
    assert {(link.name, link.property_iri) for link in page.links} == {
        ("tandem", "http://www.w3.org/2004/02/skos/core#related"),
        ("helmet", f"{MV}goesWellWith"),
    }


def test_a_full_iri_is_an_identity_and_names_the_namespace() -> None:
    page = read("- ### OntologyBlock\n  - owl:class:: <https://bikes.test/v#Bike>\n  - has-part:: [[Rear Gear]]\n")
    (link,) = page.links
    assert (link.subject, link.minted_iri) == ("https://bikes.test/v#Bike", "https://bikes.test/v#RearGear")


def test_a_name_of_special_characters_mints_nothing() -> None:
    assert block("has-part:: [[???]]").links == (part("???", None),)


@pytest.mark.parametrize("tag", ["clojure", "owl", ""])
def test_fences_of_axioms_are_read_and_queries_are_not(tag: str) -> None:
    page = read(
        f"- ### OntologyBlock\n  - owl:class:: mv:Bicycle\n  - ```{tag}\n    ## axioms\n"
        f"    SubClassOf(:Bicycle mv:Vehicle)\n"
        f"    SubClassOf(mv:Bicycle (ObjectSomeValuesFrom mv:has mv:Gear))\n    ```\n"
        f"  - ```{tag}\n    {{:query [:find ?b]}}\n    ```\n  - ```python\n    SubClassOf(mv:No mv:No)\n    ```\n"
    )
    whole = f"ObjectSomeValuesFrom(<{MV}has> <{MV}Gear>)"
    assert page.axioms == (
        Axiom("SubClassOf", BIKE, f"{MV}Vehicle", is_parent=True),
        Axiom("SubClassOf", BIKE, whole, f"{MV}has", "ObjectProperty"),
    )
    assert [each.line for each in page.warnings] == [6]


def test_an_identity_without_a_known_prefix_is_refused_with_its_line() -> None:
    with pytest.raises(PageError) as error:
        read("intro\n\n- ### OntologyBlock\n  - owl:class:: bikes:Bicycle\n")
    assert error.value.line == 4
    assert error.value.reason == "owl:class:: 'bikes:Bicycle' is no IRI, or its prefix is not declared"


def test_comments_and_empty_values_say_nothing() -> None:
    page = block(
        "status:: <!-- later -->", "<!-- has-part:: [[Wing]] -->", "maturity::", "<!--", "has-part:: [[Fin]]", "-->"
    )
    assert (page.links, page.classes[0].properties) == ((), "{}")


def test_a_key_on_several_lines_keeps_all_its_values() -> None:
    assert json.loads(block("colour:: red", "colour:: blue").classes[0].properties) == {"colour": ["red", "blue"]}


def test_several_blocks_declare_several_classes() -> None:
    page = read("- ### OntologyBlock\n  - owl:class:: mv:Wheel\n- ### OntologyBlock\n  - owl:class:: mv:Axle\n")
    assert [each.iri for each in page.classes] == [f"{MV}Wheel", f"{MV}Axle"]


def test_a_fence_that_is_never_closed_is_read_with_a_warning() -> None:
    page = read("- ### OntologyBlock\n  - owl:class:: mv:Bicycle\n```owl\nSubClassOf(mv:Bicycle mv:Vehicle)\n")
    assert page.axioms == (Axiom("SubClassOf", BIKE, f"{MV}Vehicle", is_parent=True),)
    assert [(each.message[:30], each.line) for each in page.warnings] == [("this fence is never closed: re", 3)]


def test_a_block_ends_where_another_begins() -> None:
    page = read(
        "- ### OntologyBlock\n  - owl:class:: mv:Bicycle\n  - ### OntologyBlock\n    - owl:class:: mv:Wheel\n"
        "    - preferred-term:: Wheel\n"
    )
    assert [(each.iri, each.label) for each in page.classes] == [(BIKE, None), (f"{MV}Wheel", "Wheel")]
