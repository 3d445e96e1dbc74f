"""What an XML file has to be before a reader sees it: without entities, and bounded in all that a reader multiplies."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from xml.parsers import expat

from visionflow_daemon.errors import PageError
from visionflow_daemon.formats.prefixes import too_long
from visionflow_daemon.formats.text import line_of
from visionflow_daemon.model import Limits

FORBIDDEN = re.compile(r"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)
DECLARATION = re.compile(r"\s*+<\?xml\b[^>]*+>")
BLANK = re.compile(r"\s*+")
ROOT = re.compile(r"<(?P<name>[\w.-]++(?::[\w.-]++)?+)(?P<attributes>(?:\s[^>]*+)?+)/?>")
NAMESPACES = 1_000
"""How many namespaces may hold at one place of a file: the reader copies all of them at each that is declared."""
TEXT_LINES = 100_000
"""How many lines one text may have: rdflib copies all of it at each."""
LITERAL_BYTES = 64_000
"""How long one XML literal may be: rdflib copies all of it at each tag and line."""


@dataclass(frozen=True, slots=True)
class Root:
    """An XML file's first element: its name, and its attributes as they are written, namespaces among them."""

    name: str
    attributes: str


def refuse_entities(text: str) -> None:
    """Refuse declarations of entities wherever they stand: expanding them is unsafe."""
    if found := FORBIDDEN.search(text):
        what = found[0].upper()
        raise PageError(
            f"{what} is refused: write entities out (expanding them is unsafe)", line_of(text, found.start())
        )


def undeclared(text: str) -> str:
    """Take the XML declaration off a text, whose encoding is no longer what it says."""
    match = DECLARATION.match(text)
    return text[match.end() :] if match else text


def root(text: str) -> Root | None:
    """Find the first element of a text, behind instructions and comments; None if the text begins otherwise."""
    position = 0
    while text.startswith(("<?", "<!--"), position := _behind_blanks(text, position)):
        closing = "?>" if text.startswith("<?", position) else "-->"
        end = text.find(closing, position)
        if end < 0:
            return None
        position = end + len(closing)
    match = ROOT.match(text, position)
    return Root(match["name"], match["attributes"]) if match else None


def refuse_excess(text: str, depth: int, limits: Limits) -> list[tuple[str, str]]:
    """Refuse XML that is not well-formed, nests deeper than `depth` elements, or has what grows out of proportion.

    Gives the prefixes that `Prefix` elements declare.
    """
    seen = _Seen(depth, limits)
    parser = expat.ParserCreate("UTF-8")
    seen.parser = parser
    parser.StartElementHandler = seen.start
    parser.EndElementHandler = seen.end
    parser.CharacterDataHandler = seen.text
    try:
        parser.Parse(text.encode(), True)
    except expat.ExpatError as error:
        raise PageError(f"bad xml: {expat.ErrorString(error.code)}", error.lineno) from None
    return seen.prefixes


@dataclass(slots=True)
class _Seen:
    """What the elements read so far amount to."""

    depth: int
    limits: Limits
    parser: expat.XMLParserType | None = None
    prefixes: list[tuple[str, str]] = field(default_factory=list)
    _open: int = 0
    _namespaces: list[int] = field(default_factory=lambda: [0])
    _pieces: int = 0
    _literal: int = 0
    _literal_start: int = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._pieces = 0
        self._open += 1
        if self._open > self.depth:
            raise PageError(f"nested deeper than {self.depth} levels", self._line())
        self._namespaces.append(self._namespaces[-1] + sum(key.startswith("xmlns") for key in attributes))
        if self._namespaces[-1] > NAMESPACES:
            raise PageError(f"more than {NAMESPACES} namespaces", self._line())
        for key, value in attributes.items():
            if len(value) > self.limits.iri_bytes and key.startswith(("xmlns", "xml:")):
                raise too_long(key, self.limits, self._line())
            if not self._literal and key.endswith("parseType") and value not in {"Resource", "Collection"}:
                self._literal, self._literal_start = self._open, self._offset()
        if name.endswith("Prefix") and "IRI" in attributes:
            namespace = attributes["IRI"]
            if len(namespace) > self.limits.iri_bytes:
                raise too_long(attributes.get("name", ""), self.limits, self._line())
            self.prefixes.append((attributes.get("name", ""), namespace))

    def text(self, _text: str) -> None:
        self._pieces += 1  # the reader gives the line and its end apart
        if self._pieces > 2 * TEXT_LINES:
            raise PageError(f"a text of more than {TEXT_LINES:,} lines", self._line())

    def end(self, _name: str) -> None:
        if self._literal == self._open:
            self._literal = 0
            if self._offset() - self._literal_start > LITERAL_BYTES:
                raise PageError(f"an XML literal of more than {LITERAL_BYTES:,} bytes", self._line())
        self._open -= 1
        self._namespaces.pop()

    def _line(self) -> int | None:
        return self.parser.CurrentLineNumber if self.parser else None

    def _offset(self) -> int:
        return self.parser.CurrentByteIndex if self.parser else 0


def _behind_blanks(text: str, position: int) -> int:
    match = BLANK.match(text, position)
    return match.end() if match else position
