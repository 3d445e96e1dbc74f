"""Tells what an old database is, table by table, by its columns; one file may mix the shapes.

Four shapes are known. What is done with a table depends on its own columns alone, so that mixtures need no rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from visionflow_daemon.errors import DatabaseError
from visionflow_daemon.storage.database import Database

CLASSES, HIERARCHY, PROPERTIES, AXIOMS = "owl_classes", "owl_class_hierarchy", "owl_properties", "owl_axioms"
TABLES = (CLASSES, HIERARCHY, PROPERTIES, AXIOMS)
"""The tables that an old program and this one both call theirs."""

ROWID_NAMES = ("rowid", "_rowid_", "oid")

# What a column means to this program, by the names that old programs gave it; the first that is there counts.
ROLES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    CLASSES: {
        "ontology": ("ontology_id",),
        "iri": ("class_iri", "iri"),
        "label": ("label",),
        "comment": ("comment", "description"),
        "properties": ("properties",),
        "parent": ("parent_class_iri",),
        "created": ("created_at",),
        "updated": ("updated_at",),
        "synced": ("last_synced",),
    },
    HIERARCHY: {"ontology": ("ontology_id",), "iri": ("class_iri",), "parent": ("parent_iri", "parent_class_iri")},
    PROPERTIES: {
        "ontology": ("ontology_id",),
        "iri": ("property_iri", "iri"),
        "type": ("property_type",),
        "label": ("label",),
        "comment": ("comment", "description"),
        "domain": ("domain", "domain_class_iri"),
        "range": ("range", "range_class_iri"),
        "characteristics": ("characteristics",),
        "properties": ("properties",),
        "created": ("created_at",),
        "updated": ("updated_at",),
    },
    AXIOMS: {
        "ontology": ("ontology_id",),
        "id": ("id",),
        "type": ("axiom_type",),
        "subject": ("subject",),
        "property": ("property_iri",),
        "object": ("object",),
        "annotations": ("annotations",),
        "inferred": ("is_inferred",),
        "created": ("created_at",),
    },
}
NEEDED: Mapping[str, tuple[str, ...]] = {
    CLASSES: ("iri",),
    HIERARCHY: ("iri", "parent"),
    PROPERTIES: ("iri",),
    AXIOMS: ("type", "subject", "object"),
}
CHARACTERISTICS: Mapping[str, str] = {
    "is_functional": "Functional",
    "is_inverse_functional": "InverseFunctional",
    "is_transitive": "Transitive",
    "is_symmetric": "Symmetric",
    "is_asymmetric": "Asymmetric",
    "is_reflexive": "Reflexive",
    "is_irreflexive": "Irreflexive",
}
"""Columns of properties that are flags, and the characteristic that each sets."""

ONLY_IN_D = frozenset({"term_id", "preferred_term", "markdown_content", "owl_physicality", "owl_role", "maturity"})


@dataclass(frozen=True, slots=True)
class Column:
    """A column as it was declared."""

    name: str
    is_required: bool
    default: str | None
    affinity: str
    is_json: bool


@dataclass(frozen=True, slots=True)
class OldTable:
    """One table of an old program: its columns, and which of them say what."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    rowid: str | None
    roles: Mapping[str, str] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, in their order."""
        return tuple(column.name for column in self.columns)

    def is_json(self, name: str) -> bool:
        """Tell whether a column was declared to hold JSON."""
        return any(column.name == name and column.is_json for column in self.columns)

    @property
    def unknown(self) -> tuple[str, ...]:
        """The columns that mean nothing to this program; their values are kept in `properties`."""
        flags = CHARACTERISTICS if self.name == PROPERTIES else {}
        return tuple(name for name in self.names if name not in self.roles.values() and name not in flags)


@dataclass(frozen=True, slots=True)
class Shape:
    """What an old database is: its tables, the letters of the shapes that they have, and why."""

    tables: Mapping[str, OldTable]
    letters: tuple[str, ...]
    reasons: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name the shape, or the shapes that are mixed."""
        return " and ".join(self.letters) + (" (mixed)" if len(self.letters) > 1 else "")


def is_foreign(database: Database) -> bool:
    """Tell whether a database holds tables of an older VisionFlow, and none of this program's."""
    return bool(foreign_tables(database))


def foreign_tables(database: Database) -> list[str]:
    """Name the tables that this program would call its own, but did not make."""
    there = {name for (name,) in database.rows("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")}
    if "source_files" in there and "schema_migrations" in there:
        return []
    return sorted(there & set(TABLES))


