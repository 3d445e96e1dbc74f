"""What a new page's rows depend on beyond its own file: looked at before a transaction's turn, and once more in it.

While one transaction has the turn, all others of its ontology wait, so that it had better not wait for this program.
One that has foreseen all that matters goes to the server in one go, its commit and all; the server itself sees whether
it is still so, and undoes it where it isn't (ADR 0029).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from visionflow_daemon.errors import UnforeseenError
from visionflow_daemon.model import Link, Page
from visionflow_daemon.storage import facts
from visionflow_daemon.storage.database import EACH_OF, EACH_ROW_OF, Database, Row, array
from visionflow_daemon.storage.facts import AXIOMS_PER_FILE, File
from visionflow_daemon.storage.links import Move

MOST = 50
"""So many links of others are foreseen to follow a page's name; pages with more go the plain way."""

NOBODY = 0
"""No file has this number: before a new one has its own, all others are looked at."""

UNUSED = (
    f"(SELECT COUNT(*) FROM {EACH_ROW_OF} each WHERE COALESCE((SELECT u.axioms FROM property_uses u"
    " WHERE u.ontology_id = ?4 AND u.property_iri = each.value->>0 AND u.property_type = each.value->>1), 0) <= 0)"
)
MEANT = (
    "(SELECT COALESCE(jsonb_object_agg(each.value, (SELECT n.class_iri FROM page_names n WHERE n.ontology_id = ?4"
    f" AND n.name_key = each.value ORDER BY n.name_rank, n.path LIMIT 1)), '{{}}') FROM {EACH_OF} each)"
)
LINKED = (
    f"(SELECT COUNT(*) FROM {EACH_OF} each WHERE (SELECT 1 FROM links l WHERE l.ontology_id = ?4"
    " AND l.name_key = each.value AND l.file_id <> ?5 LIMIT 1) IS NOT NULL)"
)
OF_LINK = (
    "{0}.axiom_type = l.axiom_type AND {0}.subject = l.subject AND {0}.annotations = l.annotations"
    " AND COALESCE({0}.property_iri, '') = COALESCE(l.property_iri, '')"
)
OTHERS_NAMED_SO = (
    "SELECT COUNT(*) FROM page_names n WHERE n.ontology_id = l.ontology_id AND n.name_key = l.name_key"
    " AND n.file_id <> {file_id}"
)
LINKS_LIKE_IT = (
    "SELECT COUNT(*) FROM links o WHERE o.ontology_id = l.ontology_id AND o.file_id = l.file_id"
    f" AND o.target_iri = l.target_iri AND {OF_LINK.format('o')}"
)
AXIOMS_OF_LINK = (
    "SELECT jsonb_agg(jsonb_build_array(a.id, a.object, a.is_stated) ORDER BY a.id) FROM owl_axioms a"
    f" WHERE a.ontology_id = l.ontology_id AND a.id BETWEEN l.file_id * {AXIOMS_PER_FILE}"
    f"  AND (l.file_id + 1) * {AXIOMS_PER_FILE} - 1 AND {OF_LINK.format('a')} AND a.object IN (l.target_iri, {{own}})"
)
LINKS = (
    "(SELECT COALESCE(jsonb_agg(jsonb_build_array(l.file_id, l.ordinal, l.axiom_type, l.subject, l.property_iri,"
    f" l.target_iri, l.annotations, ({OTHERS_NAMED_SO}), ({LINKS_LIKE_IT}), ({AXIOMS_OF_LINK}))"
    f" ORDER BY l.file_id, l.ordinal), '[]') FROM {EACH_OF} each CROSS JOIN LATERAL (SELECT * FROM links"
    f"  WHERE ontology_id = {{ontology_id}} AND name_key = each.value AND file_id <> {{file_id}} LIMIT {MOST + 1}) l)"
)
SAME = f"{UNUSED} = 0 AND {MEANT} = ?6::jsonb"
SAME_LINKS = LINKS.format(ontology_id="?4", file_id="?5", own="?7") + " = ?8::jsonb"
LOOK = f"SELECT {UNUSED}, {MEANT}, {LINKED}"
LOOK_AT_LINKS = "SELECT " + LINKS.format(ontology_id="?2", file_id="?3", own="?4")
STILL = f"SELECT 1 / CASE WHEN {SAME} AND {LINKED} = 0 THEN 1 ELSE 0 END"
STILL_LINKED = f"SELECT 1 / CASE WHEN {SAME} AND {SAME_LINKS} THEN 1 ELSE 0 END"


@dataclass(frozen=True, slots=True)
class Foresight:
    """What was looked at: what each name that the page links to means, and the links of others that will mean it."""

    question: Row
    meant: str
    own: str | None = None
    links: str | None = None
    moves: tuple[Move, ...] = ()

    def resolve(self, page: Page) -> dict[Link, str | None]:
        """Say which class each link of the page means."""
        meant = orjson.loads(self.meant)
        return {link: meant[link.name] or link.minted_iri for link in page.links}

    def check(self, database: Database, file: File) -> None:
        """Have the transaction undone where it is no longer so, with UnforeseenError: to be asked when it is due."""
        changed = UnforeseenError("another file has changed what this one means")
        given = (*self.question, file.file_id, self.meant)
        if self.links is None:
            database.demand(STILL, given, changed)
        else:
            database.demand(STILL_LINKED, (*given, self.own, self.links), changed)


def look(database: Database, ontology_id: str, page: Page) -> Callable[[], Foresight | None]:
    """Look at what matters to a page if its file is new; what is given tells, None where there is more to it.

    That is so where it uses a property as nothing else does, declares properties, or links to itself, and where more
    follows from a link of another page than that its axiom has another object: then other rows than these may change.
    """
    names = array(sorted({name.key for name in page.names} if page.classes else ()))
    linked = {link.name for link in page.links}
    if page.properties or (page.classes and not linked.isdisjoint(name.key for name in page.names)):
        return _nothing
    uses = {(axiom.property_iri, axiom.property_type) for axiom in page.axioms}
    uses |= {(link.property_iri, facts.linked_values(link.axiom_type)[0]) for link in page.links}
    given = array(sorted([iri, kind] for iri, kind in uses if iri is not None and kind is not None))
    question = (given, array(sorted(linked)), names, ontology_id)
    found = database.ask(LOOK, (*question, NOBODY))

    def seen() -> Foresight | None:
        ((unused, meant, are_linked),) = found()
        if unused:
            return None
        if not are_linked:
            return Foresight(question, meant)
        own = page.classes[0].iri
        ((links,),) = database.rows(LOOK_AT_LINKS, (names, ontology_id, NOBODY, own))
        moves = _moves(orjson.loads(links), own)
        return None if moves is None else Foresight(question, meant, own, links, moves)

    return seen


def _moves(links: list[list[Any]], own: str) -> tuple[Move, ...] | None:
    """Say how links of others follow, each of which has an axiom for itself; None where one of them hasn't."""
    moves: dict[tuple[Any, ...], Move] = {}
    for file_id, ordinal, axiom_type, subject, property_iri, target, noted, others, like_it, axioms in links:
        if others or len(moves) == MOST:
            return None
        if target == own:
            continue
        of_link = (file_id, axiom_type, subject, property_iri, noted)
        if like_it != 1 or of_link in moves or axioms is None or [each[1:] for each in axioms] != [[target, 0]]:
            return None
        axiom = (axiom_type, subject, property_iri, target, noted)
        moves[of_link] = Move(file_id, ordinal, axioms[0][0], axiom, own)
    return tuple(moves.values())


def _nothing() -> None:
    """Tell that nothing is foreseen."""
