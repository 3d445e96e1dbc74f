"""One side of a comparison: a database of any shape, and what its rows say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from visionflow_daemon.errors import ConfigError, DatabaseError
from visionflow_daemon.storage import files, migrate
from visionflow_daemon.storage.database import Database
from visionflow_daemon.storage.legacy import clean
from visionflow_daemon.storage.legacy.shapes import (
    AXIOMS,
    CHARACTERISTICS,
    CLASSES,
    HIERARCHY,
    PROPERTIES,
    TABLES,
    OldTable,
    foreign_tables,
    names,
    shape_of,
    table_of,
)
from visionflow_daemon.storage.parallel import norms
from visionflow_daemon.storage.parallel.norms import Norms
from visionflow_daemon.storage.parallel.scope import Scope
from visionflow_daemon.storage.parallel.sheet import Entry, Section, Sheet

DEFAULT_ONTOLOGY = "default"
"""To which ontology rows of an old database belong that name none, where it holds several."""

DECLARED = "is_declared"
"""The column of our own tables that tells a class or property from one that is named only."""

TextRow = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Side:
    """A database, by its tables; and the ontology that is compared, None where its rows name none."""

    database: Database
    shape: str
    tables: Mapping[str, OldTable]
    ontologies: tuple[str, ...]
    ontology_id: str | None
    is_ours: bool


def side_of(database: Database, ontology_id: str | None, option: str) -> Side:
    """Tell what a database is. Raises DatabaseError where it is nobody's, ConfigError for an ontology it lacks."""
    if foreign_tables(database):
        shape = shape_of(database)
        named = _ontologies(database, shape.tables.values())
        known = tuple(sorted({*named, DEFAULT_ONTOLOGY})) if len(named) > 1 else named
        chosen = _chosen(known, ontology_id, option) if known else None
        return Side(database, f"older VisionFlow, shape {shape.name}", shape.tables, known, chosen, is_ours=False)
    migrate.pending(database)
    version = migrate.current_version(database)
    if not version:
        raise DatabaseError(f"{database.path} holds nothing of VisionFlow: it has none of {', '.join(TABLES)}")
    known = tuple(files.ontologies(database))
    if not known:
        raise DatabaseError(f"{database.path} holds no ontology: no pass has run")
    tables = {name: table_of(database, name) for name in TABLES}
    chosen = _chosen(known, ontology_id, option)
    return Side(database, f"visionflow-daemon, schema version {version}", tables, known, chosen, is_ours=True)


def put_down(side: Side, scope: Scope, sheet: Sheet) -> None:
    """Read all that is compared off a side, within the one snapshot that its caller holds."""
    reader = _Reader(side, scope, sheet)
    for table, read in (
        (CLASSES, reader.classes),
        (HIERARCHY, reader.parents),
        (PROPERTIES, reader.properties),
        (AXIOMS, reader.axioms),
    ):
        if table in side.tables and scope.needs(table):
            sheet.write(read(side.tables[table]))


def _ontologies(database: Database, tables: Iterable[OldTable]) -> tuple[str, ...]:
    found: set[str] = set()
    for table in tables:
        if column := table.roles.get("ontology"):
            rows = database.rows(f"SELECT DISTINCT {names((column,))} FROM {table.name}")
            found |= {name for (value,) in rows if (name := (clean.text(value) or "").strip())}
    return tuple(sorted(found))


def _chosen(known: tuple[str, ...], wanted: str | None, option: str) -> str:
    shown = ", ".join(map(repr, known[:10]))
    if wanted is None:
        if len(known) > 1:
            raise ConfigError(f"it holds several ontologies: say which with {option} ({shown})")
        return known[0]
    if wanted not in known:
        raise ConfigError(f"{option}: there is no ontology {wanted!r} in it: it holds {shown}")
    return wanted


