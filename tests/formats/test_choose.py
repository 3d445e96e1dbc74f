"""Choosing a file's format by its content, and what every file has to be to be read."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from visionflow_daemon.errors import PageError
from visionflow_daemon.formats.choose import read_page, reading_digest
from visionflow_daemon.model import Limits, NameRank, Page, PageName, Reading

pytestmark = [
    pytest.mark.filterwarnings("ignore:ConjunctiveGraph is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Dataset.default_context is deprecated:DeprecationWarning"),
]
MV = "http://narrativegoldmine.com/metaverse#"
JSONLD = """public:: true
alias:: Spyglass

# Telescope
```json-ld
{"@id": "urn:s:page", "@type": "Page", "title": "Telescope", "vc:public": true}
```
```json-ld
{"@id": "urn:s:telescope", "@type": "Class", "label": "Telescope", "definition": "Sees far.",
 "subClassOf": {"@id": "urn:s:instrument"}, "relations": {"hasPart": [{"@id": "urn:s:lens"}]}}
```
"""
BLOCK = """- ### OntologyBlock
  - owl:class:: mv:Telescope
  - preferred-term:: Telescope
  - has-part:: [[Main Lens]]
    ```clojure
    SubClassOf(mv:Telescope mv:Instrument)
    ```
"""
IRI_FIRST = """iri:: http://narrativegoldmine.com/metaverse#Telescope
rdf-type:: owl:Class
preferred-term:: Telescope

- ### Definition
  - Sees far.
- ### Relationships
  - has-part:: [[Main Lens]]
"""
OWL_TEXT = """- Telescopes
  owl:functional-syntax:: |
    Declaration(Class(mv:Telescope))
    SubClassOf(mv:Telescope mv:Instrument)
