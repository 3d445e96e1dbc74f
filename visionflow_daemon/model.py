"""The values that travel through a pass: what a file says, and how it is to be read."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from hashlib import sha256

DEFAULT_PREFIXES: Mapping[str, str] = {
    "ai": "http://narrativegoldmine.com/ai#",
    "bc": "http://narrativegoldmine.com/blockchain#",
    "rb": "http://narrativegoldmine.com/robotics#",
    "mv": "http://narrativegoldmine.com/metaverse#",
    "tc": "http://narrativegoldmine.com/telecollaboration#",
    "dt": "http://narrativegoldmine.com/disruptive-tech#",
    "vc": "https://narrativegoldmine.com/ns/v1#",
    "owl": "http://www.w3.org/2002/07/owl#",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "dcterms": "http://purl.org/dc/terms/",
    "prov": "http://www.w3.org/ns/prov#",
}
"""Prefixes known everywhere; a configuration adds to them and overrides them."""

NAME_KEY_BYTES = 1_024
PATH_BYTES = 2_000
"""What fits into an index entry of every engine, beside the id of an ontology and a number (ADR 0029)."""

DEFAULT_NOT_RELATIONS: tuple[str, ...] = (
    "source",
    "import-date",
    "imported-from",
    "migration-date",
    "last-updated",
    "public-access",
    "status",
    "maturity",
)
"""Page properties that are no relations although their values hold links."""

UNSEEN = re.compile(
    "[\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
"""Characters that JSON lets stand and nobody sees: a terminal obeys them, or shows a text in another order.

They are told by their numbers, not by what Python's edition of Unicode says of them: a dump is the same with every one.
"""


@dataclass(frozen=True, slots=True)
class ClassFact:
    """One class that a file declares. `properties` is canonical JSON of everything else said of it."""

    iri: str
    label: str | None = None
    comment: str | None = None
    properties: str = "{}"

    @property
    def is_bare(self) -> bool:
        """Whether the file only declares the class, and says nothing about it."""
        return self.label is None and self.comment is None and self.properties == "{}"


@dataclass(frozen=True, slots=True)
class PropertyFact:
    """One property that a file declares or describes; `domain` and `range` are IRIs or class expressions."""

    iri: str
    property_type: str
    label: str | None = None
    comment: str | None = None
    domain: str | None = None
    range: str | None = None
    characteristics: str = "[]"

    @property
    def is_bare(self) -> bool:
        """Whether the file only declares the property, and says nothing about it."""
        return self == PropertyFact(self.iri, self.property_type)


@dataclass(frozen=True, slots=True)
class Axiom:
    """One axiom that a file states.

    `subject` and `object` hold a bare IRI, a literal as functional syntax writes it (it starts with a quote), or a
    canonical class expression with full IRIs. `annotations` is canonical functional syntax, empty when there are none.
    """

    axiom_type: str
    subject: str
    object: str
    property_iri: str | None = None
    property_type: str | None = None
    annotations: str = ""
    is_parent: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A relation whose object is named by a wikilink: which class it means depends on the other pages.

    `name` is a `name_key`. `minted_iri` is what it means while no page goes by that name; None if none can be made.
    """

    axiom_type: str
    subject: str
    name: str
    minted_iri: str | None
    property_iri: str | None = None
    annotations: str = ""


class NameRank(IntEnum):
    """How strongly a page holds a name: the smaller wins."""

    TITLE = 0
    PREFERRED_TERM = 1
    ALIAS = 2


@dataclass(frozen=True, slots=True)
class PageName:
    """A name by which wikilinks may mean a page; `key` is a `name_key`."""

    key: str
    rank: NameRank


