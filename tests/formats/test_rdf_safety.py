"""RDF files reach for nothing: entities are refused, and remote contexts are never fetched."""

from __future__ import annotations

import json
import socket

import pytest

from visionflow_daemon.errors import PageError
from visionflow_daemon.formats.choose import read_page
from visionflow_daemon.model import Reading

XML = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"'
    ' xmlns:owl="http://www.w3.org/2002/07/owl#"><owl:Class rdf:about="urn:bike:Bike"/></rdf:RDF>'
)


def refused(text: str, suffix: str) -> PageError:
    with pytest.raises(PageError) as error:
        read_page(b"bikes." + suffix.encode(), text.encode(), Reading())
    return error.value


def test_the_sample_without_entities_is_read() -> None:
    assert [each.iri for each in read_page(b"bikes.rdf", XML.encode(), Reading()).classes] == ["urn:bike:Bike"]


@pytest.mark.parametrize("suffix", ["rdf", "owl", "xml"])
@pytest.mark.parametrize("what", ["<!DOCTYPE", "<!ENTITY", "<!doctype"])
def test_entities_are_refused_with_their_line(suffix: str, what: str) -> None:
    text = XML.replace("\n<rdf:RDF", f'\n\n{what} rdf:RDF [ <!ENTITY a "aaaa"> ]>\n<rdf:RDF')
    error = refused(text, suffix)
    assert (error.reason[:9], error.line) == ("<!DOCTYPE" if "D" in what[:4].upper() else "<!ENTITY ", 3)


@pytest.mark.parametrize("shape", ["string", "list", "nested", "import", "scoped"])
def test_a_remote_context_is_refused_and_nothing_connects(shape: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        url = f"http://127.0.0.1:{server.getsockname()[1]}/context.jsonld"
        context: object = {
            "string": url,
            "list": [{"a": "urn:a"}, url],
            "nested": [[url]],
            "import": {"@version": 1.1, "@import": url},
            "scoped": {"a": {"@id": "urn:a", "@context": url}},
        }[shape]
        error = refused(json.dumps({"@context": context, "@id": "urn:x", "a": {"@id": "urn:y"}}), "jsonld")
        assert "remote context" in error.reason
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.parametrize("name", ["file:///etc/hostname", "context.jsonld", "https://example.org/c"])
def test_no_other_context_is_read_either(name: str) -> None:
    assert "is never fetched" in refused(json.dumps({"@context": name, "@id": "urn:x", "a": "b"}), "jsonld").reason
