"""Makes facts of the archive's rows: the facts of a file named `legacy:`, and all that follows from them.

Rows are read one by one and written at once: memory does not grow with them. Among rows of one name, the one that
writes it in full wins; the others go to quarantine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from visionflow_daemon.storage import derive
from visionflow_daemon.storage.database import Database
from visionflow_daemon.storage.facts import AXIOMS_PER_FILE
from visionflow_daemon.storage.legacy import clean, convert, quarantine, remainder
from visionflow_daemon.storage.legacy.archive import NUMBER, archived
from visionflow_daemon.storage.legacy.convert import Oddities, OldAxiom, OldClass, OldProperty, Reader, digest
from visionflow_daemon.storage.legacy.quarantine import Reason
from visionflow_daemon.storage.legacy.remainder import FILE_ID, NAME, PATH
from visionflow_daemon.storage.legacy.shapes import AXIOMS, CLASSES, HIERARCHY, PROPERTIES, OldTable, Shape, names

PART = 500
"""Rows read at once."""

PARENTS = "owl_classes.parent"
"""How parents that stand in a column of owl_classes are told from those of owl_class_hierarchy."""

ADD_FILE = (
    "INSERT INTO source_files (ontology_id, file_id, path, display_path, status, blob_seen, digest_seen, digest_saved,"
    " format, is_public, outbound_links, saved_at) VALUES (?, ?, ?, ?, 'saved', '', '', '', 'legacy', 0, '[]', ?)"
    " ON CONFLICT DO NOTHING"
)
ADD_CLASS = (
    "INSERT INTO class_facts (ontology_id, file_id, class_iri, is_bare, path, label, comment, properties)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
SHOW_CLASS = (
    "INSERT INTO owl_classes (ontology_id, class_iri, label, comment, is_declared, is_public, properties, file_id,"
    " last_synced, created_at, updated_at) VALUES (?, ?, ?, ?, 1, 0, ?, ?, ?, ?, ?)"
)
ADD_PROPERTY = (
    "INSERT INTO property_facts (ontology_id, file_id, property_iri, is_bare, path, property_type, label, comment,"
    " domain, range, characteristics, properties) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
SHOW_PROPERTY = (
    "INSERT INTO owl_properties (ontology_id, property_iri, property_type, label, comment, domain, range,"
    " characteristics, properties, file_id, is_declared, created_at, updated_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?)"
)
ADD_AXIOM = (
    "INSERT INTO owl_axioms (ontology_id, id, file_id, axiom_type, subject, property_iri, property_type, object,"
    " annotations, is_stated, is_parent, is_inferred, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
MAKE_PARENT = (
    "UPDATE owl_axioms SET is_parent = 1 WHERE ontology_id = ? AND subject = ? AND object = ? AND +file_id = ?"
    " AND axiom_type = 'SubClassOf' AND property_iri IS NULL"
)
NOTE = (
    "INSERT INTO legacy_rows (table_name, archive_row, ontology_id, subject, object, digest) VALUES (?, ?, ?, ?, ?, ?)"
)
NAME_CLASSES = (
    "INSERT INTO owl_classes (ontology_id, class_iri, is_declared, is_public, properties, last_synced, created_at,"
    " updated_at) SELECT DISTINCT ontology_id, {}, 0, 0, '{{}}', ?3, ?3, ?3 FROM owl_axioms"
    " WHERE ontology_id = ?1 AND file_id = ?2 AND is_parent = 1 ON CONFLICT DO NOTHING"
)
ADD_PARENTS = (
    "INSERT INTO owl_class_hierarchy (ontology_id, class_iri, parent_iri) SELECT DISTINCT ontology_id, subject, object"
    " FROM owl_axioms WHERE ontology_id = ?1 AND file_id = ?2 AND is_parent = 1"
)
USED_PROPERTIES = (
    "INSERT INTO owl_properties (ontology_id, property_iri, property_type, characteristics, is_declared, created_at,"
    " updated_at) SELECT ontology_id, property_iri, MIN(property_type), '[]', 0, ?3, ?3 FROM property_uses"
    " WHERE ontology_id = ?1 GROUP BY ontology_id, property_iri ON CONFLICT DO NOTHING"
)
HAS_CLASS = "SELECT 1 FROM class_facts WHERE ontology_id = ? AND file_id = ? AND class_iri = ?"

Old = TypeVar("Old", OldClass, OldProperty, OldAxiom, "tuple[str, str]")


@dataclass(slots=True)
class Adoption:
    """One migration at work: where to, what the old database is, and what was met so far."""

    database: Database
    shape: Shape
    prefixes: Mapping[str, str]
    now: str
    default_ontology: str
    ontologies: list[str] = field(default_factory=list)
    oddities: dict[str, Oddities] = field(default_factory=dict)
    last_id: dict[str, int] = field(default_factory=dict)
    made_axioms: int = 0
    """Axioms that stand for a hierarchy row alone."""

    def reader(self, table: OldTable) -> Reader:
        """Give the reader of a table."""
        return Reader(table, self.prefixes, table.unknown)

    def odd(self, table: str) -> Oddities:
        """Give the oddities of a table, to count more."""
        return self.oddities.setdefault(table, Oddities())


def adopt(adoption: Adoption) -> None:
    """Make facts, and what is derived from them, of all rows in the archive."""
    database = adoption.database
    database.run("CREATE TEMPORARY TABLE said (key TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID")
    database.run(
        "CREATE TEMPORARY TABLE taken (ontology_id TEXT, id INTEGER, PRIMARY KEY (ontology_id, id)) WITHOUT ROWID"
    )
    try:
        _find_ontologies(adoption)
        for ontology_id in adoption.ontologies:
            database.run(ADD_FILE, (ontology_id, FILE_ID, PATH, NAME, adoption.now))
        tables = adoption.shape.tables
        if CLASSES in tables:
            _classes(adoption, tables[CLASSES])
        if PROPERTIES in tables:
            _properties(adoption, tables[PROPERTIES])
        if AXIOMS in tables:
            _axioms(adoption, tables[AXIOMS])
        if CLASSES in tables and "parent" in tables[CLASSES].roles:
            _parent_column(adoption, tables[CLASSES])
        if HIERARCHY in tables:
            _hierarchy(adoption, tables[HIERARCHY])
        for ontology_id in adoption.ontologies:
            _derive(database, ontology_id, adoption.now)
            remainder.drop_if_empty(database, ontology_id)
        adoption.ontologies = remainder.ontologies(database)
    finally:
        database.run("DROP TABLE said")
        database.run("DROP TABLE taken")


def rows(database: Database, table: OldTable, where: str = "TRUE") -> Iterator[tuple[int, dict[str, Any]]]:
    """Give the rows of a table's archive, each with its number; they are asked for in parts."""
    query = (
        f"SELECT {NUMBER}, {names(table.names)} FROM {archived(table.name)} WHERE {NUMBER} > ? AND {where}"
        f" ORDER BY {NUMBER} LIMIT ?"
    )
    last = -(1 << 63)
    while found := database.rows(query, (last, PART)):
        for number, *values in found:
            yield number, dict(zip(table.names, values, strict=True))
        last = found[-1][0]


