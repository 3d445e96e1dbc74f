"""Says what a row of an old table means: pure, one function a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha1
from typing import Any

from visionflow_daemon.storage.legacy import clean
from visionflow_daemon.storage.legacy.shapes import CHARACTERISTICS, OldTable

OldRow = Mapping[str, Any]
"""A row as it was: column to value."""


@dataclass(frozen=True, slots=True)
class Reader:
    """One old table, and how its names are read."""

    table: OldTable
    prefixes: Mapping[str, str]

    def value(self, row: OldRow, role: str) -> object:
        """Give the value of the column that says so; None where the table has none."""
        return row.get(self.table.roles.get(role, ""))

    def text(self, row: OldRow, role: str) -> str | None:
        """Give the same as text."""
        return clean.text(self.value(row, role))

    def iri(self, row: OldRow, role: str) -> str | None:
        """Give the same as an IRI."""
        return clean.iri(self.value(row, role), self.prefixes)

    def ontology(self, row: OldRow) -> str | None:
        """Name the ontology that a row belongs to; None where it doesn't say."""
        return (self.text(row, "ontology") or "").strip() or None

    def is_as_written(self, row: OldRow, role: str) -> bool:
        """Tell whether an IRI stands in the row letter by letter."""
        return self.value(row, role) == self.iri(row, role)

    def unknown(self, row: OldRow) -> dict[str, Any]:
        """Give the values of columns that mean nothing to this program."""
        return {name: clean.shown(row[name]) for name in self.table.unknown if row[name] is not None}


@dataclass(frozen=True, slots=True)
class OldClass:
    """What a row says of a class."""

    iri: str
    label: str | None
    comment: str | None
    properties: str
    parent: str | None = None
    created: str | None = None
    updated: str | None = None
    synced: str | None = None

    @property
    def digest(self) -> str:
        """Tell one content from another."""
        return digest(self.label, self.comment, self.properties)


@dataclass(frozen=True, slots=True)
class OldProperty:
    """What a row says of a property."""

    iri: str
    property_type: str
    label: str | None
    comment: str | None
    domain: str | None
    range: str | None
    characteristics: str
    properties: str | None
    created: str | None = None
    updated: str | None = None

    @property
    def digest(self) -> str:
        """Tell one content from another."""
        return digest(
            self.property_type, self.label, self.comment, self.domain, self.range, self.characteristics, self.properties
        )


@dataclass(frozen=True, slots=True)
class OldAxiom:
    """What a row says as an axiom. `number` is its id, where that is a number."""

    axiom_type: str
    subject: str
    property_iri: str | None
    object: str
    annotations: str
    is_inferred: bool
    number: int | None = None
    created: str | None = None

    @property
    def property_type(self) -> str | None:
        """As what the axiom uses its property."""
        kind = self.axiom_type.removesuffix("Assertion")
        return kind if self.property_iri is not None and kind.endswith("Property") else None

    @property
    def kind(self) -> str:
        """Say who says so."""
        return "inferred" if self.is_inferred else "stated"

    @property
    def digest(self) -> str:
        """Tell one axiom from another."""
        return digest(self.axiom_type, self.subject, self.property_iri, self.object, self.annotations)


@dataclass(frozen=True, slots=True)
class Oddities:
    """What of a table was not as it should be, and yet is in place: counted by kind."""

    counts: dict[str, int] = field(default_factory=dict)

    def note(self, what: str) -> None:
        """Count one."""
        self.counts[what] = self.counts.get(what, 0) + 1


def digest(*values: str | None) -> str:
    """Tell one list of values from another."""
    return sha1(clean.canonical(values).encode(), usedforsecurity=False).hexdigest()


def class_of(reader: Reader, row: OldRow, odd: Oddities) -> OldClass | None:
    """Read a row of owl_classes; None where it names no class."""
    iri = reader.iri(row, "iri")
    if iri is None:
        return None
    _note_texts(reader, row, odd)
    return OldClass(
        iri,
        reader.text(row, "label"),
        reader.text(row, "comment"),
        _properties(reader, row, odd),
        reader.iri(row, "parent"),
        reader.text(row, "created"),
        reader.text(row, "updated"),
        reader.text(row, "synced"),
    )


