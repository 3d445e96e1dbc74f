"""A repository of hostile pages: the good among them are saved, and each bad one is in the ledger, shown harmless."""

from __future__ import annotations

import re

from tests.faults.hostile import TABLE
from tests.faults.samples import SAMPLES
from tests.support import Daemon, Repo, class_page

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
NAMES = ("jsonld-page", "iri-first", "turtle", "functional", "rdf-xml")
"""The good pages: each declares a class of its own."""

WRITTEN: dict[str, bytes] = {
    "escape in JSON.md": b'```json-ld\n{"@id": "urn:\\u001b[31m", "@type": "Class"}\n```\n',
    "escape in an IRI.md": b"- ### OntologyBlock\n  - owl:class:: \x1b]0;title\x07\n",
    "escape in axioms.ofn": b"Ontology(<urn:o> \x1b[2J(\x07) )",
    "escape in turtle.ttl": b"<urn:a> a \x1b[2J\x9b31m .",
    "escape in triples.nt": b"\x1b[2J \xc2\x9b31m .\n",
    "escape in a context.jsonld": b'{"@context": "http://\\u001b[31m/", "@id": "urn:a"}',
    "escape in terms.jsonld": b'{"@context": {"\\u001b[2J": "\\u001b[2J:a"}, "@id": "urn:a"}',
    "escape in XML.rdf": b"<rdf:RDF \x1b[2J>",
    "escape in an element.rdf": "<a\u009b31m>".encode(),
    "escape in a relation.jsonld": b'{"@context": {"@vocab": "\\u001b[2J"}, "@id": "urn:a", "b": "c"}',
    "escape in manchester.omn": b"Ontology: <urn:\x1b[2J>\nClass: \x1b[31m\n",
    "escape \x1b[31m in a path.md": b"```json-ld\n{\n```\n",
    "a line\nbreak.md": b"```json-ld\n[\n```\n",
    "not UTF-8.md": b"- ### OntologyBlock\n  - owl:class:: \xff\xfe\x1b\n",
    "UTF-16.ttl": "<urn:a> a <urn:b> .".encode("utf-16"),
    "UTF-16.rdf": '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a><a/>'.encode("utf-16"),
    "UTF-7.rdf": b'<?xml version="1.0" encoding="utf-7"?>+ADwAIQ-DOCTYPE a+AD4-<a/>',
    "NUL.nq": b"<urn:a> <urn:b> <urn:c> .\0",
    "an empty file.ttl": b"",
    "a bomb.rdf": b'<!DOCTYPE a [<!ENTITY a "aaa"><!ENTITY b "&a;&a;&a;">]><a>&b;</a>',
    "a bomb.owl": b'<!DOCTYPE a [<!ENTITY % a "aaa">%a;]><Ontology xmlns="http://www.w3.org/2002/07/owl#"/>',
    "remote.jsonld": b'{"@context": "http://127.0.0.1:9/", "@id": "urn:a"}',
}


def test_good_pages_among_hostile_ones(repo: Repo, daemon: Daemon) -> None:
    bad: dict[bytes | str, bytes] = {**WRITTEN}
    for name, (path, make, expected) in TABLE.items():
        if "page" not in expected and len(bad) < 45:
            bad[f"{re.sub(r'[^a-z]', ' ', name)}.{path.rpartition(b'.')[2].decode()}"] = make(100_000).encode()
    good = {f"good/{name}{SAMPLES[name][0].decode()}": SAMPLES[name][1] for name in NAMES}
    escape = class_page("urn:t:escape", "escape \x1b[31m", definition="\x1b]0;\x07 bell \x00")
    assert len(bad) > 35
    repo.commit({**bad, **good, "good/escape.md": escape})
    daemon.environment["VISIONFLOW_BREAKER__FAILING_SHARE"] = "1"
    ran = daemon.once(repo.path, expect=3)
    failed = daemon.query("SELECT path, reason FROM source_files WHERE status = 'failed'")
    assert {bytes(path) for path, _ in failed} == {path.encode() if isinstance(path, str) else path for path in bad}
    assert all(reason.strip() for _, reason in failed)
    saved = daemon.query("SELECT display_path FROM source_files WHERE status = 'saved'")
    assert {path for (path,) in saved} == {*good, "good/escape.md"}
    listed = daemon.run("failures", "--database", "kg.db")
    as_json = daemon.run("failures", "--json", "--database", "kg.db")
    assert len(as_json.json["failures"] if isinstance(as_json.json, dict) else as_json.json) == len(bad)
    for output in (ran.out, ran.err, listed.out, listed.err, as_json.out, as_json.err):
        assert not CONTROL.search(output.replace("\r", "")), CONTROL.search(output)
        assert "Traceback" not in output
