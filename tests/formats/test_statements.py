"""Cutting functional syntax: where statements begin, and what is none."""

from __future__ import annotations

import pytest

from visionflow_daemon.formats.statements import is_axioms, statements

TEXT = """
Declaration(Class(:Oven))  # what bakes
SubClassOf(
  :Oven
  :Appliance)
SubClassOf(:Oven ObjectSomeValuesFrom(:hasPart :Door))
DataPropertyAssertion(:heats <urn:k:mine> "180"^^xsd:integer)
"""


@pytest.mark.parametrize(
    ("body", "tag", "expected"),
    [
        ("SubClassOf(:A :B)", "", True),
        ("# note\n;; note\n(SubClassOf :A :B)", "clojure", True),
        ("Prefix(:=<urn:x>)", "owl", True),
        ("Subclass(:A :B)", "clojure", True),
        ("Subclass(:A :B)", "", False),
        ("#+BEGIN_QUERY\n{:query [:find ?p]}\n#+END_QUERY", "clojure", False),
        ("{{query (page-tags [[kitchen]])}}", "clojure", False),
        ('{:title "Pans" :query [:find ?p]}', "clojure", False),
        ("[:find ?pan :where [?pan :pan/size 3]]", "clojure", False),
        ("(defn bake [dough] dough)", "clojure", False),
        ("print(SubClassOf)", "", False),
        ("", "owl", False),
    ],
)
def test_queries_and_other_languages_are_told_from_axioms(body: str, tag: str, expected: bool) -> None:  # noqa: FBT001
    assert is_axioms(body, tag) is expected


def test_statements_know_the_line_they_begin_on() -> None:
    found = list(statements(TEXT, 100))
    assert [(each.line, each.keyword) for each in found] == [
        (101, "Declaration"),
        (102, "SubClassOf"),
        (105, "SubClassOf"),
        (106, "DataPropertyAssertion"),
    ]
    assert found[1].text == "SubClassOf(:Oven :Appliance)"