@dataclass(frozen=True, slots=True)
class _Reader:
    side: Side
    scope: Scope
    sheet: Sheet

    @property
    def norms(self) -> Norms:
        return self.sheet.norms

    def classes(self, table: OldTable) -> Iterator[Entry]:
        if len(self.side.ontologies) > 1 and not self.side.is_ours:
            self.sheet.note_members(self._members(table))
        for row in self._rows(table, "iri", ("label", "comment", "parent")):
            iri = self.norms.iri(row["iri"])
            if iri is None:
                self.norms.note(norms.NAMELESS)
                continue
            says: dict[str, Any] = {name: self.norms.text(row[name]) for name in sorted(self.scope.of_classes)}
            yield Entry(Section.CLASS, (iri,), says, self._is_optional(row), row["iri"] != iri)
            if (parent := self.norms.iri(row["parent"])) is not None:
                yield Entry(Section.PARENT, (iri, parent), {})

    def parents(self, table: OldTable) -> Iterator[Entry]:
        for row in self._rows(table, "iri", ("parent",)):
            child, parent = self.norms.iri(row["iri"]), self.norms.iri(row["parent"])
            if child is None or parent is None:
                self.norms.note(norms.NAMELESS)
            else:
                yield Entry(Section.PARENT, (child, parent), {})

    def properties(self, table: OldTable) -> Iterator[Entry]:
        roles = ("type", "label", "comment", "domain", "range", "characteristics")
        for row in self._rows(table, "iri", roles):
            iri = self.norms.iri(row["iri"])
            if iri is None:
                self.norms.note(norms.NAMELESS)
                continue
            says = self._said_of_property(row)
            chosen = {name: value for name, value in says.items() if name in self.scope.of_properties}
            yield Entry(Section.PROPERTY, (iri,), chosen, self._is_optional(row), row["iri"] != iri)

    def _said_of_property(self, row: TextRow) -> dict[str, Any]:
        kind = self.norms.kind(row["type"])
        of_range = "DataIntersectionOf" if kind == "DataProperty" else "ObjectIntersectionOf"
        return {
            "type": kind,
            "label": self.norms.text(row["label"]),
            "comment": self.norms.text(row["comment"]),
            "domain": self.norms.several(row["domain"], "ObjectIntersectionOf"),
            "range": self.norms.several(row["range"], of_range),
            "characteristics": self._characteristics(row),
        }

    def _characteristics(self, row: TextRow) -> str | None:
        written = clean.text(row["characteristics"])
        if self.norms.is_exact and written is not None:
            return written
        listed = clean.json_of(written)
        found = {each for each in listed if isinstance(each, str)} if isinstance(listed, list) else set()
        found |= {name for column, name in CHARACTERISTICS.items() if clean.truth(row.get(column))}
        return clean.canonical(
            sorted(found if self.scope.characteristics is None else found & self.scope.characteristics)
        )

    def axioms(self, table: OldTable) -> Iterator[Entry]:
        for row in self._rows(table, "subject", ("type", "property", "object", "annotations", "inferred")):
            kind = (clean.text(row["type"]) or "").strip() if not self.norms.is_exact else clean.text(row["type"])
            subject = self.norms.operand(row["subject"])
            is_literal = (kind or "").startswith(("Data", "Annotation"))
            target = clean.text(row["object"]) if is_literal else self.norms.operand(row["object"])
            if not kind or subject is None or target is None:
                self.norms.note(norms.NAMELESS)
                continue
            key = [kind, subject, target]
            key += [self.norms.iri(row["property"]) or ""] if self.scope.with_property else []
            key += [self.norms.annotations(row["annotations"])] if self.scope.with_annotations else []
            is_inferred = self.scope.with_inferred and clean.truth(row["inferred"])
            is_plain = kind == "SubClassOf" and not any(key[3:]) and not is_inferred
            section = Section.INFERRED if is_inferred else Section.AXIOM
            yield Entry(section, tuple(key), {}, parent=(subject, target) if is_plain else None)

    def _is_optional(self, row: TextRow) -> bool:
        return not self.norms.is_exact and row[DECLARED] == 0

    def _members(self, table: OldTable) -> Iterator[tuple[str, str]]:
        column, iri_column = table.roles.get("ontology"), table.roles["iri"]
        if column is None:
            return
        for value, ontology in self.side.database.run(f"SELECT {names((iri_column, column))} FROM {table.name}"):
            iri = clean.iri(value, self.norms.prefixes) if not self.norms.is_exact else clean.text(value)
            if iri is not None and (ontology_id := (clean.text(ontology) or "").strip()):
                yield iri, ontology_id

    def _rows(self, table: OldTable, subject: str, roles: tuple[str, ...]) -> Iterator[dict[str, Any]]:
        """Give the rows of the chosen ontology, by what their columns mean."""
        asked = {role: table.roles[role] for role in ("ontology", subject, *roles) if role in table.roles}
        if table.name == PROPERTIES:
            asked |= {name: name for name in CHARACTERISTICS if name in table.names}
        if self.side.is_ours and DECLARED in table.names:
            asked[DECLARED] = DECLARED
        blank: dict[str, Any] = dict.fromkeys((subject, *roles, DECLARED))
        for values in self.side.database.run(f"SELECT {names(asked.values())} FROM {table.name}"):
            row = blank | dict(zip(asked, values, strict=True))
            if self._is_of_ontology(row.get("ontology"), row[subject]):
                yield row

    def _is_of_ontology(self, named: object, subject: object) -> bool:
        chosen = self.side.ontology_id
        if ontology_id := (clean.text(named) or "").strip():
            return ontology_id == chosen
        if len(self.side.ontologies) <= 1:
            return True
        name = clean.text(subject) if self.norms.is_exact else clean.operand(subject, self.norms.prefixes)
        return chosen in (self.sheet.holding(name or "") or [DEFAULT_ONTOLOGY])
