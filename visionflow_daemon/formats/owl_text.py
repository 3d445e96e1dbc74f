"""OWL text pages: prose with `owl:functional-syntax::` and the axioms that are indented below it."""

from __future__ import annotations

import re
from itertools import islice

from visionflow_daemon.formats import functional, markdown, outline
from visionflow_daemon.formats.builder import PageBuilder
from visionflow_daemon.formats.statements import is_axioms
from visionflow_daemon.model import Reading

KEY = re.compile(r"(?P<indent>[ \t]*)(?:[-*+][ \t]+)?owl:functional-syntax::[ \t]*(?P<bar>\|?)[ \t]*\Z")
STATEMENT = re.compile(r"[ \t]*(?:[A-Z][A-Za-z]*[ \t]*\(|\))")


def matches(text: str) -> bool:
    """Tell an OWL text page by its key, with a bar behind it or axioms below it."""
    return "owl:functional-syntax::" in text and bool(_axioms(text).strip())


def read(text: str, reading: Reading) -> PageBuilder:
    """Read a page that `matches`. What one section declares holds for the page's other sections, too."""
    page = PageBuilder("owl-text", reading)
    functional.read(page, _axioms(text), 1)
    outline.add_axioms(page, text, None)
    outline.add_page(page, text)
    return page


def _axioms(text: str) -> str:
    """Blank out all of a page but its axioms, so that each stays on its line."""
    kept = [""] * (text.count("\n") + 1)
    lines = list(markdown.outside_fences(text))
    done = 0
    for start, end, has_bar in _sections([line for _, line in lines]):
        if end > done and (has_bar or _begins_axioms(lines, start, end)):
            for number, line in lines[max(start, done) : end]:
                kept[number - 1] = line
            done = end
    return "\n".join(kept)


def _sections(lines: list[str]) -> list[tuple[int, int, bool]]:
    """Give where the lines below each key begin and end, and whether the key has a bar.

    They are those indented deeper than the key; comments and axioms may stand further left. Read from the end, with
    the lines that could end a section on a stack, so that keys within keys cost no more than others.
    """
    found = []
    ending: list[tuple[int, int]] = []
    for position in range(len(lines) - 1, -1, -1):
        line = lines[position]
        stripped = line.strip()
        if not stripped or stripped.startswith("#") or STATEMENT.match(line):
            continue
        width = _width(line)
        while ending and ending[-1][0] > width:
            ending.pop()
        if match := KEY.match(line):
            found.append((position + 1, ending[-1][1] if ending else len(lines), bool(match["bar"])))
        ending.append((width, position))
    return found[::-1]


def _begins_axioms(lines: list[tuple[int, str]], start: int, end: int) -> bool:
    """Tell axioms by their first line that is neither blank nor a comment, and the one behind it."""
    below = (line.lstrip() for _, line in islice(lines, start, end))
    said = (line for line in below if line and (line.startswith("#+") or not line.startswith(("#", ";;"))))
    return is_axioms("\n".join(islice(said, 2)), "")


def _width(line: str) -> int:
    wide = line.expandtabs(4)
    return len(wide) - len(wide.lstrip())
