"""RDF and OWL files: told by suffix, and by a look inside where the suffix leaves it open.

Everything a file says stays in the file: no import, remote context or entity is followed.
"""

from __future__ import annotations

import logging
import re
from xml.sax import SAXParseException

from visionflow_daemon.errors import PageError
from visionflow_daemon.formats import functional, jsonld_context, prefixes, rdf_graph, rdf_store, xml_guard
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
HALF_CHARACTER = re.compile(r"\\(?:u|U0000)[dD][89a-fA-F]")
MANCHESTER = re.compile(r"(?:\s++|#[^\n]*+)*+(?:Prefix|Ontology):\s")
MANCHESTER_TOKEN = re.compile(
    r'#[^\n]*+|"[^"\\]*+(?:\\.[^"\\]*+)*+"|<[^<>\s]*+>|(?P<open>[({\[])|(?P<close>[)}\]])|(?P<comma>,)'
    r"|(?P<annotations>Annotations:)|(?P<frame>[A-Z][A-Za-z]*+:\s)|(?P<inner>(?:not|some|only|min|max|exactly)\b)"
    r"|[\w.:-]++|.",
    re.DOTALL,
)


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
        if syntax == "omn":
            prefixes.refuse_expansion(text, prefixes.MANCHESTER, reading.limits)
            _refuse_nesting(text, reading.limits)
        else:
            xml_guard.refuse_entities(text)
            prefixes.refuse_uses(text, xml_guard.refuse_excess(text, reading.limits.depth, reading.limits))
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
        xml_guard.refuse_entities(text)
        root = xml_guard.root(text)
        if root is None or (":" in root.name and "xmlns" not in root.attributes):
            return "turtle"  # an IRI in angle brackets begins it
        local = root.name.rpartition(":")[2]
        if local == "RDF" and RDF in root.attributes:
            return "xml"
        return "owx" if local == "Ontology" and OWL in root.attributes else None
    if functional.HEADER.match(text):
        return "ofn"
    if MANCHESTER.match(text):
        return "omn"
    return "json-ld" if text.lstrip().startswith(("{", "[")) else "turtle"


def _refuse_nesting(text: str, limits: Limits) -> None:
    """Refuse what nests deeper than the limit: a parser that recurses would take the process down.

    Brackets nest, and so does each word that an expression follows, until its bracket closes or the next item begins.
    Annotations may be of annotations, and only a parser tells those from others: ten times as many may follow.
    """
    outer: list[int] = []
    depth = annotations = 0
    for match in MANCHESTER_TOKEN.finditer(text):
        kind = match.lastgroup
        if kind == "open":
            outer.append(depth)
            depth += 1
        elif kind == "close":
            depth = outer.pop() if outer else 0
        elif kind == "comma":
            depth = outer[-1] + 1 if outer else 0
        elif kind == "frame":
            depth = depth if outer else 0  # within brackets it is a name that ends in a colon
            annotations = 0
        elif kind == "annotations":
            annotations += 1
        elif kind == "inner":
            depth += 1
        if depth > limits.depth or annotations > 10 * limits.depth:
            raise PageError(f"nested deeper than {limits.depth} levels", line_of(text, match.start()))


def _triples(text: str, syntax: str, limits: Limits) -> list[Triple]:
    """Read a file's triples, those of all its graphs together. Raises PageError."""
    import rdflib  # noqa: PLC0415 - costs 15 MB, and most repositories hold no RDF file

    rdflib.NORMALIZE_LITERALS = False
    logging.getLogger("rdflib").setLevel(logging.CRITICAL)  # it warns of what is checked here, too
    if syntax == "xml":
        xml_guard.refuse_entities(text)
        text = xml_guard.undeclared(text)
        xml_guard.refuse_excess(text, 2 * limits.depth, limits)  # RDF/XML takes two elements for a level
    store = rdf_store.recorder(len(text), limits)
    graph = rdflib.Dataset(store) if syntax in {"nquads", "trig"} else rdflib.Graph(store)
    try:
        if syntax == "json-ld":
            text = jsonld_context.closed(text, limits)
        graph.namespace_manager = rdf_store.no_namespaces(graph)
        graph.parse(data=text.encode(), format=syntax, publicID=rdf_graph.NO_BASE)
    except (PageError, MemoryError):
        raise
    except RecursionError:
        raise PageError("nested too deeply") from None
    except Exception as error:  # noqa: BLE001 - rdflib's parsers raise whatever their code happens to meet
        raise PageError(f"bad {syntax}: {_reason(error)}", _line(error)) from None
    if (found := HALF_CHARACTER.search(text)) and any(map(_holds_half, store.order)):
        raise PageError("half a character: \\uD800 to \\uDFFF mean nothing by themselves", line_of(text, found.start()))
    return list(store.order)


def _holds_half(triple: Triple) -> bool:
    """Tell whether a term could not be written as UTF-8: rdflib takes halves of characters for whole ones."""
    return any("\ud800" <= character <= "\udfff" for term in triple for character in str(term))


def _reason(error: Exception) -> str:
    if isinstance(error, IndexError):
        return "the file ends in the middle of a statement"
    said = getattr(error, "message", None) or (
        error.getMessage() if isinstance(error, SAXParseException) else str(error)
    )
    return shorten(" ".join(str(said).encode("utf-8", "replace").decode().split())) or type(error).__name__


def _line(error: Exception) -> int | None:
    if isinstance(error, SAXParseException):
        return error.getLineNumber()
    lines = getattr(error, "lines", None)
    return lines + 1 if isinstance(lines, int) else None