def pair_of(reader: Reader, row: OldRow, odd: Oddities) -> tuple[str, str] | None:
    """Read a row of owl_class_hierarchy; None where it names no class or no parent."""
    child, parent = reader.iri(row, "iri"), reader.iri(row, "parent")
    if child is None or parent is None:
        return None
    _note_texts(reader, row, odd)
    return child, parent


def property_of(reader: Reader, row: OldRow, odd: Oddities) -> OldProperty | None:
    """Read a row of owl_properties; None where it names no property."""
    iri = reader.iri(row, "iri")
    if iri is None:
        return None
    _note_texts(reader, row, odd)
    kind = clean.property_type(reader.value(row, "type"))
    set_ = {name for column, name in CHARACTERISTICS.items() if clean.truth(row.get(column))}
    listed = clean.json_of(reader.value(row, "characteristics"))
    set_ |= {each for each in listed if isinstance(each, str)} if isinstance(listed, list) else set()
    properties = _properties(reader, row, odd)
    return OldProperty(
        iri,
        kind,
        reader.text(row, "label"),
        reader.text(row, "comment"),
        clean.class_of_several(reader.value(row, "domain"), "ObjectIntersectionOf", reader.prefixes),
        clean.class_of_several(
            reader.value(row, "range"),
            "DataIntersectionOf" if kind == "DataProperty" else "ObjectIntersectionOf",
            reader.prefixes,
        ),
        clean.canonical(sorted(set_)),
        None if properties == "{}" else properties,
        reader.text(row, "created"),
        reader.text(row, "updated"),
    )


def axiom_of(reader: Reader, row: OldRow, odd: Oddities) -> OldAxiom | None:
    """Read a row of owl_axioms; None where its type, subject or object is missing.

    What a reasoner inferred stays letter by letter: the reasoner has to know it again.
    """
    axiom_type = (reader.text(row, "type") or "").strip()
    subject, target = reader.text(row, "subject"), reader.text(row, "object")
    is_inferred = clean.truth(reader.value(row, "inferred"))
    if not is_inferred:
        subject = clean.operand(subject, reader.prefixes)
        is_literal = axiom_type.startswith(("Data", "Annotation"))
        target = target if is_literal else clean.operand(target, reader.prefixes)
        _note_texts(reader, row, odd)
    if not axiom_type or subject is None or target is None:
        return None
    number = reader.value(row, "id")
    return OldAxiom(
        axiom_type,
        subject,
        reader.iri(row, "property"),
        target,
        _annotations(reader, row),
        is_inferred,
        number if isinstance(number, int) else None,
        reader.text(row, "created"),
    )


def _properties(reader: Reader, row: OldRow, odd: Oddities) -> str:
    """Join the JSON that a row has with the columns that this program doesn't know."""
    written = reader.value(row, "properties")
    found = clean.json_of(written)
    joined: dict[str, Any] = found if isinstance(found, dict) else {}
    if not isinstance(found, dict) and written is not None and clean.text(written) not in {"", "null"}:
        joined = {reader.table.roles["properties"]: clean.shown(written)}
        odd.note("properties that are no JSON object, kept as text")
    for name, value in reader.unknown(row).items():
        joined[name if name not in joined or joined[name] == value else f"{name} (column)"] = value
    return clean.canonical(joined)


def _annotations(reader: Reader, row: OldRow) -> str:
    """Give an axiom's annotations as they are written, joined with the columns that this program doesn't know."""
    written = reader.text(row, "annotations") or ""
    unknown = reader.unknown(row)
    found = clean.json_of(written)
    if not unknown:
        return "" if written.strip() in {"", "{}", "[]", "null"} else written
    if not isinstance(found, dict):
        found = {"annotations": written} if written.strip() and found not in ([], {}) else {}
    return clean.canonical(unknown | found)


def _note_texts(reader: Reader, row: OldRow, odd: Oddities) -> None:
    """Count the names and texts of a row that were not as they should be."""
    for role in ("iri", "parent", "subject", "object"):
        value = reader.value(row, role)
        if isinstance(value, str) and value != value.strip():
            odd.note("names with blanks around them, taken away")
        elif isinstance(value, str) and role in reader.table.roles and clean.iri(value, reader.prefixes) != value:
            odd.note("prefixed names, written in full")
    if any(isinstance(value, bytes) for value in row.values()):
        odd.note("rows with bytes where text is due, or that are no UTF-8")
    if reader.value(row, "label") == "":
        odd.note("empty labels")
