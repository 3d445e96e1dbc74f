"""Cuts functional syntax into its statements, so that a bad one costs itself alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from visionflow_daemon.formats.expression import RESTRICTIONS

AXIOM_KEYWORDS = frozenset(
    [
        "Declaration",
        "SubClassOf",
        "EquivalentClasses",
        "DisjointClasses",
        "DisjointUnion",
        "SubObjectPropertyOf",
        "EquivalentObjectProperties",
        "DisjointObjectProperties",
        "InverseObjectProperties",
        "ObjectPropertyDomain",
        "ObjectPropertyRange",
        "FunctionalObjectProperty",
        "InverseFunctionalObjectProperty",
        "ReflexiveObjectProperty",
        "IrreflexiveObjectProperty",
        "SymmetricObjectProperty",
        "AsymmetricObjectProperty",
        "TransitiveObjectProperty",
        "SubDataPropertyOf",
        "EquivalentDataProperties",
        "DisjointDataProperties",
        "DataPropertyDomain",
        "DataPropertyRange",
        "FunctionalDataProperty",
        "DatatypeDefinition",
        "HasKey",
        "SameIndividual",
        "DifferentIndividuals",
        "ClassAssertion",
        "ObjectPropertyAssertion",
        "NegativeObjectPropertyAssertion",
        "DataPropertyAssertion",
        "NegativeDataPropertyAssertion",
        "AnnotationAssertion",
        "SubAnnotationPropertyOf",
        "AnnotationPropertyDomain",
        "AnnotationPropertyRange",
        "DLSafeRule",
    ]
)
"""Keywords that begin an axiom, and never stand inside one."""

DOCUMENT_KEYWORDS = frozenset({"Prefix", "Ontology", "Import", "Annotation"})

EXPRESSION_KEYWORDS = frozenset(
    [
        *RESTRICTIONS,
        "AnnotationProperty",
        "Class",
        "DataComplementOf",
        "DataIntersectionOf",
        "DataOneOf",
        "DataProperty",
        "DataUnionOf",
        "Datatype",
        "DatatypeRestriction",
        "NamedIndividual",
        "ObjectComplementOf",
        "ObjectIntersectionOf",
        "ObjectInverseOf",
        "ObjectOneOf",
        "ObjectProperty",
        "ObjectPropertyChain",
        "ObjectUnionOf",
    ]
)

_ANY_KEYWORD = "|".join(sorted(AXIOM_KEYWORDS | DOCUMENT_KEYWORDS | EXPRESSION_KEYWORDS))
TOKEN = re.compile(
    r"(?P<blank>\s+|(?:#|;;)[^\n]*)|(?P<iri><[^<>\s]*>)"
    rf"|(?P<head>[A-Za-z]+[ \t]*\()|(?P<lisp>\(\s*(?:{_ANY_KEYWORD})(?=[\s()<\"]))"
    r"|(?P<open>\()|(?P<close>\))|(?P<number>[+-]?[0-9]+(?:\.[0-9]+)?(?=\^\^))|(?P<word>\^\^|[^\s()\"<>#;^]+|.)",
    re.DOTALL,
)
STRING = re.compile(r'("[^"\\]*+(?:\\.[^"\\]*+)*+)"(?:@[A-Za-z0-9-]+)?', re.DOTALL)
NEW_STATEMENT = re.compile(rf"\n[ \t]*(?:{'|'.join(sorted(AXIOM_KEYWORDS))})[ \t]*\(")
FIRST_TOKEN = re.compile(r"(?:\s++|(?:#(?!\+)|;;)[^\n]*+)*+(?P<lisp>\(?)\s*(?P<word>[A-Za-z]+)[ \t]*(?P<open>\(?)")


@dataclass(slots=True)
class Statement:
    """One statement: its text without comments, what was mended in it, and what is wrong with its shape."""

    line: int
    parts: list[str] = field(default_factory=list)
    depth: int = 0
    deepest: int = 0
    mended: str | None = None
    problem: str | None = None

    @property
    def text(self) -> str:
        """The statement in one line."""
        return "".join(self.parts)

    @property
    def keyword(self) -> str:
        """The word before its first parenthesis."""
        return self.parts[0].removesuffix("(")


@dataclass(slots=True)
class _Token:
    kind: str
    text: str
    line: int


def is_axioms(body: str, tag: str) -> bool:
    """Tell axioms from a query or another language, by the first token of a fence.

    In a tagged fence any capitalised word with its parenthesis will do, so that a misspelt axiom is reported;
    without a tag it has to be one of OWL's.
    """
    match = FIRST_TOKEN.match(body)
    if match is None or not (match["open"] or match["lisp"]):
        return False
    word = match["word"]
    return word in AXIOM_KEYWORDS or word in DOCUMENT_KEYWORDS or bool(tag and word[0].isupper())


def nesting(text: str) -> int:
    """Count how deeply parentheses nest in a text, those of comments and literals left aside."""
    deepest = depth = 0
    for token in _tokens(text, 1):
        if token.kind in {"head", "lisp", "open"}:
            depth += 1
            deepest = max(deepest, depth)
        elif token.kind == "close":
            depth = max(0, depth - 1)
    return deepest


def statements(text: str, first_line: int = 1) -> Iterator[Statement]:
    """Cut a text into its statements; what encloses them, `Ontology(<iri> …)`, is left away.

    Read all the same, and told in `mended`: Lisp's order `(Keyword …)`, and numbers without quotes before a datatype.
    A statement that is never closed ends where the next axiom begins.
    """
    current: Statement | None = None
    is_inside = False
    for token in _tokens(text, first_line):
        if token.kind in {"head", "lisp"} and current is not None and _begins(token, current):
            yield _broken(current)
            current = None
        if current is None:
            if token.text == "Ontology(":
                is_inside = True
                continue
            if is_inside and token.kind in {"iri", "close"}:
                continue
            current = Statement(token.line)
        _append(current, token)
        if token.kind == "broken" or (token.kind == "close" and current.depth <= 0):
            yield current
            current = None
    if current is not None:
        yield _broken(current)


def _begins(token: _Token, current: Statement) -> bool:
    """Tell whether a token begins another statement: an axiom never stands in one, and text before it is none."""
    return token.text[:-1] in AXIOM_KEYWORDS or current.depth == 0


def _broken(statement: Statement) -> Statement:
    if statement.problem is None:
        statement.problem = "its parentheses are not closed" if statement.depth else "not an axiom"
    return statement


def _append(statement: Statement, token: _Token) -> None:
    if statement.parts and not (
        token.kind == "close" or token.text == "^^" or statement.parts[-1] == "^^" or statement.parts[-1].endswith("(")
    ):
        statement.parts.append(" ")
    statement.parts.append(token.text)
    if token.kind in {"head", "lisp", "open"}:
        statement.depth += 1
        statement.deepest = max(statement.deepest, statement.depth)
    elif token.kind == "close":
        statement.depth -= 1
        if statement.depth < 0:
            statement.problem = "a closing parenthesis without its opening one"
    elif token.kind == "broken":
        statement.problem = "a quotation mark is not closed"
    if token.kind == "lisp":
        statement.mended = f"read as {token.text}…), though written (first the parenthesis, then the keyword)"
    elif token.kind == "number":
        statement.mended = f"read as {token.text}, though written without quotation marks"


def _tokens(text: str, first_line: int) -> Iterator[_Token]:
    position, line = 0, first_line
    closing = end = 0
    while position < len(text):
        if text[position] == '"':
            if closing <= position:  # within a string that was cut, an escaped quotation mark leads to the same end
                string = STRING.match(text, position)
                closing, end = (string.end(1), string.end()) if string else (len(text), len(text) + 1)
            kind, token = _string(text, position, end)
        else:
            match = TOKEN.match(text, position)
            assert match is not None  # noqa: S101 - the last alternative takes any character
            kind, token = str(match.lastgroup), match[0]
        if kind == "head":
            yield _Token(kind, token[:-1].rstrip() + "(", line)
        elif kind == "lisp":
            yield _Token(kind, token[1:].strip() + "(", line)
        elif kind == "number":
            yield _Token(kind, f'"{token}"', line)
        elif kind != "blank":
            yield _Token(kind, token, line)
        position += len(token)
        line += token.count("\n")


def _string(text: str, start: int, end: int) -> tuple[str, str]:
    """Give the string that begins at `start`: cut where it runs into the next statement, a bare mark without an end."""
    if end > len(text):
        return "word", '"'
    if cut := NEW_STATEMENT.search(text, start, end):
        return "broken", text[start : cut.start()]
    return "string", text[start:end]
