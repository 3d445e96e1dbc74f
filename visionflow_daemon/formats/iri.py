"""IRIs: expanding prefixed names, telling valid from invalid, minting new ones."""

from __future__ import annotations

import re
from collections.abc import Mapping

from visionflow_daemon.model import Limits

# RFC 3987 in one pass: a scheme, then none of the characters that an IRI may never hold.
ABSOLUTE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\x00-\x20<>\"{}|\\^`\x7f-\x9f\ue000-\uf8ff]+\Z")
PREFIXED = re.compile(r"([A-Za-z_][\w.-]*)?:([^\s<>\"{}|\\^`()]*)\Z")
LONGEST_CHARACTER = 4
"""Bytes of a character in UTF-8, at most: what is short enough for it need not be encoded to be measured."""
NOT_IN_NAME = re.compile(r"[\W_]+")


def problem(iri: str, limits: Limits) -> str | None:
    """Say what is wrong with an absolute IRI; None when nothing is."""
    if not ABSOLUTE.match(iri):
        return f"invalid IRI {shorten(iri)!r}"
    if len(iri) * LONGEST_CHARACTER > limits.iri_bytes and len(iri.encode()) > limits.iri_bytes:
        return f"an IRI longer than {limits.iri_bytes} bytes: {shorten(iri)!r}"
    return None


def expand(name: str, prefixes: Mapping[str, str]) -> str | None:
    """Expand `prefix:local` or `<iri>`; an absolute IRI stays as it is. None when nothing fits.

    A prefix of the table wins over a scheme of the same name, save for what has `//` behind its colon.
    """
    if name.startswith("<") and name.endswith(">"):
        name = name[1:-1]
    elif match := PREFIXED.match(name):
        prefix, local = match.group(1) or "", match.group(2)
        if prefix in prefixes and not local.startswith("//"):
            return prefixes[prefix] + local
        if prefix.lower() not in {"urn", "http", "https", "did", "mailto", "tag", "doi", "info", "file"}:
            return None
    return name if ABSOLUTE.match(name) else None


def namespace_of(iri: str) -> str:
    """Give the namespace that an IRI lives in: all up to its last `#`, `/` or `:`."""
    cut = max(iri.rfind("#"), iri.rfind("/")) + 1 or iri.rfind(":") + 1
    return iri[:cut]


def local_name(text: str) -> str:
    """Make a local name of a page's name: without spaces and special characters, each word's case kept."""
    return NOT_IN_NAME.sub("", text)


def camel_case(key: str) -> str:
    """Make a property's local name of a page property's key: `has-part` becomes `hasPart`."""
    words = [word for word in re.split(r"[\s_-]+", key) if word]
    return "".join(word if position == 0 else word[:1].upper() + word[1:] for position, word in enumerate(words))


def shorten(text: str, width: int = 120) -> str:
    """Cut a text for a message."""
    return text if len(text) <= width else text[: width - 1] + "…"
