"""The file named `legacy:`: facts of an old database that no file of the repository has claimed yet.

A file that declares a class or a property takes over all that was said of it; an axiom that a file states in the same
words goes, too, and a property that nobody described goes with its first use. What goes does not come back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from visionflow_daemon.model import Page
from visionflow_daemon.storage import derive
from visionflow_daemon.storage.database import ANY_OF, Database, Row, array
from visionflow_daemon.storage.facts import DELETE_AXIOM, Touched

FILE_ID = 0
"""The number of the file `legacy:`; files of a repository are numbered from 1."""

PATH = b""
"""Its path, which no file in git can have."""

NAME = "legacy:"

PART = 1_000
"""Subjects that are dropped in one go."""

EXISTS = "SELECT 1 FROM source_files WHERE ontology_id = ? AND file_id = 0"
ONTOLOGIES = "SELECT ontology_id FROM source_files WHERE file_id = 0 ORDER BY ontology_id"
DROP_CLASSES = f"DELETE FROM class_facts WHERE ontology_id = ? AND file_id = 0 AND class_iri {ANY_OF}"
DROP_PROPERTIES = (
    f"DELETE FROM property_facts WHERE ontology_id = ? AND file_id = 0 AND property_iri {ANY_OF} RETURNING property_iri"
)
DROP_BARE = (
    "DELETE FROM property_facts WHERE ontology_id = ? AND file_id = 0 AND is_bare = 1 AND properties IS NULL"
    f" AND property_iri {ANY_OF} RETURNING property_iri"
)
AXIOMS = (
    "SELECT id, axiom_type, subject, property_iri, object, annotations, property_type, is_stated, is_parent"
    f" FROM owl_axioms WHERE ontology_id = ? AND +file_id = 0 AND subject {ANY_OF}"
)
FACTS = (
    ("class_facts", "class_iri"),
    ("property_facts", "property_iri"),
    ("owl_axioms", "id"),
)
IS_EMPTY = "SELECT {}".format(
    " AND ".join(f"NOT EXISTS (SELECT 1 FROM {table} WHERE ontology_id = ?1 AND file_id = 0)" for table, _ in FACTS)
)
DROP_FILE = "DELETE FROM source_files WHERE ontology_id = ? AND file_id = 0"
COUNT = "SELECT {}".format(
    ", ".join(f"(SELECT COUNT(*) FROM {table} WHERE ontology_id = ? AND file_id = 0)" for table, _ in FACTS)
)
CLAIMANTS = (
    "SELECT DISTINCT f.path FROM ("
    f"SELECT file_id FROM class_facts WHERE ontology_id = ?1 AND class_iri {ANY_OF.replace('?', '?2')}"
    f" UNION SELECT file_id FROM property_facts WHERE ontology_id = ?1 AND property_iri {ANY_OF.replace('?', '?2')}"
    f" UNION SELECT file_id FROM owl_axioms WHERE ontology_id = ?1 AND subject {ANY_OF.replace('?', '?2')}"
    f" UNION SELECT file_id FROM owl_axioms WHERE ontology_id = ?1 AND property_iri {ANY_OF.replace('?', '?2')}"
    ") t JOIN source_files f ON f.ontology_id = ?1 AND f.file_id = t.file_id WHERE f.file_id > 0"
)
COPIED = {
    "source_files": "ontology_id, file_id, path, display_path, status, blob_seen, digest_seen, digest_saved, format,"
    " is_public, outbound_links",
    "class_facts": "ontology_id, file_id, class_iri, is_bare, path, label, comment, properties",
    "property_facts": "ontology_id, file_id, property_iri, is_bare, path, property_type, label, comment, domain, range,"
    " characteristics, properties",
    "owl_axioms": "ontology_id, id, file_id, axiom_type, subject, property_iri, property_type, object, annotations,"
    " is_stated, is_parent",
}


@dataclass(frozen=True, slots=True)
class Remainder:
    """How many facts of an old database no file has claimed."""

    classes: int
    properties: int
    axioms: int

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self.classes or self.properties or self.axioms)

    def described(self) -> str:
        """Say it in words."""
        return f"{self.classes:,} classes, {self.properties:,} properties and {self.axioms:,} axioms"


def exists(database: Database, ontology_id: str) -> bool:
    """Tell whether anything is left of an old database."""
    return database.row(EXISTS, (ontology_id,)) is not None


def count(database: Database, ontology_id: str) -> Remainder:
    """Count what no file has claimed."""
    return Remainder(*(database.row(COUNT, (ontology_id,) * len(FACTS)) or (0, 0, 0)))


def ontologies(database: Database) -> list[str]:
    """Name the ontologies of which something is left."""
    return [name for (name,) in database.rows(ONTOLOGIES)]


def all_of(database: Database) -> dict[str, Remainder]:
    """Count what no file has claimed, by ontology."""
    return {ontology_id: count(database, ontology_id) for ontology_id in ontologies(database)}


def take_over(database: Database, ontology_id: str, page: Page, touched: Touched) -> None:
    """Drop the facts that a page claims, within the transaction that saves it."""
    declared = {fact.iri for fact in page.classes} | {fact.iri for fact in page.properties}
    used = {axiom.property_iri for axiom in page.axioms} | {link.property_iri for link in page.links}
    stated = {
        (each.axiom_type, each.subject, property_iri, each.object)
        for each in page.axioms
        for property_iri in (each.property_iri, None)  # old programs did not always say which
    }
    subjects = declared | {axiom.subject for axiom in page.axioms}
    dropped = _drop_declared(database, ontology_id, declared, used, touched)
    for row in database.rows(AXIOMS, (ontology_id, array(sorted(subjects)))):
        if row[2] in declared or row[1:5] in stated:
            _drop_axiom(database, ontology_id, row, touched)
            dropped = True
    if dropped:
        drop_if_empty(database, ontology_id)


def claimants(database: Database, ontology_id: str, names: set[str]) -> set[bytes]:
    """Give the paths of the files that say anything of these names."""
    return (
        {bytes(path) for (path,) in database.rows(CLAIMANTS, (ontology_id, array(sorted(names))))} if names else set()
    )


def drop_if_empty(database: Database, ontology_id: str) -> None:
    """Drop the file `legacy:` where it owns nothing any more."""
    (is_empty,) = database.row(IS_EMPTY, (ontology_id,)) or (0,)
    if is_empty:
        database.run(DROP_FILE, (ontology_id,))


def discard(database: Database, ontology_id: str, now: str) -> Remainder:
    """Drop all that no file has claimed, within a transaction; give what it was."""
    found = count(database, ontology_id)
    for part in _parts(database.rows(_NAMES, [ontology_id])):
        touched = Touched(classes=set(part))
        _drop_declared(database, ontology_id, set(part), set(), touched)
        for row in database.rows(AXIOMS, (ontology_id, array(sorted(part)))):
            _drop_axiom(database, ontology_id, row, touched)
        derive.derive(database, ontology_id, touched, now)
    drop_if_empty(database, ontology_id)
    return found


def copy(source: Database, target: Database, ontology_id: str, now: str) -> None:
    """Copy what no file has claimed into another database, with what follows from it."""
    if not exists(source, ontology_id):
        return
    with target.transaction():
        for table, columns in COPIED.items():
            marks = ", ".join("?" * (columns.count(",") + 1))
            found = source.run(f"SELECT {columns} FROM {table} WHERE ontology_id = ? AND file_id = 0", (ontology_id,))
            while part := found.fetchmany(PART):
                target.run_many(f"INSERT INTO {table} ({columns}) VALUES ({marks})", part)
        for part in _parts(target.rows(_NAMES, [ontology_id])):
            touched = Touched(classes=set(part), properties=set(part))
            for row in target.rows(AXIOMS, (ontology_id, array(sorted(part)))):
                touched.axiom(row[1:6], row[6:], 1)
            _only_declared(target, ontology_id, touched)
            derive.derive(target, ontology_id, touched, now)


_NAMES = (
    "SELECT class_iri FROM class_facts WHERE ontology_id = ?1 AND file_id = 0"
    " UNION SELECT property_iri FROM property_facts WHERE ontology_id = ?1 AND file_id = 0"
    " UNION SELECT subject FROM owl_axioms WHERE ontology_id = ?1 AND file_id = 0"
)


def _only_declared(database: Database, ontology_id: str, touched: Touched) -> None:
    """Leave, of names that may be anything, those of classes: others have no row to be derived."""
    found = database.rows(
        f"SELECT class_iri FROM class_facts WHERE ontology_id = ? AND file_id = 0 AND class_iri {ANY_OF}",
        (ontology_id, array(sorted(touched.classes))),
    )
    touched.classes = {iri for (iri,) in found}


def _drop_declared(
    database: Database, ontology_id: str, declared: set[str], used: set[str | None], touched: Touched
) -> bool:
    """Drop what was said of declared names, and used properties of which nothing was said."""
    names = array(sorted(declared))
    gone = database.run(DROP_CLASSES, (ontology_id, names)).rowcount
    properties = database.rows(DROP_PROPERTIES, (ontology_id, names))
    properties += database.rows(DROP_BARE, (ontology_id, array(sorted(iri for iri in used if iri is not None))))
    touched.properties |= {iri for (iri,) in properties}
    return bool(gone or properties)


def _drop_axiom(database: Database, ontology_id: str, row: Row, touched: Touched) -> None:
    database.run(DELETE_AXIOM, (ontology_id, row[0]))
    touched.axiom(row[1:6], row[6:], -1)


def _parts(rows: Iterable[Row]) -> Iterator[list[str]]:
    names = (name for (name,) in rows)
    while part := list(islice(names, PART)):
        yield part
