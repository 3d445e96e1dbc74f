"""Any bytes are a page or a PageError, in a time that grows with their size, and nothing outside is touched."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.conftest import corpus
from tests.faults.hostile import PAGE, TABLE
from tests.faults.samples import OWL, RDF, SAMPLES, mutants
from tests.support import git
from visionflow_daemon.errors import PageError
from visionflow_daemon.formats.choose import read_page
from visionflow_daemon.model import Limits, Page, Reading

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
READING = Reading()
CPU_SECONDS = 10.0
"""What a page of 300 kB may take; on the machine that this was written on, the slowest takes a tenth."""
CPU_SECONDS_DEEP = 5.0


def outcome(path: bytes, data: bytes) -> str:
    """Read a page as any may be, and tell "page", or the reason."""
    try:
        page = read_page(path, data, READING)
    except PageError as error:
        return reason_of(error)
    assert_storable(page, READING.limits)
    return PAGE


def reason_of(error: PageError) -> str:
    """Give the reason of a refused page, and see that it says something."""
    assert error.reason.strip()
    error.reason.encode()
    assert error.line is None or error.line > 0
    return error.reason


def assert_storable(page: Page, limits: Limits) -> None:
    """See that all of a page is text that any database takes, and each IRI within its limit."""
    text = json.dumps(asdict(page), ensure_ascii=False)
    text.encode()
    assert "\\u0000" not in text.replace("\\\\", "")
    for iri in [each.iri for each in page.classes] + [each.iri for each in page.properties]:
        assert len(iri.encode()) <= limits.iri_bytes
    for axiom in page.axioms:
        assert len((axiom.property_iri or "").encode()) <= limits.iri_bytes


@pytest.mark.parametrize("name", TABLE)
def test_a_page_made_to_cost_more_than_its_size(name: str) -> None:
    path, make, expected = TABLE[name]
    data = make(300_000).encode()
    outcome(path, b"")  # what is imported late is not the page's time
    start = time.thread_time()
    found = outcome(path, data)
    took = time.thread_time() - start
    assert re.search(expected, found), found
    assert took < CPU_SECONDS, f"{took:.2f} s for {len(data):,} bytes"


@pytest.mark.parametrize("name", SAMPLES)
def test_each_sample_is_read_as_what_it_is(name: str) -> None:
    path, text = SAMPLES[name]
    page = read_page(path, text.encode(), READING)
    assert page.has_facts is (name != "plain")
    assert not [each.message for each in page.warnings if "read as" not in each.message]


def fuzzed(path: bytes, pages: Iterable[bytes]) -> tuple[Counter[str], float]:
    """Read pages, and give the counts of those read and refused, and the longest time of one."""
    counts: Counter[str] = Counter()
    slowest = 0.0
    for data in pages:
        start = time.thread_time()
        try:
            counts["read" if outcome(path, data) == PAGE else "refused"] += 1
        except BaseException:
            sys.stderr.write(f"the page that could not be read: {path!r} {data!r}\n")
            raise
        slowest = max(slowest, time.thread_time() - start)
    return counts, slowest


def run(name: str, count: int) -> None:
    path, text = SAMPLES[name]
    others = [each.encode() for _, each in SAMPLES.values()]
    counts, slowest = fuzzed(path, mutants(text.encode(), others, f"{name} {count}", count))
    sys.stdout.write(f"{name}: {dict(counts)}, slowest {slowest * 1000:.0f} ms\n")
    assert slowest < CPU_SECONDS_DEEP, slowest
    assert counts["read"]


@pytest.mark.parametrize("name", SAMPLES)
def test_mutated_pages(name: str) -> None:
    run(name, 100)


@pytest.mark.deep
@pytest.mark.parametrize("name", SAMPLES)
def test_many_mutated_pages(name: str) -> None:
    run(name, 1_000)


@pytest.mark.deep
@pytest.mark.corpus
@pytest.mark.parametrize("name", ["metaverse", "narrativegoldmine-974"])
def test_mutated_real_pages(name: str, tmp_path: Path) -> None:
    repository = corpus(name, tmp_path)
    blobs = [line.split()[2] for line in git("ls-tree", "-r", "HEAD", cwd=repository).splitlines() if ".md" in line]
    real = list(contents(repository, blobs[:: max(1, len(blobs) // 250)]))
    pages = (each for number, page in enumerate(real) for each in mutants(page, real, f"{name} {number}", 4))
    counts, slowest = fuzzed(b"a page.md", pages)
    sys.stdout.write(f"{name}: {dict(counts)}, slowest {slowest * 1000:.0f} ms\n")
    assert slowest < CPU_SECONDS_DEEP, slowest


def contents(repository: Path, blobs: list[str]) -> Iterator[bytes]:
    """Give the content of blobs."""
    for blob in blobs:
        yield subprocess.run(["git", "cat-file", "blob", blob], cwd=repository, capture_output=True, check=True).stdout


REACHING: dict[bytes, list[str]] = {
    b"a.jsonld": [
        f'{{"@context": {context}, "@id": "urn:x", "urn:a": {{"@id": "urn:y"}}}}'
        for context in (
            '"http://127.0.0.1:9/c"',
            '"file:///etc/hostname"',
            '"c.jsonld"',
            '["http://127.0.0.1:9/c", {}]',
            '{"@version": 1.1, "@import": "file:///etc/hostname"}',
            '{"a": {"@id": "urn:a", "@context": "http://127.0.0.1:9/c"}}',
            '{"@base": "file:///etc/", "@vocab": "http://127.0.0.1:9/"}',
        )
    ],
    b"a.rdf": [
        f'<!DOCTYPE r [<!ENTITY e SYSTEM "file:///etc/hostname">]><rdf:RDF xmlns:rdf="{RDF}">&e;</rdf:RDF>',
        f'<!DOCTYPE r SYSTEM "http://127.0.0.1:9/d"><rdf:RDF xmlns:rdf="{RDF}"/>',
        f'<!DOCTYPE r [<!ENTITY % p SYSTEM "file:///etc/hostname">%p;]><rdf:RDF xmlns:rdf="{RDF}"/>',
        f'<rdf:RDF xmlns:rdf="{RDF}"><i:include xmlns:i="http://www.w3.org/2001/XInclude" href="hostname"/></rdf:RDF>',
        f'<?xml-stylesheet href="http://127.0.0.1:9/s"?><rdf:RDF xmlns:rdf="{RDF}"/>',
        f'<rdf:RDF xmlns:rdf="{RDF}" xmlns:o="{OWL}"><o:Ontology><o:imports rdf:resource="x"/></o:Ontology></rdf:RDF>',
    ],
    b"a.owl": [
        f'<Ontology xmlns="{OWL}" ontologyIRI="urn:o"><Import>file:///etc/hostname</Import></Ontology>',
        f'<Ontology xmlns="{OWL}"><Import>http://127.0.0.1:9/o</Import></Ontology>',
    ],
    b"a.ttl": [
        f"<urn:o> a <{OWL}Ontology> ; <{OWL}imports> <http://127.0.0.1:9/o>, <file:///etc/hostname> .",
        "@prefix : <file:///etc/> . @base <file:///etc/> . :hostname a <hostname> .",
    ],
    b"a.trig": ["GRAPH <file:///etc/hostname> { <http://127.0.0.1:9/o> a <urn:c> }"],
    b"a.ofn": ["Ontology(<urn:o> Import(<file:///etc/hostname>) Import(<http://127.0.0.1:9/o>))"],
    b"a.omn": ["Ontology: <urn:o>\nImport: <file:///etc/hostname>\nImport: <http://127.0.0.1:9/o>\n"],
    b"/etc/hostname.ttl": ["<urn:a> a <urn:b> ."],
}
EVENTS: list[str] = []
is_watching = False


def note(event: str, arguments: tuple[object, ...]) -> None:
    """Note what is opened: an audit hook can't be taken away again, so it listens only when asked to."""
    if is_watching and (event == "open" or event.startswith(("socket.", "urllib.", "subprocess.", "os.exec"))):
        EVENTS.append(f"{event} {arguments[:2]!r}")


@contextmanager
def watched() -> Iterator[list[str]]:
    """Give what is opened meanwhile."""
    global is_watching  # noqa: PLW0603 - the hook stays for the process's life
    EVENTS.clear()
    is_watching = True
    try:
        yield EVENTS
    finally:
        is_watching = False


sys.addaudithook(note)


@pytest.mark.parametrize("path", REACHING)
def test_nothing_is_opened(path: bytes, tmp_path: Path) -> None:
    for text in REACHING[path]:
        outcome(path, text.encode())  # what is imported late is opened now
        with watched() as opened:
            outcome(path, text.encode())
        assert opened == [], text
    with watched() as opened:
        (tmp_path / "seen").write_text("the hook hears")
    assert opened
