"""OWL 2 functional syntax as people write it: read whole where it is clean, statement by statement where it isn't.

horned-owl reads the syntax; what this module adds is that one bad statement costs itself alone, and tells its line.
Source: https://www.w3.org/TR/owl2-syntax/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from visionflow_daemon.errors import PageError
from visionflow_daemon.formats import iri
from visionflow_daemon.formats.builder import PageBuilder
from visionflow_daemon.formats.expression import Stated
from visionflow_daemon.formats.horned import OwlSyntaxError, components
from visionflow_daemon.formats.prefixes import FUNCTIONAL, refuse_expansion, refuse_uses, too_long
from visionflow_daemon.formats.statements import AXIOM_KEYWORDS, DOCUMENT_KEYWORDS, Statement, nesting, statements
from visionflow_daemon.model import Limits

HEADER = re.compile(r"(?:\s++|#[^\n]*+)*+(?:Prefix|Ontology)\s*\(")
PREFIX = re.compile(r"Prefix\(\s*([\w.-]*):\s*=\s*<([^<>\s]*)>\s*\)\Z")
CLASS_DECLARATION = re.compile(r"Declaration\s*\(\s*Class\s*\(\s*(?:[\w.-]*:|<)([^\s<>()]+)")
PREFIX_NAME = re.compile(r"[\w.-]*:")
MANY = 50
"""Prefixes from which on it is faster to look at a text's words than for each of them."""
WORD = re.compile(r"[\w.-]*+:?")


def read(page: PageBuilder, text: str, first_line: int | None = None, namespace: str | None = None) -> None:
    """Read axioms, or a whole ontology, into a page.

    `first_line` is the line of the file on which `text` begins; `namespace` is what the empty prefix stands for
    where the text doesn't say. Raises PageError for more statements than the limit.
    """
    if "Prefix" in text:
        refuse_expansion(text, FUNCTIONAL, page.reading.limits)
    prefixes = dict(page.reading.prefixes)
    if namespace is not None:
        prefixes[""] = namespace
    found = _whole(text, prefixes, first_line, page.reading.limits)
    if found is None:
        limit = page.reading.limits.statements
        cut = list(islice(statements(text, first_line or 1), limit + 1))
        if len(cut) > limit:
            raise PageError(f"more than {limit} statements in one file", cut[limit].line)
        found = _mended(page, cut, prefixes)
        if found is None:
            found = list(_one_by_one(page, cut, prefixes))
    page.add_stated(found)


def _whole(text: str, prefixes: Mapping[str, str], line: int | None, limits: Limits) -> list[Stated] | None:
    """Read a text at once; None where something of it is bad, or nested deeper than the limit."""
    if text.count("(") > limits.depth and nesting(text) > limits.depth:
        return None
    try:
        found = components(
            text if HEADER.match(text) else _declaring(_used(text, prefixes)) + _enclosed(text), "ofn", line
        )
    except OwlSyntaxError:
        return None
    return _as_declared(found, text)


def _as_declared(found: list[Stated], text: str) -> list[Stated]:
    """Put the declarations of classes in the order of the text: a page is meant by the first that it declares."""
    order: dict[str, int] = {}
    for match in CLASS_DECLARATION.finditer(text):
        order.setdefault(match[1], len(order))

    def place(stated: Stated) -> int:
        declared = stated.tree[1]
        if stated.tree[0] != "Declaration" or declared[0] != "Class":
            return -1
        class_iri = str(declared[1])[1:-1]
        return order.get(class_iri.removeprefix(iri.namespace_of(class_iri)), order.get(class_iri, len(order)))

    return sorted(found, key=place) if order else found


def _mended(page: PageBuilder, cut: Sequence[Statement], known: Mapping[str, str]) -> list[Stated] | None:
    """Read statements at once, mended and without comments.

    None where one is bad, or declares a prefix behind others, for which it would not hold.
    """
    if any(each.problem or each.deepest > page.reading.limits.depth for each in cut):
        return None
    prefixes = dict(known)
    behind = 0
    while behind < len(cut) and cut[behind].keyword == "Prefix" and (match := PREFIX.match(cut[behind].text)):
        _declare(prefixes, match, cut[behind], page.reading.limits)
        behind += 1
    axioms = cut[behind:]
    if any(each.keyword == "Prefix" for each in axioms):
        return None
    text = "\n".join(each.text for each in axioms)
    refuse_uses(text, prefixes.items())
    try:
        found = components(_declaring(_used(text, prefixes)) + _enclosed(text), "ofn", cut[0].line if cut else None)
    except OwlSyntaxError:
        return None
    for statement in axioms:
        _warn_of_mended(page, statement)
    return _as_declared(found, text)


def _one_by_one(page: PageBuilder, cut: Sequence[Statement], prefixes: dict[str, str]) -> Iterator[Stated]:
    """Read each statement for itself; a prefix that the text declares holds for what follows."""
    for statement in cut:
        text = statement.text
        if statement.keyword == "Prefix" and (match := PREFIX.match(text)):
            _declare(prefixes, match, statement, page.reading.limits)
            continue
        problem = statement.problem
        if problem is None and statement.keyword not in AXIOM_KEYWORDS | DOCUMENT_KEYWORDS:
            problem = f"no axiom is called {iri.shorten(statement.keyword, 40)!r}"
        if statement.deepest > page.reading.limits.depth:
            problem = f"nested deeper than {page.reading.limits.depth} levels"
        if problem is None:
            declared = _declaring(_used(text, prefixes))
            try:
                yield from components(declared + _enclosed(text), "ofn", statement.line)
            except OwlSyntaxError as error:
                problem = _why(statement, error, len((declared + _enclosed("")).encode()) - len("\n)"))
        if problem is not None:
            page.warn(f"left out, {problem}: {iri.shorten(text)}", statement.line)
        else:
            _warn_of_mended(page, statement)


def _warn_of_mended(page: PageBuilder, statement: Statement) -> None:
    if statement.mended:
        page.warn(f"{statement.mended}: {iri.shorten(statement.text)}", statement.line)


def _declare(prefixes: dict[str, str], match: re.Match[str], statement: Statement, limits: Limits) -> None:
    if len(match[2]) > limits.iri_bytes:
        raise too_long(match[1], limits, statement.line)
    prefixes[match[1]] = match[2]


def _used(text: str, prefixes: Mapping[str, str]) -> dict[str, str]:
    """Give those prefixes that a text may mean: declaring all for each statement would make many cost their product."""
    if len(prefixes) < MANY:
        return {name: namespace for name, namespace in prefixes.items() if f"{name}:" in text}
    names = {match[0][:-1] for match in WORD.finditer(text) if match[0].endswith(":")}
    return {name: prefixes[name] for name in sorted(names) if name in prefixes}


def _declaring(prefixes: Mapping[str, str]) -> str:
    return "".join(f"Prefix({name}:=<{namespace}>)\n" for name, namespace in prefixes.items())


def _enclosed(text: str) -> str:
    return f"Ontology(<urn:visionflow:page>\n{text}\n)"


def _why(statement: Statement, error: OwlSyntaxError, before: int) -> str:
    """Say what is wrong with a statement, and where in it; `before` bytes stand ahead of it in what was read."""
    if error.offset is None or error.offset < before:
        return error.reason
    rest = statement.text.encode()[error.offset - before :].decode("utf-8", "replace")
    if error.reason == "undeclared prefix" and (match := PREFIX_NAME.match(rest)):
        return f"undeclared prefix {match[0]!r}"
    return f"{error.reason} at {iri.shorten(rest, 40)!r}" if rest else error.reason
