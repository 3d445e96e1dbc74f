"""RDF and OWL files: told by suffix, and by a look inside where the suffix leaves it open.

Everything a file says stays in the file: no import, remote context or entity is followed.
"""

from __future__ import annotations

import logging
import re
from typing import Any
from xml.sax import SAXParseException

from visionflow_daemon.errors import PageError
from visionflow_daemon.formats import functional, jsonld_context, rdf_graph
from visionflow_daemon.formats.builder import PageBuilder
from visionflow_daemon.formats.horned import OwlSyntaxError, components
from visionflow_daemon.formats.iri import shorten
from visionflow_daemon.formats.rdf_expression import Triple
from visionflow_daemon.formats.text import decode, line_of
from visionflow_daemon.model import Limits, Reading

SYNTAXES = {
    "ttl": "turtle",
    "nt": "nt",
    "nq": "nquads",
    "trig": "trig",
    "rdf": "xml",
    "owl": None,
    "xml": None,
    "jsonld": "json-ld",
    "ofn": "ofn",
    "omn": "omn",
}
"""What each suffix means; None where only the content tells."""

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
OWL = "http://www.w3.org/2002/07/owl#"
XML_DECLARATION = re.compile(r"\s*<\?xml\b[^>]*\?>")
XML_ROOT = re.compile(
    r"\s*(?:<\?.*?\?>\s*|<!--.*?-->\s*)*<(?P<name>[\w.-]+(?::[\w.-]+)?)(?P<attributes>(?:\s[^>]*)?)/?>", re.DOTALL
)
XML_TAG = re.compile(r"<(?P<mark>[/!?]?)[^<>]*?(?P<empty>/?)>")
MANCHESTER = re.compile(r"(?:\s++|#[^\n]*+)*+(?:Prefix|Ontology):\s")
MANCHESTER_DEPTH = re.compile(r"(?P<open>\()|(?P<close>\))|\b(?P<inner>not|some|only|min|max|exactly)\b|(?P<end>,|:\s)")


def suffix_of(path: bytes) -> str | None:
    """Give the suffix of an RDF or OWL file in lower case; None for any other file."""
    suffix = path.rpartition(b".")[2].lower().decode("ascii", "replace")
    return suffix if suffix in SYNTAXES else None


def read(data: bytes, suffix: str, reading: Reading) -> PageBuilder | None:
    """Read an RDF or OWL file; None for XML that is neither. Raises PageError for one that can't be read."""
    text = decode(data)
    syntax = SYNTAXES[suffix] or _sniffed(text)
    if syntax is None:
        return None
    page = PageBuilder(f"rdf-{suffix}", reading)
    if syntax == "ofn":
        functional.read(page, text, 1)
    elif syntax in {"omn", "owx"}:
        _refuse_nesting(text, syntax, reading.limits)
        try:
            page.add_stated(components(text, "omn" if syntax == "omn" else "owx"))
        except OwlSyntaxError as error:
            line = None if error.offset is None else text.encode()[: error.offset].count(b"\n") + 1
            raise PageError(f"bad OWL ({syntax}): {error.reason}", line) from None
    else:
        page.add_stated(rdf_graph.stated(_triples(text, syntax, reading.limits), page))
    return page


def _sniffed(text: str) -> str | None:
    """Tell the syntax of a file whose suffix says little."""
    if text.lstrip().startswith("<"):
        _refuse_entities(text)
        root = XML_ROOT.match(text)
        if root is None or (":" in root["name"] and "xmlns" not in root["attributes"]):
            return "turtle"  # an IRI in angle brackets begins it
        local = root["name"].rpartition(":")[2]
        if local == "RDF" and RDF in root["attributes"]:
            return "xml"
        return "owx" if local == "Ontology" and OWL in root["attributes"] else None
    if functional.HEADER.match(text):
        return "ofn"
    if MANCHESTER.match(text):
        return "omn"
    return "json-ld" if text.lstrip().startswith(("{", "[")) else "turtle"


def _refuse_entities(text: str) -> None:
    for what in ("<!DOCTYPE", "<!ENTITY"):
        if (found := text.upper().find(what)) >= 0:
            raise PageError(f"{what} is refused: write entities out (expanding them is unsafe)", line_of(text, found))


def _refuse_nesting(text: str, syntax: str, limits: Limits) -> None:
    """Refuse what nests deeper than the limit: a parser that recurses would take the process down."""
    depth = 0
    if syntax == "owx":
        _refuse_entities(text)
        for match in XML_TAG.finditer(text):
            depth += 0 if match["mark"] in {"!", "?"} or match["empty"] else -1 if match["mark"] else 1
            if depth > limits.depth:
                raise PageError(f"nested deeper than {limits.depth} levels", line_of(text, match.start()))
        return
    for match in MANCHESTER_DEPTH.finditer(text):
        depth = 0 if match["end"] else depth + (-1 if match["close"] else 1)
        if depth > limits.depth:
            raise PageError(f"nested deeper than {limits.depth} levels", line_of(text, match.start()))


def _triples(text: str, syntax: str, limits: Limits) -> list[Triple]:
    """Read a file's triples, those of all its graphs together. Raises PageError."""
    import rdflib  # noqa: PLC0415 - costs 15 MB, and most repositories hold no RDF file

    rdflib.NORMALIZE_LITERALS = False
    logging.getLogger("rdflib").setLevel(logging.CRITICAL)  # it warns of what is checked here, too
    if syntax == "xml":
        _refuse_entities(text)
        text = XML_DECLARATION.sub("", text, count=1)
    store = _recorder()
    graph = rdflib.Dataset(store) if syntax in {"nquads", "trig"} else rdflib.Graph(store)
    try:
        if syntax == "json-ld":
            text = jsonld_context.closed(text)
        graph.parse(data=text.encode(), format=syntax, publicID=rdf_graph.NO_BASE)
    except (PageError, MemoryError):
        raise
    except RecursionError:
        raise PageError("nested too deeply") from None
    except Exception as error:  # noqa: BLE001 - rdflib's parsers raise whatever their code happens to meet
        raise PageError(f"bad {syntax}: {_reason(error)}", _line(error)) from None
    if len(store.order) > limits.statements:
        raise PageError(f"more than {limits.statements} statements in one file")
    return list(store.order)


def _recorder() -> Any:  # noqa: ANN401 - a class of rdflib, which is imported late
    """Make a store that knows in which order its triples came: rdflib's own gives them in any order."""
    from rdflib.plugins.stores.memory import Memory  # noqa: PLC0415 - as rdflib itself

    class Recorder(Memory):
        def __init__(self) -> None:
            super().__init__()
            self.order: dict[Triple, None] = {}

        def add(self, triple: Triple, context: Any, quoted: bool = False) -> None:  # noqa: ANN401, FBT001, FBT002 - rdflib's own signature
            self.order[triple] = None
            super().add(triple, context, quoted)

    return Recorder()


def _reason(error: Exception) -> str:
    if isinstance(error, IndexError):
        return "the file ends in the middle of a statement"
    said = getattr(error, "message", None) or (
        error.getMessage() if isinstance(error, SAXParseException) else str(error)
    )
    return shorten(" ".join(str(said).split())) or type(error).__name__


def _line(error: Exception) -> int | None:
    if isinstance(error, SAXParseException):
        return error.getLineNumber()
    lines = getattr(error, "lines", None)
    return lines + 1 if isinstance(lines, int) else None
