"""Keeps owl_classes, owl_class_hierarchy and owl_properties what the facts make them, for what was touched.

The rows are functions of the facts alone. Among several files that declare a class, one that says something of it
wins over one that only declares it, then the smaller path, compared as bytes (ADR 0002).
"""

from __future__ import annotations

from visionflow_daemon.storage.database import ANY_OF, EACH_OF, EACH_ROW_OF, Database, Row, array
from visionflow_daemon.storage.facts import Touched

SAVE_CLASS = (
    "INSERT INTO owl_classes (ontology_id, class_iri, label, comment, file_sha1, is_public, properties, file_id,"
    " is_declared, last_synced, created_at, updated_at)"
    " SELECT c.ontology_id, c.class_iri, c.label, c.comment, f.blob_saved, COALESCE(f.is_public, 0), c.properties,"
    " c.file_id, 1, ?, ?, ? FROM class_facts c"
    " JOIN source_files f ON f.ontology_id = c.ontology_id AND f.file_id = c.file_id"
    " WHERE c.ontology_id = ? AND c.class_iri = ? ORDER BY c.is_bare, c.path LIMIT 1"
    " ON CONFLICT (ontology_id, class_iri) DO UPDATE SET label = excluded.label, comment = excluded.comment,"
    " file_sha1 = excluded.file_sha1, is_public = excluded.is_public, properties = excluded.properties,"
    " file_id = excluded.file_id, is_declared = 1, last_synced = excluded.last_synced, updated_at = excluded.updated_at"
)
NAME_CLASS = (
    "INSERT INTO owl_classes (ontology_id, class_iri, is_declared, is_public, properties, last_synced, created_at,"
    " updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (ontology_id, class_iri) DO NOTHING"
)
DEMOTE_CLASS = (
    "UPDATE owl_classes SET label = NULL, comment = NULL, file_sha1 = NULL, is_declared = 0, is_public = 0,"
    " properties = '{}', file_id = NULL, last_synced = ?, updated_at = ?"
    " WHERE ontology_id = ? AND class_iri = ?"
)
DROP_CLASS = (
    "DELETE FROM owl_classes WHERE ontology_id = ? AND class_iri = ? AND is_declared = 0"
    " AND NOT EXISTS (SELECT 1 FROM owl_class_hierarchy h"
    "  WHERE h.ontology_id = owl_classes.ontology_id AND h.class_iri = owl_classes.class_iri)"
    " AND NOT EXISTS (SELECT 1 FROM owl_class_hierarchy h"
    "  WHERE h.ontology_id = owl_classes.ontology_id AND h.parent_iri = owl_classes.class_iri)"
)
ADD_PARENT = (
    "INSERT INTO owl_class_hierarchy (ontology_id, class_iri, parent_iri) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
)
DROP_PARENTS = (
    f"DELETE FROM owl_class_hierarchy WHERE ontology_id = ? AND class_iri = ? AND parent_iri {ANY_OF}"
    " AND parent_iri NOT IN (SELECT object FROM owl_axioms WHERE ontology_id = ? AND subject = ? AND is_parent = 1"
    "  AND file_id IS NOT NULL)"
)

PROPERTIES = (
    "SELECT each.value, d.property_type, d.label, d.comment, d.domain, d.range, d.characteristics, d.properties,"
    " d.file_id,"
    " (SELECT MIN(u.property_type) FROM property_uses u WHERE u.ontology_id = ? AND u.property_iri = each.value),"
    " h.property_type, h.label, h.comment, h.domain, h.range, h.characteristics, h.properties, h.file_id, h.is_declared"
    f" FROM {EACH_OF} each"
    " LEFT JOIN property_facts d ON d.ontology_id = ? AND d.property_iri = each.value AND d.file_id ="
    "  (SELECT w.file_id FROM property_facts w WHERE w.ontology_id = ? AND w.property_iri = each.value"
    "   ORDER BY w.is_bare, w.path LIMIT 1)"
    " LEFT JOIN owl_properties h ON h.ontology_id = ? AND h.property_iri = each.value"
)
SAVE_PROPERTY = (
    "INSERT INTO owl_properties (ontology_id, property_iri, property_type, label, comment, domain, range,"
    " characteristics, properties, file_id, is_declared, created_at, updated_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (ontology_id, property_iri) DO UPDATE SET property_type = excluded.property_type,"
    " label = excluded.label, comment = excluded.comment, domain = excluded.domain, range = excluded.range,"
    " characteristics = excluded.characteristics, properties = excluded.properties, file_id = excluded.file_id,"
    " is_declared = excluded.is_declared,"
    " updated_at = excluded.updated_at"
)
COUNT_USES = (
    "INSERT INTO property_uses (ontology_id, property_iri, property_type, axioms)"
    f" SELECT ?, each.value->>0, each.value->>1, CAST(each.value->>2 AS INTEGER) FROM {EACH_ROW_OF} each WHERE TRUE"
    " ON CONFLICT (ontology_id, property_iri, property_type)"
    " DO UPDATE SET axioms = property_uses.axioms + excluded.axioms"
    " RETURNING property_iri, property_type, axioms"
)
DROP_USE = "DELETE FROM property_uses WHERE ontology_id = ? AND property_iri = ? AND property_type = ?"
DROP_USES = "DELETE FROM property_uses WHERE ontology_id = ?"
COUNT_ALL_USES = (
    "INSERT INTO property_uses (ontology_id, property_iri, property_type, axioms)"
    " SELECT ontology_id, property_iri, property_type, COUNT(*) FROM owl_axioms WHERE ontology_id = ?"
    " AND file_id IS NOT NULL AND property_iri IS NOT NULL AND property_type IS NOT NULL"
    " GROUP BY ontology_id, property_iri, property_type"
)
DROP_PROPERTY = "DELETE FROM owl_properties WHERE ontology_id = ? AND property_iri = ?"


