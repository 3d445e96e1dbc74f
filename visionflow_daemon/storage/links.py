"""Decides which class each wikilink means, and moves the axioms of links whose meaning changed.

A name belongs to the page that holds it most strongly: by title before preferred term before alias, then by the
smaller path, compared as bytes. A name that no page holds means the IRI that was minted for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from visionflow_daemon.model import Link, Page
from visionflow_daemon.storage.database import ANY_OF, EACH_OF, Database, Row, array
from visionflow_daemon.storage.facts import AXIOMS_PER_FILE, INSERT_AXIOM, Touched, linked_values

WINNERS = (
    "SELECT each.value, (SELECT n.class_iri FROM page_names n WHERE n.ontology_id = ? AND n.name_key = each.value"
    f" ORDER BY n.name_rank, n.path LIMIT 1) FROM {EACH_OF} each"
)
LINKED_NAMES = f"SELECT DISTINCT name_key FROM links WHERE ontology_id = ? AND name_key {ANY_OF}"
NAMES_OF_FILE = "SELECT name_key FROM page_names WHERE ontology_id = ? AND file_id = ?"
LINKS_BY_NAME = (
    "SELECT file_id, ordinal, axiom_type, subject, property_iri, annotations, minted_iri, target_iri"
    " FROM links WHERE ontology_id = ? AND name_key = ? AND file_id <> ?"
)
RETARGET = "UPDATE links SET target_iri = ? WHERE ontology_id = ? AND file_id = ? AND ordinal = ?"
STILL_LINKED = (
    "SELECT 1 FROM links WHERE ontology_id = ? AND file_id = ? AND axiom_type = ? AND subject = ?"
    " AND COALESCE(property_iri, '') = ? AND annotations = ? AND target_iri = ? LIMIT 1"
)
FIND_AXIOM = (
    "SELECT id, is_stated FROM owl_axioms WHERE ontology_id = ? AND id BETWEEN ? AND ? AND axiom_type = ?"
    " AND subject = ? AND COALESCE(property_iri, '') = ? AND annotations = ? AND object = ?"
)
DELETE_AXIOM = "DELETE FROM owl_axioms WHERE ontology_id = ? AND id = ?"
LAST_AXIOM = "SELECT COALESCE(MAX(id), ?) FROM owl_axioms WHERE ontology_id = ? AND id BETWEEN ? AND ?"


def linked_names(database: Database, ontology_id: str, file_id: int, page: Page | None, *, is_new: bool) -> set[str]:
    """Name, of what a file goes by before and after, the names that any page links to."""
    names = {name.key for name in page.names} if page else set()
    if not is_new:
        names |= {key for (key,) in database.rows(NAMES_OF_FILE, (ontology_id, file_id))}
    if not names:
        return names
    return {key for (key,) in database.rows(LINKED_NAMES, (ontology_id, array(sorted(names))))}


def winners(database: Database, ontology_id: str, names: Iterable[str]) -> dict[str, str]:
    """Say which class each name means; names that no page holds are left out."""
    asked = sorted(names)
    if not asked:
        return {}
    found = database.rows(WINNERS, (ontology_id, array(asked)))
    return {name: class_iri for name, class_iri in found if class_iri is not None}


def resolve(database: Database, ontology_id: str, page: Page | None) -> dict[Link, str | None]:
    """Say which class each link of a page means now."""
    if page is None or not page.links:
        return {}
    meant = winners(database, ontology_id, {link.name for link in page.links})
    return {link: meant.get(link.name, link.minted_iri) for link in page.links}


def move(
    database: Database,
    ontology_id: str,
    except_file: int,
    before: Mapping[str, str],
    after: Mapping[str, str],
    touched: Touched,
    now: str,
) -> None:
    """Let the links of all other files follow the names whose meaning changed."""
    moved: list[tuple[Row, str | None]] = []
    target: str | None
    for name in sorted(before.keys() | after.keys()):
        if before.get(name) == after.get(name):
            continue
        for row in database.rows(LINKS_BY_NAME, (ontology_id, name, except_file)):
            target = after.get(name, row[6])
            if target != row[7]:
                moved.append((row, target))
    database.run_many(RETARGET, [(target, ontology_id, row[0], row[1]) for row, target in moved])
    for row, target in moved:
        _drop_axiom(database, ontology_id, row, touched)
        if target is not None:
            _add_axiom(database, ontology_id, row, target, touched, now)


def _drop_axiom(database: Database, ontology_id: str, row: Row, touched: Touched) -> None:
    """Take out the axiom that a link made, unless the text states it, or another link of the file still makes it."""
    file_id, _, axiom_type, subject, property_iri, annotations, _, target = row
    if target is None:
        return
    named = (axiom_type, subject, property_iri or "", annotations, target)
    if database.row(STILL_LINKED, (ontology_id, file_id, *named)):
        return
    found = database.row(FIND_AXIOM, (ontology_id, *_ids(file_id), *named))
    if found is not None and not found[1]:
        database.run(DELETE_AXIOM, (ontology_id, found[0]))
        touched.axiom_went((axiom_type, subject, property_iri, target, annotations), linked_values(axiom_type))


def _add_axiom(database: Database, ontology_id: str, row: Row, target: str, touched: Touched, now: str) -> None:
    file_id, _, axiom_type, subject, property_iri, annotations, _, _ = row
    first, last = _ids(file_id)
    if database.row(
        FIND_AXIOM, (ontology_id, first, last, axiom_type, subject, property_iri or "", annotations, target)
    ):
        return
    (number,) = database.row(LAST_AXIOM, (first, ontology_id, first, last)) or (first,)
    values = linked_values(axiom_type)
    axiom = (axiom_type, subject, property_iri, target, annotations)
    database.run(INSERT_AXIOM, (ontology_id, number + 1, file_id, *axiom, *values, now))
    touched.axiom_came(axiom, values)


def _ids(file_id: int) -> tuple[int, int]:
    return file_id * AXIOMS_PER_FILE, (file_id + 1) * AXIOMS_PER_FILE - 1
