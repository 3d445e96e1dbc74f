"""Decides which class each wikilink means, and moves the axioms of links whose meaning changed.

A name belongs to the page that holds it most strongly: by title before preferred term before alias, then by the
smaller path, compared as bytes. A name that no page holds means the IRI that was minted for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from visionflow_daemon.model import Link, Page
from visionflow_daemon.storage import facts
from visionflow_daemon.storage.database import ANY_OF, EACH_OF, Database, Row, array
from visionflow_daemon.storage.facts import (
    AXIOMS_PER_FILE,
    DELETE_AXIOM,
    INSERT_AXIOM,
    AxiomKey,
    File,
    Touched,
    linked_values,
)

WINNERS = (
    "SELECT each.value, (SELECT n.class_iri FROM page_names n WHERE n.ontology_id = ? AND n.name_key = each.value"
    f" ORDER BY n.name_rank, n.path LIMIT 1) FROM {EACH_OF} each"
)
NAMED_ANEW = (
    "SELECT each.value, (SELECT n.class_iri FROM page_names n WHERE n.ontology_id = ? AND n.name_key = each.value"
    "  AND n.file_id <> ? ORDER BY n.name_rank, n.path LIMIT 1),"
    " (SELECT n.class_iri FROM page_names n WHERE n.ontology_id = ? AND n.name_key = each.value"
    "  ORDER BY n.name_rank, n.path LIMIT 1)"
    f" FROM {EACH_OF} each"
    " WHERE (SELECT 1 FROM links l WHERE l.ontology_id = ? AND l.name_key = each.value LIMIT 1) IS NOT NULL"
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
FIND_AXIOMS = (
    "SELECT object, id, is_stated FROM owl_axioms WHERE ontology_id = ? AND id BETWEEN ? AND ? AND axiom_type = ?"
    " AND subject = ? AND COALESCE(property_iri, '') = ? AND annotations = ? AND object IN (?, ?)"
)
MOVE_AXIOM = "UPDATE owl_axioms SET object = ?, created_at = ? WHERE ontology_id = ? AND id = ?"
PART = 500
"""Links whose axioms are looked at together."""
LAST_AXIOM = "SELECT COALESCE(MAX(id), ?) FROM owl_axioms WHERE ontology_id = ? AND id BETWEEN ? AND ?"


@dataclass(frozen=True, slots=True)
class Move:
    """A link of another file that means something else now, and the axiom that is its alone."""

    file_id: int
    ordinal: int
    axiom_id: int
    axiom: AxiomKey
    after: str


Renamed = tuple[str, str | None, str | None]
"""A name, and the classes that it meant and means; None while no page goes by it."""


def renamed(database: Database, file: File, page: Page | None) -> Callable[[], list[Renamed]]:
    """Replace the names that a file's page goes by; give what then tells which class each name meant, and means.

    Only names that any page links to count. What is known of a new file's names is asked for without a wait.
    """
    ontology_id, rows = file.ontology_id, facts.name_rows(page, file.path)
    if file.is_new:
        facts.PAGE_NAMES.replace(database, file, rows)
        database.in_order()
        if not rows:
            return list
        given = array(sorted(key for (key,) in rows))
        return database.ask(NAMED_ANEW, (ontology_id, file.file_id, ontology_id, given, ontology_id))
    names = {key for (key,) in rows} | {key for (key,) in database.rows(NAMES_OF_FILE, (ontology_id, file.file_id))}
    linked = [key for (key,) in database.rows(LINKED_NAMES, (ontology_id, array(sorted(names))))] if names else []
    before = winners(database, ontology_id, linked)
    facts.PAGE_NAMES.replace(database, file, rows)
    after = winners(database, ontology_id, linked)
    return lambda: [(name, before.get(name), after.get(name)) for name in linked]


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
    database: Database, ontology_id: str, except_file: int, names: Iterable[Renamed], touched: Touched, now: str
) -> None:
    """Let the links of all other files follow the names whose meaning changed."""
    changed = [(name, after) for name, before, after in sorted(names) if before != after]
    asked = [(after, database.ask(LINKS_BY_NAME, (ontology_id, name, except_file))) for name, after in changed]
    moved = [(row, after or row[6]) for after, links in asked for row in links() if (after or row[6]) != row[7]]
    database.run_many(RETARGET, [(target, ontology_id, row[0], row[1]) for row, target in moved])
    for part in _apart(moved):
        looks = [_look(database, ontology_id, row, target) for row, target in part]
        for (row, target), look in zip(part, looks, strict=True):
            _move_axiom(database, ontology_id, row, target, look(), touched, now)


def carry_out(database: Database, ontology_id: str, moves: Iterable[Move], touched: Touched, now: str) -> None:
    """Let links follow of which all is known."""
    for move in moves:
        axiom_type, subject, property_iri, _, noted = move.axiom
        values = linked_values(axiom_type)
        database.run(RETARGET, (move.after, ontology_id, move.file_id, move.ordinal))
        database.run(MOVE_AXIOM, (move.after, now, ontology_id, move.axiom_id))
        touched.axiom(move.axiom, values, -1)
        touched.axiom((axiom_type, subject, property_iri, move.after, noted), values, 1)


Moved = tuple[Row, str | None]
"""A link, as LINKS_BY_NAME gives it, and what it means now."""


def _apart(moved: Iterable[Moved]) -> Iterator[list[Moved]]:
    """Part links so that no two of a part can be about one axiom: their axioms can be looked at together."""
    parts: list[list[Moved]] = []
    seen: Counter[Row] = Counter()
    for row, target in moved:
        file_id, _, *of_link = row[:6]
        at = seen[(file_id, *of_link)]
        seen[(file_id, *of_link)] += 1
        if at == len(parts):
            parts.append([])
        parts[at].append((row, target))
    return (part[first : first + PART] for part in parts for first in range(0, len(part), PART))


def _look(
    database: Database, ontology_id: str, row: Row, target: str | None
) -> Callable[[], tuple[dict[str, Row], bool]]:
    """Look at the axioms that a link made and is to make; what is given tells what there is, and if others make it."""
    file_id, _, axiom_type, subject, property_iri, annotations, _, before = row
    of_link = (axiom_type, subject, property_iri or "", annotations)
    ids = file_id * AXIOMS_PER_FILE, (file_id + 1) * AXIOMS_PER_FILE - 1
    found = database.ask(FIND_AXIOMS, (ontology_id, *ids, *of_link, before, target))
    linked = database.ask(STILL_LINKED, (ontology_id, file_id, *of_link, before))
    return lambda: ({object_: (number, is_stated) for object_, number, is_stated in found()}, bool(linked()))


def _move_axiom(
    database: Database,
    ontology_id: str,
    row: Row,
    target: str | None,
    look: tuple[dict[str, Row], bool],
    touched: Touched,
    now: str,
) -> None:
    """Let the axiom that a link made have another object.

    The old one stays where the text states it, or another link of the file still makes it; the new one may be there.
    """
    file_id, _, axiom_type, subject, property_iri, annotations, _, before = row
    held, is_linked = look
    old, is_stated = held.get(before, (None, True))
    goes = not is_stated and not is_linked
    comes = target is not None and target not in held
    values = linked_values(axiom_type)
    if goes:
        touched.axiom((axiom_type, subject, property_iri, before, annotations), values, -1)
    if comes:
        axiom = (axiom_type, subject, property_iri, str(target), annotations)
        touched.axiom(axiom, values, 1)
    if goes and comes:
        database.run(MOVE_AXIOM, (target, now, ontology_id, old))
    elif goes:
        database.run(DELETE_AXIOM, (ontology_id, old))
    elif comes:
        first, last = file_id * AXIOMS_PER_FILE, (file_id + 1) * AXIOMS_PER_FILE - 1
        (number,) = database.row(LAST_AXIOM, (first, ontology_id, first, last)) or (first,)
        database.run(INSERT_AXIOM, (ontology_id, number + 1, file_id, *axiom, *values, now))