"""
TURTLE = """@prefix : <urn:s:> . @prefix owl: <http://www.w3.org/2002/07/owl#> .
@prefix rdfs: <http://www.w3.org/2000/01/rdf-schema#> .
:telescope a owl:Class ; rdfs:label "Telescope" ; rdfs:subClassOf :instrument .
"""
PLAIN = "- a walk to the [[Observatory]], then [[Dinner|food]]\n"
SAMPLES: dict[str, tuple[bytes, str]] = {
    "jsonld-page": (b"pages/Telescope.md", JSONLD),
    "ontology-block": (b"pages/Telescope.md", BLOCK),
    "iri-first": (b"pages/Telescope.md", IRI_FIRST),
    "owl-text": (b"pages/Telescope.md", OWL_TEXT),
    "rdf-ttl": (b"pages/Telescope.ttl", TURTLE),
    "plain": (b"pages/Telescope.md", PLAIN),
}


def read(text: str | bytes, path: bytes = b"Telescope.md", reading: Reading | None = None) -> Page:
    return read_page(path, text.encode() if isinstance(text, str) else text, reading or Reading())


def refused(text: str | bytes, path: bytes = b"Telescope.md", reading: Reading | None = None) -> PageError:
    with pytest.raises(PageError) as error:
        read(text, path, reading)
    return error.value


@pytest.mark.parametrize("name", SAMPLES)
def test_content_decides_the_format(name: str) -> None:
    path, text = SAMPLES[name]
    page = read(text, path)
    assert page.format == name
    assert page.warnings == ()
    assert page.has_facts is (name != "plain")


@pytest.mark.parametrize("name", SAMPLES)
@pytest.mark.parametrize("ending", [b"\r\n", b"\r", b"mixed"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["", "BOM"])
def test_line_ends_and_a_byte_order_mark_change_nothing(name: str, ending: bytes, mark: bytes) -> None:
    path, text = SAMPLES[name]
    raw = text.encode()
    changed = raw.replace(b"\n", b"\r\n", 3) if ending == b"mixed" else raw.replace(b"\n", ending)
    assert read(mark + changed, path) == read(raw, path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (JSONLD + BLOCK, "jsonld-page"),
        (BLOCK + OWL_TEXT, "ontology-block"),
        (IRI_FIRST + BLOCK, "ontology-block"),
        (IRI_FIRST + OWL_TEXT, "iri-first"),
        ("\n\n" + IRI_FIRST, "iri-first"),
        (IRI_FIRST.replace("rdf-type:: owl:Class\n", ""), "plain"),
        ("- a note first\n" + IRI_FIRST, "plain"),
        (JSONLD.replace('"Class"', '"Note"'), "note"),
        (JSONLD.replace("```json-ld", "```jsonld"), "jsonld-page"),
        (JSONLD.replace("```json-ld", "```json"), "note"),
        ("```\n" + BLOCK.replace("```", "'''") + "```\n", "plain"),
        (BLOCK.replace("### OntologyBlock", "an OntologyBlock is told"), "plain"),
        ("", "plain"),
    ],
)
def test_of_several_formats_the_first_that_matches_is_read(text: str, expected: str) -> None:
    assert read(text).format == expected


def test_the_page_goes_by_its_title_its_term_and_its_aliases() -> None:
    assert read(JSONLD, b"a/b/Great Telescope.md").names == (
        PageName("great telescope", NameRank.TITLE),
        PageName("spyglass", NameRank.ALIAS),
        PageName("telescope", NameRank.PREFERRED_TERM),
    )


@pytest.mark.parametrize(
    ("text", "public"), [("public:: true\n\n", True), ("- a\n  public:: true\n", False), ("", False)]
)
def test_a_public_note_is_told_from_a_plain_page(text: str, public: bool) -> None:  # noqa: FBT001
    page = read(text + PLAIN)
    assert (page.format, page.is_public) == (("note", True) if public else ("plain", False))
    assert page.skip_reason == ("a public note without an ontology" if public else "a page without an ontology")
    assert page.outbound_links == ("Observatory", "Dinner")


def test_nul_bytes_are_refused_with_their_line() -> None:
    error = refused(b"a\nb\nc\0d\n")
    assert (error.reason, error.line) == ("binary content: the file holds NUL bytes", 3)


@pytest.mark.parametrize("path", [b"a.md", b"a.ttl", b"a.owl"])
def test_bytes_that_are_not_utf8_are_refused_with_their_line(path: bytes) -> None:
    error = refused(b"# a\n# b\n# caf\xe9\n", path)
    assert (error.reason, error.line) == ("not UTF-8: byte 0xe9 at offset 13", 3)


@pytest.mark.parametrize("path", [b"a.md", b"a.rdf"])
def test_a_pointer_of_git_lfs_is_refused(path: bytes) -> None:
    error = refused(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n", path)
    assert error.reason.startswith("this is a git-lfs pointer")
    assert error.line == 1


def test_a_file_over_its_limit_is_refused_and_one_at_it_is_read() -> None:
    reading = Reading(limits=Limits(page_bytes=len(PLAIN), rdf_bytes=len(TURTLE)))
    assert read(PLAIN, reading=reading).format == "plain"
    assert read(TURTLE, b"a.ttl", reading).has_facts
    assert refused(PLAIN + "x", reading=reading).reason.endswith(f"the limit is {len(PLAIN)}")
    assert refused(TURTLE + " ", b"a.ttl", reading).reason.endswith(f"the limit is {len(TURTLE)}")


@pytest.mark.parametrize(
    ("text", "path", "reason"),
    [
        ("- ### OntologyBlock\n", b"a.md", "an ontology file (ontology-block) that yields no fact: an OntologyBlock"),
        ("# nothing\n", b"a.ttl", "an ontology file (rdf-ttl) that yields no fact"),
        ("owl:functional-syntax:: |\n  SubClassOf(zz:A zz:B)\n", b"a.md", "an ontology file (owl-text) that yields no"),
    ],
)
def test_an_ontology_file_without_facts_is_refused(text: str, path: bytes, reason: str) -> None:
    assert refused(text, path).reason.startswith(reason)


def test_the_digest_follows_every_setting_of_the_reading() -> None:
    readings = [
        Reading(),
        Reading(prefixes={"mv": "urn:mv:"}),
        Reading(not_relations=frozenset({"a"})),
        Reading(limits=Limits(depth=3)),
    ]
    assert len({reading_digest(each) for each in readings}) == 4
    assert reading_digest(Reading()) == reading_digest(Reading(not_relations=Reading().not_relations))


def check(path: bytes, data: bytes) -> None:
    try:
        page = read_page(path, data, Reading())
    except PageError as error:
        assert error.reason  # noqa: PT017 - either outcome is right
        assert error.line is None or error.line >= 1  # noqa: PT017 - the same
    else:
        assert isinstance(page, Page)
        assert page.skip_reason or page.has_facts
        json.dumps([each.properties for each in page.classes])


PATHS = st.sampled_from([b"a.md", b"a.ttl", b"a.nt", b"a.nq", b"a.trig", b"a.rdf", b"a.owl", b"a.xml", b"a.jsonld"])
bounded = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@bounded
@given(PATHS | st.sampled_from([b"a.ofn", b"a.omn"]), st.binary(max_size=300) | st.text(max_size=300).map(str.encode))
def test_any_bytes_give_a_page_or_a_page_error(path: bytes, data: bytes) -> None:
    check(path, data)


@st.composite
def mutations(draw: st.DrawFn) -> tuple[bytes, bytes]:
    path, text = SAMPLES[draw(st.sampled_from(sorted(SAMPLES)))]
    for how in draw(st.lists(st.sampled_from(["cut", "double", "swap"]), min_size=1, max_size=4)):
        places = st.integers(0, max(0, len(text) - 1))
        one, two = sorted((draw(places), draw(places)))
        if how == "cut":
            text = text[:one] + text[two:]
        elif how == "swap" and one < two:
            text = text[:one] + text[two] + text[one + 1 : two] + text[one] + text[two + 1 :]
        else:
            lines = text.split("\n")
            text = "\n".join([*lines[: one % len(lines)], *lines[two % len(lines) :][:1], *lines[one % len(lines) :]])
    return path, text.encode()


@bounded
@given(mutations())
def test_a_mutated_page_gives_a_page_or_a_page_error(mutated: tuple[bytes, bytes]) -> None:
    check(*mutated)