def shape_of(database: Database) -> Shape:
    """Tell the shape of an old database. Raises DatabaseError where a table can't be understood."""
    tables = {name: _table(database, name) for name in foreign_tables(database)}
    if not tables:
        raise DatabaseError(f"{database.path} holds nothing of an older VisionFlow")
    letters: dict[str, str] = {}
    for letter, reason in _evidence(database, tables):
        letters.setdefault(letter, reason)
    return Shape(
        tables, tuple(sorted(letters)), tuple(f"{letter}: {reason}" for letter, reason in sorted(letters.items()))
    )


def quoted(name: str) -> str:
    """Quote a name for SQL."""
    return '"' + name.replace('"', '""') + '"'


def names(columns: Iterable[str]) -> str:
    """Quote names for SQL, as a list."""
    return ", ".join(map(quoted, columns))


def _table(database: Database, name: str) -> OldTable:
    (kind, sql) = database.row("SELECT type, sql FROM sqlite_master WHERE name = ?", (name,)) or ("", "")
    if kind != "table" or str(sql).upper().lstrip().startswith("CREATE VIRTUAL"):
        raise DatabaseError(f"{name} in {database.path} is no ordinary table: only those can be migrated")
    found = database.rows('SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?)', (name,))
    columns = tuple(
        Column(
            column,
            bool(required) or (bool(pk) and _is_strict(database, name)),
            default,
            _affinity(declared),
            "JSON" in declared.upper(),
        )
        for column, declared, required, default, pk, hidden in found
        if not hidden
    )
    roles = {}
    given = {column.name.lower(): column.name for column in columns}
    for role, candidates in ROLES[name].items():
        if there := next((given[candidate] for candidate in candidates if candidate in given), None):
            roles[role] = there
    if missing := [role for role in NEEDED[name] if role not in roles]:
        wanted = ", ".join(" or ".join(ROLES[name][role]) for role in missing)
        raise DatabaseError(f"{name} in {database.path} has no column {wanted}: its shape is not known")
    key = tuple(row[0] for row in sorted((row for row in found if row[4]), key=lambda row: row[4]))
    return OldTable(name, columns, key, _rowid_of(database, name, set(given)), roles)


def _is_strict(database: Database, name: str) -> bool:
    """Tell whether keys of a table are never NULL: SQLite lets them be, unless a table has no rowid."""
    return database.row("SELECT 1 FROM pragma_table_list WHERE name = ? AND (wr OR strict)", (name,)) is not None


def _rowid_of(database: Database, name: str, columns: set[str]) -> str | None:
    """Say by what name a table's row numbers are asked for; None where it has none."""
    if database.row("SELECT 1 FROM pragma_table_list WHERE schema = 'main' AND name = ? AND wr", (name,)):
        return None
    return next((each for each in ROWID_NAMES if each not in columns), None)


def _affinity(declared: str) -> str:
    upper = declared.upper()
    if "INT" in upper or any(part in upper for part in ("REAL", "FLOA", "DOUB", "NUM", "DEC", "BOOL")):
        return "number"
    return "text"


def _evidence(database: Database, tables: Mapping[str, OldTable]) -> Iterable[tuple[str, str]]:
    """Say which shape each table speaks for, and why."""
    classes = tables.get(CLASSES)
    is_composite = classes is not None and "ontology" in classes.roles
    if classes is not None:
        yield _evidence_of_classes(classes, has_hierarchy=HIERARCHY in tables)
    for name, table in tables.items():
        names_ontology = "ontology" in table.roles
        if name == HIERARCHY and is_composite and not names_ontology:
            yield "C", "owl_class_hierarchy has no ontology_id" + _dangling(database)
        elif name == PROPERTIES and names_ontology and not is_composite:
            yield "B", "owl_properties has ontology_id, and owl_classes has none"
        elif name in {PROPERTIES, AXIOMS} and is_composite and not names_ontology:
            yield "A", f"{name} has no ontology_id"
        elif classes is None and not names_ontology:
            yield "A", f"{name} stands without owl_classes"


def _evidence_of_classes(table: OldTable, *, has_hierarchy: bool) -> tuple[str, str]:
    if "ontology" not in table.roles:
        extra = sorted(set(table.names) & ONLY_IN_D)
        return ("D", f"owl_classes has iri and {extra[0]}") if extra else ("A", "owl_classes has iri")
    if "parent" in table.roles:
        return "B", "owl_classes has ontology_id and parent_class_iri"
    if has_hierarchy:
        return "C", "owl_classes has ontology_id, and parents are in owl_class_hierarchy"
    return "B", "owl_classes has ontology_id, and there is no owl_class_hierarchy"


def _dangling(database: Database) -> str:
    refers = database.row(
        "SELECT 1 FROM pragma_foreign_key_list('owl_class_hierarchy')"
        " WHERE \"table\" = 'owl_classes' AND \"to\" = 'iri'"
    )
    return ", and refers to owl_classes(iri), which does not exist" if refers else ""
