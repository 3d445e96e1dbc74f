"""What all markdown pages share: fenced blocks, page properties, wikilinks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

FENCE = re.compile(r"[ \t]*(?:[-*+][ \t]+)?(?P<marks>```+|~~~+)[ \t]*(?P<tag>[^\s`]*)[^`]*\Z")
PROPERTY = re.compile(
    r"(?P<indent>[ \t]*)(?P<bullet>[-*+][ \t]+)?(?P<key>[A-Za-z0-9_][\w.:-]{0,99}?)::(?:[ \t]+(?P<value>.*))?\Z"
)
WIKILINK = re.compile(r"\[\[([^\[\]\n]{1,500})\]\]")
COMMENT = re.compile(r"<!--.*?-->")


@dataclass(frozen=True, slots=True)
class Fence:
    """One fenced block: its tag in lower case, its body, and the line of the body's first line, from 1."""

    tag: str
    body: str
    line: int
    is_closed: bool = True


def fences(text: str) -> Iterator[Fence]:
    """Give a page's fenced blocks in their order; one that is never closed reaches to the end."""
    opened: tuple[str, str, int] | None = None
    body: list[str] = []
    for number, line in enumerate(text.split("\n"), 1):
        if opened is None:
            if ("```" in line or "~~~" in line) and (match := FENCE.match(line)):
                opened = (match["marks"], match["tag"].lower(), number + 1)
                body = []
        elif (stripped := line.strip()).startswith(opened[0]) and not stripped.strip(opened[0][0]):
            yield Fence(opened[1], "\n".join(body), opened[2])
            opened = None
        else:
            body.append(line)
    if opened is not None:
        yield Fence(opened[1], "\n".join(body), opened[2], is_closed=False)


def outside_fences(text: str) -> Iterator[tuple[int, str]]:
    """Give the lines that are no part of a fenced block, with their numbers from 1."""
    marks: str | None = None
    for number, line in enumerate(text.split("\n"), 1):
        if marks is None:
            if ("```" in line or "~~~" in line) and (match := FENCE.match(line)):
                marks = match["marks"]
            else:
                yield number, line
        elif (stripped := line.strip()).startswith(marks) and not stripped.strip(marks[0]):
            marks = None


def page_properties(text: str) -> dict[str, str]:
    """Read the `key:: value` lines that stand before a page's first bullet or heading. The first of a key wins."""
    found: dict[str, str] = {}
    for line in text.split("\n"):
        stripped = line.strip()
        if stripped.startswith(("-", "#", "*", "+", "```", "~~~")):
            break
        if match := PROPERTY.match(stripped):
            found.setdefault(match["key"].lower(), clean(match["value"]))
    return found


def clean(value: str | None) -> str:
    """Take comments and outer blanks off a property's value."""
    return COMMENT.sub("", value or "").strip()


def is_true(value: str | None) -> bool:
    """Tell whether a property's value says yes."""
    return (value or "").strip().lower() == "true"


def aliases(value: str | None) -> list[str]:
    """Read an `alias::` value: names between commas, with or without double brackets."""
    names = []
    for part in re.split(r",(?![^\[]*\]\])", value or ""):
        name = part.strip()
        if name.startswith("[[") and name.endswith("]]"):
            name = name[2:-2]
        names.append(name.strip())
    return [name for name in names if name]


def wikilinks(text: str) -> list[str]:
    """Name the pages that a text links to, in its order: `[[Page|shown text]]` names Page."""
    return [name for match in WIKILINK.finditer(text) if (name := match[1].partition("|")[0].strip())]
