"""What is made of the values of old columns."""

from __future__ import annotations

import pytest

from visionflow_daemon.storage.legacy import clean

PREFIXES = {"mv": "http://x/mv#", "": "http://x/#"}


@pytest.mark.parametrize(
    ("value", "iri"),
    [
        ("http://x/A", "http://x/A"),
        (" http://x/A\n", "http://x/A"),
        ("<http://x/A>", "http://x/A"),
        ("mv:A", "http://x/mv#A"),
        (":A", "http://x/#A"),
        ("other:A", "other:A"),
        ("mv://host", "mv://host"),
        ("a b", "a b"),
        ("", None),
        (" <> ", None),
        (None, None),
        (b"http://x/\xff", "http://x/\\xff"),
        (17, "17"),
    ],
)
def test_an_iri(value: object, iri: str | None) -> None:
    assert clean.iri(value, PREFIXES) == iri


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("object", "ObjectProperty"),
        ("ObjectProperty", "ObjectProperty"),
        ("object_property", "ObjectProperty"),
        ("owl:DatatypeProperty", "DataProperty"),
        ("data", "DataProperty"),
        ("ANNOTATION", "AnnotationProperty"),
        (None, "ObjectProperty"),
        ("odd kind", "odd kind"),
    ],
)
def test_a_kind_of_property(value: object, name: str) -> None:
    assert clean.property_type(value) == name


@pytest.mark.parametrize(
    ("value", "domain"),
    [
        (None, None),
        ("", None),
        ("null", None),
        ("[]", None),
        ("{}", None),
        ("mv:A", "http://x/mv#A"),
        ('"mv:A"', "http://x/mv#A"),
        ('["mv:A"]', "http://x/mv#A"),
        ('["mv:B", "mv:A", "mv:A"]', "ObjectIntersectionOf(<http://x/mv#A> <http://x/mv#B>)"),
        ("ObjectUnionOf(<a:a> <b:b>)", "ObjectUnionOf(<a:a> <b:b>)"),
        ('{"a": 1}', '{"a": 1}'),
        ("[broken", "[broken"),
    ],
)
def test_a_domain(value: object, domain: str | None) -> None:
    assert clean.class_of_several(value, "ObjectIntersectionOf", PREFIXES) == domain


@pytest.mark.parametrize("value", [None, 1, 1.5, "x", b"\x00\xff", float("inf"), 2**62])
def test_any_value_can_be_shown(value: object) -> None:
    assert clean.canonical(clean.shown(value))
