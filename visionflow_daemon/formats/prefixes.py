"""Bounds what the prefixes of a file expand to: a megabyte of short names could stand for gigabytes of IRIs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from visionflow_daemon.errors import PageError
from visionflow_daemon.formats.iri import shorten
from visionflow_daemon.formats.text import line_of
from visionflow_daemon.model import Limits

_BLANK = r"(?:\s++|#[^\n]*+)*+"
FUNCTIONAL = re.compile(
    rf"{_BLANK}Prefix{_BLANK}\({_BLANK}(?P<name>[^\s:(#]*+):{_BLANK}={_BLANK}<(?P<namespace>[^<>]*+)>{_BLANK}\)"
)
MANCHESTER = re.compile(rf"{_BLANK}Prefix:{_BLANK}(?P<name>[^\s:#]*+):{_BLANK}<(?P<namespace>[^<>]*+)>")
USE = re.compile(r"([^\s:(){}\[\],;\"<>=]*+):?")
FREE_BYTES = 10_000_000
GROWTH = 30
"""How many times its size, beyond what is free, a file may grow by the expansion of its names."""


def most_expanded(size: int) -> int:
    """Give how many characters the names of a file of some size may expand to."""
    return FREE_BYTES + GROWTH * size


def refuse_expansion(text: str, declaring: re.Pattern[str], limits: Limits) -> None:
    """Refuse a text whose prefixes, which stand at its head as a pattern tells, are too long or expand to too much."""
    declared = []
    position = 0
    while match := declaring.match(text, position):
        if len(match["namespace"]) > limits.iri_bytes:
            raise too_long(match["name"], limits, line_of(text, match.start("name")))
        declared.append((match["name"], match["namespace"]))
        position = match.end()
    refuse_uses(text, declared)


def refuse_uses(text: str, declared: Iterable[tuple[str, str]]) -> None:
    """Refuse a text in which declared prefixes are used so often that it would grow out of all proportion."""
    longest: dict[str, int] = {}
    for name, namespace in declared:
        longest[name] = max(longest.get(name, 0), len(namespace))
    if text.count(":") * max(longest.values(), default=0) <= most_expanded(len(text)):
        return
    uses = Counter(match[1] for match in USE.finditer(text) if match[0].endswith(":"))
    if sum(uses[name] * length for name, length in longest.items()) > most_expanded(len(text)):
        raise grown(len(text))


def too_long(name: str, limits: Limits, line: int | None = None) -> PageError:
    """Give the error of a namespace that no valid IRI could begin with."""
    return PageError(f"the prefix {shorten(name)!r} stands for more than {limits.iri_bytes} bytes", line)


def grown(size: int) -> PageError:
    """Give the error of a file whose names expand to too much."""
    return PageError(f"its IRIs written in full take more than {most_expanded(size):,} bytes")
