"""Anonymous individuals: named by what is said of them, and never merged."""

from __future__ import annotations

import random

import pytest

from visionflow_daemon.formats import functional
from visionflow_daemon.formats.builder import PageBuilder
from visionflow_daemon.formats.choose import read_page
from visionflow_daemon.model import Page, Reading

K = "https://example.org/kitchen#"
Fact = tuple[str, str, str | None, str]
BROKEN = "\nSubClassOf(:Broken nowhere:Else)"
"""A statement whose prefix nobody declares: with it, a text is read statement by statement."""


def read(text: str) -> Page:
    page = PageBuilder("test", Reading())
    functional.read(page, text, 1, K)
    return page.build()


def facts(page: Page) -> list[Fact]:
    return [(each.axiom_type, each.subject, each.property_iri, each.object) for each in page.axioms]


PEOPLE = [
    'DataPropertyAssertion(:name _:{0} "Ada")',
    "ObjectPropertyAssertion(:teaches _:{0} _:{1})",
    "ObjectPropertyAssertion(:teaches _:{1} _:{2})",
    "ClassAssertion(:Cook _:{2})",
]


def cooks(labels: tuple[str, ...], seed: int = 0, tail: str = "") -> Page:
    lines = [line.format(*labels) for line in PEOPLE]
    random.Random(seed).shuffle(lines)  # noqa: S311 - an order, not a secret
    return read("\n".join(lines) + tail)


@pytest.mark.parametrize("labels", [("a", "b", "c"), ("c", "b", "a"), ("x1", "genid7", "q")])
@pytest.mark.parametrize("tail", ["", BROKEN], ids=["whole", "one by one"])
def test_blank_nodes_are_named_by_what_is_said_of_them(labels: tuple[str, ...], tail: str) -> None:
    expected = facts(cooks(("a", "b", "c")))
    assert len({subject for _, subject, _, _ in expected}) == 3
    assert [facts(cooks(labels, seed, tail)) for seed in range(6)] == [expected] * 6


def test_blank_nodes_that_nothing_tells_apart_stay_apart() -> None:
    ring = [f"ObjectPropertyAssertion(:next _:n{number} _:n{(number + 1) % 12})" for number in range(12)]
    page = read("\n".join(ring))
    assert len(page.axioms) == 12
    assert len({each.subject for each in page.axioms}) == 12


def test_alike_blank_nodes_of_separate_statements_are_never_merged() -> None:
    page = read("\n".join(f"ClassAssertion(:Egg _:e{number})" for number in range(5)))
    assert len({each.subject for each in page.axioms}) == 5


def test_blank_nodes_of_graphs_that_loop_are_named_alike() -> None:
    def loop(labels: str, reverse: int) -> Page:
        pairs = list(zip(labels, labels[1:] + labels[0], strict=True))
        lines = [f"ObjectPropertyAssertion(:next _:{one} _:{two})" for one, two in pairs]
        lines.append(f"ClassAssertion(:Start _:{labels[0]})")
        return read("\n".join(lines[::reverse]))

    first = loop("abcdef", 1)
    assert len({each.subject for each in first.axioms}) == 6
    assert facts(loop("fedcba", -1)) == facts(first)
    assert facts(loop("qwerty", 1)) == facts(first)


def test_what_is_said_in_annotations_names_blank_nodes() -> None:
    def noted(one: str, two: str) -> Page:
        return read(f"SubClassOf(Annotation(:by _:{one}) :Stew :Meal)\nSubClassOf(Annotation(:by _:{two}) :Soup :Meal)")

    assert noted("x", "y").axioms == noted("b", "a").axioms
    assert len({each.annotations for each in noted("x", "y").axioms}) == 2


def test_what_is_said_elsewhere_of_a_blank_node_changes_its_name() -> None:
    plain = read("ClassAssertion(:Pan _:p)")
    red = read('ClassAssertion(:Pan _:p) DataPropertyAssertion(:colour _:p "red")')
    assert plain.axioms[0].subject.startswith("_:b")
    assert plain.axioms[0].subject != red.axioms[0].subject


def test_blank_nodes_of_turtle_are_named_alike_at_every_reading() -> None:
    head = f"@prefix : <{K}> .\n"
    ways = (
        ':cook :uses [ a :Pan ; :colour "red" ] , [ a :Pan ; :colour "blue" ] .',
        ':cook :uses _:b2, _:b1 . _:b1 :colour "blue" ; a :Pan . _:b2 :colour "red" . _:b2 a :Pan .',
    )
    pages = [read_page(b"k.ttl", (head + way).encode(), Reading()) for way in ways * 2]
    assert [each.axioms for each in pages] == [pages[0].axioms] * 4
    assert len({each.object for each in pages[0].axioms if each.axiom_type == "ObjectPropertyAssertion"}) == 2


def test_many_blank_nodes_take_bounded_time() -> None:
    lines = [f'DataPropertyAssertion(:number _:n{number} "{number}")' for number in range(3_000)]
    lines += [f"ObjectPropertyAssertion(:next _:n{number} _:n{number + 1})" for number in range(2_999)]
    page = read("\n".join(lines))
    assert len(page.axioms) == 5_999
    assert len({each.subject for each in page.axioms}) == 3_000


def test_blank_nodes_of_separate_fences_are_never_merged() -> None:
    fences = "".join(f"```owl\nClassAssertion(mv:Egg _:{label})\n```\n" for label in ("one", "two"))
    page = read_page(b"Egg.md", f"- ### OntologyBlock\n  - owl:class:: mv:Egg\n{fences}".encode(), Reading())
    assert len({each.subject for each in page.axioms if each.axiom_type == "ClassAssertion"}) == 2
