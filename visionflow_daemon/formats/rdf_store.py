"""The store that rdflib's parsers fill: it keeps the triples in their order, and only what may be kept.

What it is made of is imported late, with rdflib itself: that costs 15 MB, and most repositories hold no RDF file.
"""

from __future__ import annotations

from typing import Any

from visionflow_daemon.errors import PageError
from visionflow_daemon.formats.prefixes import grown, most_expanded
from visionflow_daemon.formats.rdf_expression import Triple
from visionflow_daemon.model import Limits

FREE_LENGTH = 100
"""How long a term may be before it counts as grown: that is what a short name or a bracket of a list may stand for."""

FREE_STATEMENTS, BYTES_OF_STATEMENT = 50_000, 5
"""How many statements any file may hold, and how few bytes each of the others may take: in the shortest of lists it is
one, and a megabyte of that takes half a minute."""

PREFIXES = 2_000
"""How many prefixes a TriG or JSON-LD file may declare: their parsers make graphs of their own, which tell rdflib, and
that takes the square of their number."""


def recorder(size: int, limits: Limits) -> Any:  # noqa: ANN401 - a class of rdflib
    """Make a store for a file of a size. Raises PageError while it is filled, for more than the file may hold."""
    from rdflib.plugins.stores.memory import Memory  # noqa: PLC0415 - as rdflib itself

    allowed = min(limits.statements, FREE_STATEMENTS + size // BYTES_OF_STATEMENT)

    class Recorder(Memory):
        def __init__(self) -> None:
            super().__init__()
            self.order: dict[Triple, None] = {}
            self.characters = 0
            self.prefixes = 0

        def bind(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - rdflib's own signature
            self.prefixes += 1
            if self.prefixes > PREFIXES:
                raise PageError(f"more than {PREFIXES:,} prefixes in one file")
            super().bind(*arguments, **options)

        def add(self, triple: Triple, context: Any, quoted: bool = False) -> None:  # noqa: ANN401, ARG002, FBT001, FBT002 - rdflib's own signature
            self.order[triple] = None  # no parser asks for what it added: rdflib's own indexes would be memory lost
            if len(self.order) > allowed:
                raise PageError(f"more than {allowed:,} statements in one file of {size:,} bytes")
            self.characters += sum(max(0, len(term) - FREE_LENGTH) for term in triple)
            self.characters += len(getattr(triple[2], "language", None) or "")
            if self.characters > most_expanded(size):
                raise grown(size)

    return Recorder()


def no_namespaces(graph: Any) -> Any:  # noqa: ANN401 - a graph of rdflib
    """Make a namespace manager that keeps nothing: rdflib's own takes the square of the number of prefixes."""
    from rdflib.namespace import NamespaceManager  # noqa: PLC0415 - as rdflib itself

    class NoNamespaces(NamespaceManager):
        def bind(self, *_arguments: Any, **_options: Any) -> None:  # noqa: ANN401 - rdflib's own signature
            """Keep no prefix: the parsers have expanded all names."""

    return NoNamespaces(graph, bind_namespaces="none")