def _find_ontologies(adoption: Adoption) -> None:
    """Name the ontologies that the old tables speak of; rows that don't say belong to the only one, or the default."""
    named: set[str] = set()
    for table in adoption.shape.tables.values():
        if column := table.roles.get("ontology"):
            found = adoption.database.rows(f"SELECT DISTINCT {names((column,))} FROM {archived(table.name)}")
            reader = adoption.reader(table)
            named |= {ontology for (value,) in found if (ontology := reader.ontology({column: value}))}
    if len(named) == 1:
        (adoption.default_ontology,) = named
    adoption.ontologies = sorted(named | {adoption.default_ontology})


def _in_order(
    adoption: Adoption,
    table: OldTable,
    read: Callable[[Reader, convert.OldRow, Oddities], Old | None],
    place: Callable[[int, dict[str, Any], Old], bool],
    missing: str,
) -> None:
    """Read a table and place its rows: those that write their name in full first, then the others."""
    reader, odd = adoption.reader(table), adoption.odd(table.name)
    later: list[int] = []
    is_named = "iri" in table.roles

    def deal_with(number: int, row: dict[str, Any]) -> None:
        old = read(reader, row, odd)
        if old is None:
            where = reader.ontology(row)
            quarantine.add(adoption.database, where, table.name, number, Reason.NAMELESS, missing, row)
        elif not place(number, row, old):
            why = Reason.SAME_IRI if is_named and table.name != HIERARCHY else Reason.SAID_TWICE
            quarantine.add(adoption.database, reader.ontology(row), table.name, number, why, _why(why, old), row)

    for number, row in rows(adoption.database, table):
        if is_named and not reader.is_as_written(row, "iri") and reader.iri(row, "iri") is not None:
            later.append(number)
        else:
            deal_with(number, row)
    for start in range(0, len(later), PART):
        chosen = ", ".join(map(str, later[start : start + PART]))
        for number, row in rows(adoption.database, table, f"{NUMBER} IN ({chosen})"):
            deal_with(number, row)