@dataclass(frozen=True, slots=True)
class PageWarning:
    """Something in a file that was not read as written, and cost no more than itself."""

    message: str
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """All that one file says. Classes stand in the file's order: a link to the page means the first."""

    format: str
    classes: tuple[ClassFact, ...] = ()
    properties: tuple[PropertyFact, ...] = ()
    axioms: tuple[Axiom, ...] = ()
    links: tuple[Link, ...] = ()
    names: tuple[PageName, ...] = ()
    outbound_links: tuple[str, ...] = ()
    warnings: tuple[PageWarning, ...] = ()
    is_public: bool = False
    skip_reason: str | None = None

    @property
    def has_facts(self) -> bool:
        """Whether the file says anything that an ontology holds."""
        return bool(self.classes or self.properties or self.axioms or self.links)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one file may ask of us, so that reading it takes bounded time and memory."""

    page_bytes: int = 10_000_000
    rdf_bytes: int = 50_000_000
    depth: int = 200
    statements: int = 1_000_000
    iri_bytes: int = 1_024


@dataclass(frozen=True, slots=True)
class ApartRules:
    """Which files are read in a process of their own, and what that may take: seconds, and bytes of memory.

    No rule of reading: what a file says does not depend on it.
    """

    from_bytes: int = 500_000
    seconds: float = 60.0
    memory_bytes: int = 2 << 30


@dataclass(frozen=True, slots=True)
class Reading:
    """How files are read: all that, beside its bytes and its path, decides what a file says."""

    prefixes: Mapping[str, str] = field(default_factory=lambda: DEFAULT_PREFIXES)
    not_relations: frozenset[str] = frozenset(DEFAULT_NOT_RELATIONS)
    limits: Limits = Limits()


class EntryKind(StrEnum):
    """What a path of a tree leads to; only blobs are read, symlinks and submodules are reported."""

    BLOB = "blob"
    SYMLINK = "symlink"
    SUBMODULE = "submodule"


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One path of a commit's tree; `blob` is the id of what it leads to, in hexadecimal."""

    path: bytes
    blob: str
    kind: EntryKind = EntryKind.BLOB


@dataclass(frozen=True, slots=True)
class KnownFile:
    """One file as the database has it: the content last tried, how it was read, and the content that it holds."""

    path: bytes
    blob: str
    digest: str
    is_failed: bool = False
    next_attempt_at: str | None = None
    blob_saved: str | None = None
    digest_saved: str | None = None
    attempts: int = 0


def timestamp(moment: datetime) -> str:
    """Write a moment as the database keeps it: UTC, to the second."""
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def name_key(name: str) -> str:
    """Bring a page name into the form in which names are compared: NFC and case-folded.

    One of more than `NAME_KEY_BYTES` ends in its digest instead: no index takes texts of any length (ADR 0029).
    """
    folded = unicodedata.normalize("NFC", name).casefold()
    key = unicodedata.normalize("NFC", folded).strip()
    if len(key) <= NAME_KEY_BYTES // 4 or len(given := key.encode()) <= NAME_KEY_BYTES:
        return key
    digest = sha256(given).hexdigest()
    return f"{given[: NAME_KEY_BYTES - len(digest) - 1].decode(errors='ignore')}#{digest}"


def display_path(path: bytes) -> str:
    """Show a git path as text, without loss and harmless on a terminal.

    Bytes that are not UTF-8, control characters and the backslash are escaped as in a Python bytes literal.
    """
    text = path.decode("utf-8", "surrogateescape")
    if text.isprintable() and "\\" not in text:
        return text
    return "".join("\\\\" if character == "\\" else _shown(character) for character in text)


def harmless(text: str) -> str:
    """Make a text from a page, a path or a remote harmless on a terminal: what controls it is escaped."""
    return text if text.isprintable() else "".join(_shown(character) for character in text)


def escaped_json(text: str) -> str:
    """Make JSON harmless on a terminal: equal for who reads it, with what nobody sees escaped."""
    return UNSEEN.sub(_unit_escapes, text)


def _unit_escapes(found: re.Match[str]) -> str:
    """Give one escape for each unit of UTF-16, as JSON has it."""
    units = found[0].encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def _shown(character: str) -> str:
    if character.isprintable():
        return character
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))
