"""What all markdown pages share: fenced blocks, page properties, wikilinks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

MARKS = re.compile(r"[ \t]*(?:[-*+][ \t]+)?(?P<marks>```+|~~~+)(?P<rest>[^\n]*)")
PROPERTY = re.compile(
    r"(?P<indent>[ \t]*)(?P<bullet>[-*+][ \t]+)?(?P<key>[A-Za-z0-9_][\w.:-]{0,99}?)::(?:[ \t]+(?P<value>.*))?\Z"
)
LINE = re.compile(r"[^\n]*\n?")
WIKILINK = re.compile(r"\[\[([^\[\]\n]{1,500})\]\]")
COMMENT_BEGINS, COMMENT_ENDS = "<!--", "-->"


@dataclass(frozen=True, slots=True)
class Fence:
    """One fenced block: its tag in lower case, its body, and the line of the body's first line, from 1."""

    tag: str
    body: str
    line: int
    is_closed: bool = True


def fences(text: str) -> Iterator[Fence]:
    """Give a page's fenced blocks in their order; one that is never closed reaches to the end."""
    counted, line = 0, 2
    for opening, closing in _fenced(text):
        line += text.count("\n", counted, opening.end())  # only what is new: a page may hold a hundred thousand fences
        counted = opening.end()
        end = len(text) if closing is None else closing.start() - 1
        yield Fence(_tag(opening), text[opening.end() + 1 : end], line, is_closed=closing is not None)


def outside_fences(text: str) -> Iterator[tuple[int, str]]:
    """Give the lines that are no part of a fenced block, with their numbers from 1."""
    start, line = 0, 1
    for opening, closing in _fenced(text):
        before = text[start : opening.start()]
        yield from enumerate(before.split("\n")[:-1], line)
        if closing is None:
            return
        line += text.count("\n", start, closing.end()) + 1
        start = closing.end() + 1
    yield from enumerate(text[start:].split("\n"), line)


def _fenced(text: str) -> Iterator[tuple[re.Match[str], re.Match[str] | None]]:
    """Pair the line that opens each fenced block with the line that closes it."""
    opening: re.Match[str] | None = None
    for match in _marked_lines(text):
        if opening is None:
            if "`" not in match["rest"]:
                opening = match
        elif match["marks"].startswith(opening["marks"]) and not match["rest"].strip():
            yield opening, match
            opening = None
    if opening is not None:
        yield opening, None


def _marked_lines(text: str) -> Iterator[re.Match[str]]:
    """Give the lines that begin with a fence's marks. Searching for the marks is faster than looking at every line."""
    ticks, tildes = _find(text, "```", 0), _find(text, "~~~", 0)
    while (found := min(ticks, tildes)) < len(text):
        if match := MARKS.match(text, text.rfind("\n", 0, found) + 1):
            yield match
        end = _find(text, "\n", found)
        if ticks < end:
            ticks = _find(text, "```", end)
        if tildes < end:
            tildes = _find(text, "~~~", end)


def _find(text: str, what: str, start: int) -> int:
    """Find a mark: by its first character, which is rare, and which alone is found at the speed of memory."""
    found = text.find(what[0], start)
    while found >= 0 and not text.startswith(what, found):
        found = text.find(what[0], found + 1)
    return len(text) if found < 0 else found


def _tag(opening: re.Match[str]) -> str:
    words = opening["rest"].split(maxsplit=1)
    return words[0].lower() if words else ""


def page_properties(text: str) -> dict[str, str]:
    """Read the `key:: value` lines that stand before a page's first bullet or heading. The first of a key wins."""
    found: dict[str, str] = {}
    for line in LINE.finditer(text):
        stripped = line[0].strip()
        if stripped.startswith(("-", "#", "*", "+", "```", "~~~")):
            break
        if match := PROPERTY.match(stripped):
            found.setdefault(match["key"].lower(), clean(match["value"]))
    return found


def clean(value: str | None) -> str:
    """Take comments and outer blanks off a property's value."""
    return without_comments(value or "").strip()


def without_comments(line: str) -> str:
    """Take the comments that end in it off a line. One that isn't closed is looked for once, not at each opening."""
    if COMMENT_BEGINS not in line:
        return line
    kept = []
    start = 0
    while (begin := line.find(COMMENT_BEGINS, start)) >= 0:
        end = line.find(COMMENT_ENDS, begin + len(COMMENT_BEGINS))
        if end < 0:
            break
        kept.append(line[start:begin])
        start = end + len(COMMENT_ENDS)
    return "".join(kept) + line[start:]


def is_true(value: str | None) -> bool:
    """Tell whether a property's value says yes."""
    return (value or "").strip().lower() == "true"


def aliases(value: str | None) -> list[str]:
    """Read an `alias::` value: names between commas, with or without double brackets."""
    names = []
    for part in _between_commas(value or ""):
        name = part.strip()
        if name.startswith("[[") and name.endswith("]]"):
            name = name[2:-2]
        names.append(name.strip())
    return [name for name in names if name]


def _between_commas(value: str) -> list[str]:
    """Cut a value at its commas, but for those that stand in double brackets."""
    parts = [""]
    for number, piece in enumerate(value.split("[")):
        within = piece.rfind("]]") + 1
        first, *others = piece[within:].split(",")
        parts[-1] += ("[" if number else "") + piece[:within] + first
        parts += others
    return parts


def wikilinks(text: str) -> list[str]:
    """Name the pages that a text links to, in its order: `[[Page|shown text]]` names Page."""
    return [name for match in WIKILINK.finditer(text) if (name := match[1].partition("|")[0].strip())]
