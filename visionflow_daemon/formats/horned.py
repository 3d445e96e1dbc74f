"""horned-owl, which reads OWL's own syntaxes: its components as trees, its errors and panics as ValueError."""

from __future__ import annotations

import re
from typing import Literal, TypeAlias

from visionflow_daemon.formats import expression
from visionflow_daemon.formats.expression import Stated

Syntax: TypeAlias = Literal["ofn", "omn", "owx"]

NO_AXIOMS = frozenset({"OntologyID", "DocIRI", "OntologyAnnotation", "Import"})
CARDINALITY = re.compile(r"(?:Cardinality\s*\(|\b(?:min|max|exactly)\s|\bcardinality\s*=\s*[\"'])\s*([0-9]{10,})")
MAX_CARDINALITY = 2**32 - 1
WHERE = re.compile(r"(?:BytePosition\((?P<position>\d+)\)|ByteSpan\((?P<start>\d+)\.\.)")
DUE = re.compile(r"positives: \[([^\]]*)\]")


class OwlSyntaxError(ValueError):
    """Text that horned-owl does not read; `offset` counts bytes from its beginning, None where it is not told."""

    def __init__(self, reason: str, offset: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.offset = offset


def components(text: str, syntax: Syntax, line: int | None = None) -> list[Stated]:
    """Read the axioms of an ontology document, in the order of their text. Raises OwlSyntaxError.

    The caller bounds the nesting: 20,000 levels crash the process.
    """
    from pyhornedowl import open_ontology_from_string  # noqa: PLC0415 - costs memory, and few pages hold axioms

    for match in CARDINALITY.finditer(text):
        digits = match[1].lstrip("0")
        if len(digits) > len(str(MAX_CARDINALITY)) or int(digits or "0") > MAX_CARDINALITY:
            raise OwlSyntaxError(f"a cardinality above {MAX_CARDINALITY}", len(text[: match.start(1)].encode()))
    try:
        ontology = open_ontology_from_string(text, syntax)
    except ValueError as error:
        raise _problem(str(error)) from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # a panic of Rust's is no Exception
            raise
        raise OwlSyntaxError("horned-owl gave up on it") from None
    found = [
        (str(each.component), sorted(str(annotation) for annotation in each.ann))
        for each in ontology.get_components()
        if type(each.component).__name__ not in NO_AXIOMS
    ]
    return [
        Stated(expression.parse(axiom), tuple(expression.parse(annotation) for annotation in annotations), line)
        for axiom, annotations in sorted(found)
    ]


def _problem(error: str) -> OwlSyntaxError:
    where = WHERE.search(error)
    offset = int(where["position"] or where["start"]) if where else None
    if "undefined prefix" in error:
        return OwlSyntaxError("undeclared prefix", offset)
    due = DUE.search(error)
    return OwlSyntaxError(f"{due[1].replace(', ', ' or ')} is due" if due and due[1] else "not readable", offset)