def _why(why: Reason, old: OldClass | OldProperty | OldAxiom | tuple[str, str]) -> str:
    if why is Reason.SAME_IRI and isinstance(old, OldClass | OldProperty):
        return f"another row names {old.iri}, too, and was put in place"
    return "another row says the same, and was put in place"


def _classes(adoption: Adoption, table: OldTable) -> None:
    reader, database, now = adoption.reader(table), adoption.database, adoption.now

    def place(number: int, row: dict[str, Any], old: OldClass) -> bool:
        ontology_id = reader.ontology(row) or adoption.default_ontology
        is_bare = old.label is None and old.comment is None and old.properties == "{}"
        values = (old.label, old.comment, old.properties)
        if not database.run(ADD_CLASS, (ontology_id, FILE_ID, old.iri, int(is_bare), PATH, *values)).rowcount:
            return False
        created = old.created or now
        times = (old.synced or old.updated or created, created, old.updated or created)
        database.run(SHOW_CLASS, (ontology_id, old.iri, *values, FILE_ID, *times))
        database.run(NOTE, (CLASSES, number, ontology_id, old.iri, "", old.digest))
        return True

    _in_order(adoption, table, convert.class_of, place, "it names no class")


def _properties(adoption: Adoption, table: OldTable) -> None:
    reader, database, now = adoption.reader(table), adoption.database, adoption.now

    def place(number: int, row: dict[str, Any], old: OldProperty) -> bool:
        ontology_id = reader.ontology(row) or adoption.default_ontology
        said = (old.label, old.comment, old.domain, old.range)
        is_bare = said == (None,) * 4 and old.characteristics == "[]"
        values = (old.property_type, *said, old.characteristics, old.properties)
        if not database.run(ADD_PROPERTY, (ontology_id, FILE_ID, old.iri, int(is_bare), PATH, *values)).rowcount:
            return False
        created = old.created or now
        database.run(SHOW_PROPERTY, (ontology_id, old.iri, *values, FILE_ID, created, old.updated or created))
        database.run(NOTE, (PROPERTIES, number, ontology_id, old.iri, "", old.digest))
        return True

    _in_order(adoption, table, convert.property_of, place, "it names no property")


def _axioms(adoption: Adoption, table: OldTable) -> None:
    reader, database = adoption.reader(table), adoption.database

    def place(number: int, row: dict[str, Any], old: OldAxiom) -> bool:
        placed = False
        # What was inferred stays letter by letter; the class that it is about has its full name.
        about = clean.operand(old.subject, reader.prefixes) or old.subject
        for ontology_id in _ontologies_of(adoption, reader.ontology(row), about):
            if not old.is_inferred and not _is_new(database, ontology_id, old.digest):
                continue
            _add_axiom(adoption, ontology_id, old)
            database.run(NOTE, (AXIOMS, number, ontology_id, old.subject, old.object, old.kind))
            placed = True
        return placed

    _in_order(adoption, table, convert.axiom_of, place, "its type, its subject or its object is missing")


