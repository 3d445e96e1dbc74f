"""What is foreseen of a new page goes to the server in one go, and comes to the same as what is looked at in turn."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.postgresql.server import PASSWORD, Server
from tests.support import outline_page
from visionflow_daemon.formats.choose import read_page, reading_digest
from visionflow_daemon.model import DEFAULT_PREFIXES, Page, Reading
from visionflow_daemon.storage import foresight, server
from visionflow_daemon.storage.database import Database
from visionflow_daemon.storage.dump import dump
from visionflow_daemon.storage.facts import File
from visionflow_daemon.storage.hold import held_by_us
from visionflow_daemon.storage.migrate import migrate
from visionflow_daemon.storage.postgresql import PostgresDatabase, open_postgresql
from visionflow_daemon.storage.sqlite import SqliteDatabase
from visionflow_daemon.storage.writer import Content, Writer

READING = Reading(prefixes=DEFAULT_PREFIXES)


def bee(*properties: str) -> str:
    """Write the page of the bee, which is no class that its links were taken to mean."""
    return outline_page("Bee", *properties).replace("mv:Bee", "mv:Apis")


BEE = bee("alias:: Honey bee")
HIVE = outline_page("Hive", "has-part:: [[Bee]]")
LINKED = {"hive.md": HIVE, "drone.md": outline_page("Drone", "is-subclass-of:: [[Bee]]")}
USED = {"used.md": outline_page("Used", "has-part:: [[Nothing]]")}
"""A page that uses the property before others do."""


class Telling(Writer):
    """A writer that tells which files had to be looked at in turn."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, "o", lambda: "t")
        self.in_turn: list[str] = []

    def add(self, pages: dict[str, str]) -> list[bytes]:
        """Save pages, one after the other, and give the dump."""
        for path, text in pages.items():
            blob = hashlib.sha1(text.encode()).hexdigest()  # noqa: S324 - git's
            page = read_page(path.encode(), text.encode(), READING)
            assert page.skip_reason is None
            self.save(Content(path.encode(), blob, reading_digest(READING)), page)
        with self.database.snapshot():
            return list(dump(self.database, "o"))

    def _replace(self, file: File, page: Page | None, now: str) -> None:
        self.in_turn.append(file.path.decode())
        super()._replace(file, page, now)


@pytest.fixture
def ours(shared: Server, database: str) -> Iterator[PostgresDatabase]:
    """A database of a server, with our schema."""
    access = server.Server(server.ServerRules(), lambda: PASSWORD)
    with closing(open_postgresql(shared.url(database), access)) as one:
        migrate(one)
        yield one
        one.end()


@pytest.mark.parametrize(
    ("pages", "last", "is_foreseen"),
    [
        (USED, BEE, True),
        (USED | LINKED, BEE, True),
        (USED | LINKED | {"way.md": outline_page("Way", "has-part:: [[Honey bee]]")}, BEE, True),
        (USED | {"both.md": outline_page("Both", "has-part:: [[Bee]], [[Honey bee]]")}, BEE, False),
        (USED | LINKED | {"z.md": outline_page("Wasp", "alias:: Bee")}, BEE, False),
        (USED | LINKED | {"a.md": outline_page("Wasp", "alias:: Honey bee")}, BEE, True),
        (USED | {f"h{at}.md": outline_page(f"H{at}", "has-part:: [[Bee]]") for at in range(foresight.MOST)}, BEE, True),
        (USED | {f"h{at}.md": outline_page(f"H{at}", "has-part:: [[Bee]]") for at in range(60)}, BEE, False),
        (USED | LINKED, bee("has-part:: [[Bee]]"), False),
        (USED | LINKED, bee("made-of:: [[Wax]]"), False),
        (
            LINKED | {"states.md": outline_page("Q", "is-subclass-of:: [[Bee]]", axioms="SubClassOf(mv:Q mv:Apis)")},
            BEE,
            False,
        ),
    ],
    ids=[
        *("no link", "links", "a link to each name", "two links with one axiom", "a name that another page holds"),
        *("another page's alias", "as many links as are foreseen", "more links", "a link to itself", "a new property"),
        "an axiom that the text states",
    ],
)
def test_a_page_that_comes_after_its_links(
    ours: PostgresDatabase, tmp_path: Path, pages: dict[str, str], last: str, *, is_foreseen: bool
) -> None:
    with closing(SqliteDatabase(tmp_path / "alone.db", is_scratch=True)) as alone, held_by_us(ours, "o", 5.0) as held:
        migrate(alone)
        looking, foreseeing = Telling(alone), Telling(held)
        assert foreseeing.add(pages) == looking.add(pages)
        foreseeing.in_turn.clear()
        assert foreseeing.add({"p.md": last}) == looking.add({"p.md": last})
        assert foreseeing.in_turn == ([] if is_foreseen else ["p.md"])
