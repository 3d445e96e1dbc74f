"""OWL text pages: prose with `owl:functional-syntax::` and the axioms that are indented below it."""

from __future__ import annotations

import re

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
    for position, (_, line) in enumerate(lines):
        if match := KEY.match(line):
            section = _section(lines, position + 1, _width(match["indent"]))
            body = "\n".join(each for _, each in section)
            if match["bar"] or is_axioms(body, ""):
                for number, each in section:
                    kept[number - 1] = each
    return "\n".join(kept)


def _section(lines: list[tuple[int, str]], start: int, indent: int) -> list[tuple[int, str]]:
    """Give the lines that are indented below a key; comments and axioms may stand further left."""
    section: list[tuple[int, str]] = []
    for position in range(start, len(lines)):
        number, line = lines[position]
        stripped = line.strip()
        is_free = not stripped or stripped.startswith("#") or STATEMENT.match(line) is not None
        if not is_free and _width(line) <= indent:
            break
        section.append((number, line))
    return section


def _width(line: str) -> int:
    wide = line.expandtabs(4)
    return len(wide) - len(wide.lstrip())