def derive(database: Database, ontology_id: str, touched: Touched, now: str) -> None:
    """Bring the derived rows of everything touched up to date.

    The order keeps every foreign key true at each step, and never lets a row's going cascade: classes come first,
    then hierarchy rows come and go, and what nobody declares or names goes last.
    """
    saves = {iri: database.run(SAVE_CLASS, (now, now, now, ontology_id, iri)) for iri in sorted(touched.classes)}
    undeclared = {iri for iri, save in saves.items() if iri not in touched.declared and not save.rowcount}
    database.run_many(DEMOTE_CLASS, [(now, now, ontology_id, iri) for iri in sorted(undeclared)])
    named = {iri for pair in touched.parents_came for iri in pair} - touched.classes
    database.run_many(NAME_CLASS, [_named(ontology_id, iri, now) for iri in sorted(named)])
    still_named = sorted(undeclared & {iri for pair in touched.parents_came for iri in pair})
    database.run_many(NAME_CLASS, [_named(ontology_id, iri, now) for iri in still_named])
    database.run_many(ADD_PARENT, [(ontology_id, *pair) for pair in sorted(touched.parents_came)])
    _drop_parents(database, ontology_id, touched.parents_gone - touched.parents_came)
    unnamed = undeclared | ({iri for pair in touched.parents_gone for iri in pair})
    database.run_many(DROP_CLASS, [(ontology_id, iri) for iri in sorted(unnamed)])
    touched.properties |= _count_uses(database, ontology_id, touched)
    _properties(database, ontology_id, touched, now)


def _named(ontology_id: str, iri: str, now: str) -> Row:
    """Give the row of a class that is named, and declared by nobody."""
    return (ontology_id, iri, 0, 0, "{}", now, now, now)


def recount(database: Database, ontology_id: str) -> None:
    """Count the uses of all properties anew, for a database that another hand has changed."""
    database.run(DROP_USES, (ontology_id,))
    database.run(COUNT_ALL_USES, (ontology_id,))


def _drop_parents(database: Database, ontology_id: str, gone: set[tuple[str, str]]) -> None:
    """Take out the hierarchy rows that no axiom of any file states any more."""
    parents: dict[str, set[str]] = {}
    for subject, parent in sorted(gone):
        parents.setdefault(subject, set()).add(parent)
    for subject, dropped in parents.items():
        database.run(DROP_PARENTS, (ontology_id, subject, array(sorted(dropped)), ontology_id, subject))


def _count_uses(database: Database, ontology_id: str, touched: Touched) -> set[str]:
    """Count the uses that came and went; give the properties that were not used so before, or are no longer."""
    changes = {use: by for use, by in sorted(touched.uses.items()) if by}
    if not changes:
        return set()
    changed: set[str] = set()
    counted = database.ask(COUNT_USES, (ontology_id, array([*use, by] for use, by in changes.items())))
    if touched.are_uses_known:
        return changed
    for property_iri, property_type, axioms in counted():
        if axioms <= 0:
            database.run(DROP_USE, (ontology_id, property_iri, property_type))
        if axioms <= max(0, changes[property_iri, property_type]):
            changed.add(property_iri)
    return changed


def _properties(database: Database, ontology_id: str, touched: Touched, now: str) -> None:
    """Write the touched properties' rows: as the winning file declares them, else as axioms use them, else none."""
    if not touched.properties:
        return
    ids = (ontology_id,) * 3
    for row in database.rows(PROPERTIES, (ontology_id, array(sorted(touched.properties)), *ids)):
        property_iri, declared, used_as, held = row[0], row[1:9], row[9], row[10:]
        if declared[0] is not None:
            due: Row = (*declared, 1)
        elif used_as is not None:
            due = (used_as, None, None, None, None, "[]", None, None, 0)
        else:
            database.run(DROP_PROPERTY, (ontology_id, property_iri))
            continue
        if held != due:
            database.run(SAVE_PROPERTY, (ontology_id, property_iri, *due, now, now))