def _add_axiom(adoption: Adoption, ontology_id: str, old: OldAxiom, *, is_parent: bool = False) -> None:
    """Write an axiom under the id that it had; under one of its own where that is taken, or no number of ours."""
    database = adoption.database
    number = old.number
    if number is None or not 0 <= number < AXIOMS_PER_FILE // 2 or not _is_free(database, ontology_id, number):
        number = adoption.last_id.get(ontology_id, AXIOMS_PER_FILE // 2)
        adoption.last_id[ontology_id] = number + 1
    database.run(
        ADD_AXIOM,
        (
            ontology_id,
            number,
            None if old.is_inferred else FILE_ID,
            old.axiom_type,
            old.subject,
            old.property_iri,
            old.property_type,
            old.object,
            old.annotations,
            int(not old.is_inferred),
            int(is_parent),
            int(old.is_inferred),
            old.created or adoption.now,
        ),
    )


def _parent_column(adoption: Adoption, table: OldTable) -> None:
    """Make parents of a column of owl_classes; they have no row of their own that could be in doubt."""
    reader = adoption.reader(table)
    for number, row in rows(adoption.database, table):
        child, parent = reader.iri(row, "iri"), reader.iri(row, "parent")
        if child is not None and parent is not None:
            ontology_id = reader.ontology(row) or adoption.default_ontology
            _add_parent(adoption, ontology_id, child, parent)
            adoption.database.run(NOTE, (PARENTS, number, ontology_id, child, parent, ""))


def _hierarchy(adoption: Adoption, table: OldTable) -> None:
    reader, database = adoption.reader(table), adoption.database

    def place(number: int, row: dict[str, Any], old: tuple[str, str]) -> bool:
        placed = False
        for ontology_id in _ontologies_of(adoption, reader.ontology(row), old[0]):
            if _is_new(database, ontology_id, digest("parent", *old)):
                _add_parent(adoption, ontology_id, *old)
                database.run(NOTE, (HIERARCHY, number, ontology_id, *old, ""))
                placed = True
        return placed

    _in_order(adoption, table, convert.pair_of, place, "its class or its parent is missing")


def _add_parent(adoption: Adoption, ontology_id: str, child: str, parent: str) -> None:
    """Let an axiom make a hierarchy row: the one that says so already, else one of its own."""
    database = adoption.database
    if not database.run(MAKE_PARENT, (ontology_id, child, parent, FILE_ID)).rowcount:
        own = OldAxiom("SubClassOf", child, None, parent, "", is_inferred=False)
        _add_axiom(adoption, ontology_id, own, is_parent=True)
        adoption.made_axioms += 1


def _ontologies_of(adoption: Adoption, named: str | None, subject: str) -> list[str]:
    """Say which ontologies a row belongs to that may not say so: all that hold its subject, as old readers joined."""
    if named is not None or len(adoption.ontologies) == 1:
        return [named or adoption.default_ontology]
    holding = [each for each in adoption.ontologies if adoption.database.row(HAS_CLASS, (each, FILE_ID, subject))]
    return holding or [adoption.default_ontology]


def _is_new(database: Database, ontology_id: str, key: str) -> bool:
    """Note what was said; tell whether it was said for the first time."""
    return bool(database.run("INSERT INTO said VALUES (?) ON CONFLICT DO NOTHING", (f"{key} {ontology_id}",)).rowcount)


def _is_free(database: Database, ontology_id: str, number: int) -> bool:
    return bool(database.run("INSERT INTO taken VALUES (?, ?) ON CONFLICT DO NOTHING", (ontology_id, number)).rowcount)


def _derive(database: Database, ontology_id: str, now: str) -> None:
    """Derive what the facts make beside the rows that were written with them."""
    values = (ontology_id, FILE_ID, now)
    for column in ("subject", "object"):
        database.run(NAME_CLASSES.format(column), values)
    database.run(ADD_PARENTS, values[:2])
    derive.recount(database, ontology_id)
    database.run(USED_PROPERTIES, values)
