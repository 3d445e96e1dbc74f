"""What is taken as equal though it is written otherwise, on one side of a comparison; each such thing is counted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from visionflow_daemon.storage.legacy import clean

BLANKS = "names with blanks or <> around them"
PREFIXED = "prefixed names, compared in full"
EMPTY = "empty texts, compared as none"
TYPE = "kinds of properties, compared by OWL's names"
CLASSES = "domains, ranges and characteristics, compared in one order and spelling"
AGAIN = "rows that say again what another row says, counted once"
OTHERWISE = "rows that name what another row names, and say otherwise of it: left out"
NAMELESS = "rows that lack a name, left out"
UNDECLARED = "classes and properties that are named but not declared, and that the other side does not hold"
IMPLIED = "axioms that say no more than a parent, and that the other side does not state"


@dataclass(frozen=True, slots=True)
class Norms:
    """Reads the values of one side; where `is_exact`, every value is taken as it is written."""

    prefixes: Mapping[str, str]
    is_exact: bool = False
    counts: dict[str, int] = field(default_factory=dict)

    def note(self, what: str) -> None:
        """Count one."""
        self.counts[what] = self.counts.get(what, 0) + 1

    def iri(self, value: object) -> str | None:
        """Read a name."""
        written = clean.text(value)
        return written if self.is_exact else self._named(written, clean.iri(written, self.prefixes))

    def operand(self, value: object) -> str | None:
        """Read what an axiom names: a name, a literal or an expression."""
        written = clean.text(value)
        return written if self.is_exact else self._named(written, clean.operand(written, self.prefixes))

    def text(self, value: object) -> str | None:
        """Read a label or a comment: an empty one says as little as none."""
        written = clean.text(value)
        if written == "" and not self.is_exact:
            self.note(EMPTY)
            return None
        return written

    def kind(self, value: object) -> str | None:
        """Read what kind of property a property is."""
        written = clean.text(value)
        return written if self.is_exact else self._noted(TYPE, written, clean.property_type(written))

    def several(self, value: object, connective: str) -> str | None:
        """Read a domain or a range: a name, an expression, or a JSON array of names in any order."""
        written = clean.text(value)
        if self.is_exact:
            return written
        return self._noted(CLASSES, written, clean.class_of_several(written, connective, self.prefixes) or None)

    def annotations(self, value: object) -> str:
        """Read an axiom's annotations: JSON in any order, or text."""
        written = clean.text(value) or ""
        if self.is_exact:
            return written
        found = clean.json_of(written)
        return "" if found in ({}, [], "") else written if found is None else clean.canonical(found)

    def _named(self, written: str | None, name: str | None) -> str | None:
        if written is not None and name is not None and written != name:
            self.note(PREFIXED if name not in written else BLANKS)
        return name

    def _noted(self, what: str, written: str | None, read: str | None) -> str | None:
        if written is not None and written != read:
            self.note(what)
        return read
