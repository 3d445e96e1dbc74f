"""What a new page's rows depend on beyond its own file: looked at before a transaction's turn, and once more in it.

While one transaction has the turn, all others of its ontology wait, so that it had better not wait for this program.
One that has foreseen all that matters goes to the server in one go, its commit and all; the server itself sees whether
it is still so, and undoes it where it isn't (ADR 0029).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import orjson

from visionflow_daemon.errors import UnforeseenError
from visionflow_daemon.model import Link, Page
from visionflow_daemon.storage import facts
from visionflow_daemon.storage.database import EACH_OF, EACH_ROW_OF, Database, Row, array
from visionflow_daemon.storage.facts import File

LINKED = (
    f"(SELECT COUNT(*) FROM {EACH_OF} each WHERE (SELECT 1 FROM links l WHERE l.ontology_id = ?"
    " AND l.name_key = each.value AND l.file_id <> ? LIMIT 1) IS NOT NULL)"
)
UNUSED = (
    f"(SELECT COUNT(*) FROM {EACH_ROW_OF} each WHERE COALESCE((SELECT u.axioms FROM property_uses u"
    " WHERE u.ontology_id = ? AND u.property_iri = each.value->>0 AND u.property_type = each.value->>1), 0) <= 0)"
)
MEANT = (
    "(SELECT COALESCE(jsonb_object_agg(each.value, (SELECT n.class_iri FROM page_names n WHERE n.ontology_id = ?"
    f" AND n.name_key = each.value ORDER BY n.name_rank, n.path LIMIT 1)), '{{}}') FROM {EACH_OF} each)"
)
LOOK = f"SELECT {LINKED} + {UNUSED}, {MEANT}"
STILL = f"SELECT 1 / CASE WHEN {LINKED} + {UNUSED} = 0 AND {MEANT} = ?::jsonb THEN 1 ELSE 0 END"


@dataclass(frozen=True, slots=True)
class Foresight:
    """What was looked at, and what each name that the page links to means."""

    question: Row
    meant: str

    def resolve(self, page: Page) -> dict[Link, str | None]:
        """Say which class each link of the page means."""
        meant = orjson.loads(self.meant)
        return {link: meant[link.name] or link.minted_iri for link in page.links}

    def check(self, database: Database, file: File) -> None:
        """Have the transaction undone where it is no longer so, with UnforeseenError: to be asked when it is due."""
        ontology_id, names, uses, links = self.question
        asked = (names, ontology_id, file.file_id, uses, ontology_id, ontology_id, links)
        database.demand(STILL, (*asked, self.meant), UnforeseenError("another file has changed what this one means"))


def look(database: Database, ontology_id: str, page: Page) -> Callable[[], Foresight | None]:
    """Look at what matters to a page if its file is new; what is given tells, None where there is more to it.

    That is so where other pages link to a name of its own, where it uses a property as nothing else does, and where it
    declares properties, or links to itself: then other rows than its own may change.
    """
    names = {name.key for name in page.names} if page.classes else set()
    linked = {link.name for link in page.links}
    if page.properties or names & linked:
        return _nothing
    uses = {(axiom.property_iri, axiom.property_type) for axiom in page.axioms}
    uses |= {(link.property_iri, facts.linked_values(link.axiom_type)[0]) for link in page.links}
    given = array(sorted([iri, kind] for iri, kind in uses if iri is not None and kind is not None))
    question = (ontology_id, array(sorted(names)), given, array(sorted(linked)))
    asked = (question[1], ontology_id, 0, given, ontology_id, ontology_id, question[3])
    found = database.ask(LOOK, asked)

    def seen() -> Foresight | None:
        ((others, meant),) = found()
        return None if others else Foresight(question, meant)

    return seen


def _nothing() -> None:
    """Tell that nothing is foreseen."""
