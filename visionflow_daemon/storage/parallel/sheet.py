"""What one side of a comparison says, put down row by row and given back sorted: SQLite sorts, on disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from visionflow_daemon.storage import trouble
from visionflow_daemon.storage.database import Database
from visionflow_daemon.storage.parallel import norms
from visionflow_daemon.storage.parallel.norms import Norms
from visionflow_daemon.storage.sqlite import SqliteDatabase

PART = 1_000
"""Rows written at once."""

MAKE = (
    "CREATE TABLE entries (section INTEGER, key TEXT, says TEXT, is_optional INTEGER, is_other INTEGER, parent TEXT)",
    "CREATE TABLE parents (key TEXT NOT NULL PRIMARY KEY) WITHOUT ROWID",
    "CREATE TABLE members (iri TEXT NOT NULL, ontology_id TEXT NOT NULL, PRIMARY KEY (iri, ontology_id)) WITHOUT ROWID",
)
ADD = "INSERT INTO entries (section, key, says, is_optional, is_other, parent) VALUES (?, ?, ?, ?, ?, ?)"
ADD_PARENT = "INSERT INTO parents (key) VALUES (?) ON CONFLICT DO NOTHING"
ADD_MEMBER = "INSERT INTO members (iri, ontology_id) VALUES (?, ?) ON CONFLICT DO NOTHING"
SORTED = (
    "SELECT section, key, says, is_optional OR EXISTS (SELECT 1 FROM parents p WHERE p.key = e.parent)"
    " FROM entries e ORDER BY section, key, is_other, e.rowid"
)


class Section(IntEnum):
    """What an entry is about; in this order they are compared."""

    CLASS = 0
    PARENT = 1
    PROPERTY = 2
    AXIOM = 3
    INFERRED = 4


class Entry(NamedTuple):
    """One thing that a side says. Entries of one section and key are one; the row that writes its name in full counts.

    An optional one need not be on the other side; so need not an axiom that says no more than that `parent`.
    """

    section: Section
    key: tuple[str, ...]
    says: dict[str, Any]
    is_optional: bool = False
    is_other_spelling: bool = False
    parent: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """An entry as it comes back; `key` sorts as SQLite sorts it."""

    section: int
    key: str
    says: str
    is_optional: bool

    @property
    def place(self) -> tuple[int, str]:
        """Where it stands in the order of lines."""
        return self.section, self.key


@dataclass(frozen=True, slots=True)
class Sheet:
    """A scratch database in a folder of its own, which whoever made it removes."""

    database: Database
    norms: Norms

    @classmethod
    def at(cls, path: Path, how: Norms) -> Sheet:
        """Make an empty one."""
        database = SqliteDatabase(path, is_scratch=True)
        for statement in MAKE:
            database.run(statement)
        return cls(database, how)

    def write(self, entries: Iterable[Entry]) -> None:
        """Put entries down."""
        of = iter(entries)
        while part := list(islice(of, PART)):
            with trouble.told(self.database.path), self.database.transaction():
                self.database.run_many(ADD, [_row(entry) for entry in part])
                if not self.norms.is_exact:
                    pairs = [(_json(entry.key),) for entry in part if entry.section is Section.PARENT]
                    self.database.run_many(ADD_PARENT, pairs)

    def note_members(self, members: Iterable[tuple[str, str]]) -> None:
        """Put down which ontology holds which class."""
        of = iter(members)
        while part := list(islice(of, PART)):
            with trouble.told(self.database.path), self.database.transaction():
                self.database.run_many(ADD_MEMBER, part)

    def holding(self, iri: str) -> list[str]:
        """Name the ontologies that hold a class."""
        return [name for (name,) in self.database.rows("SELECT ontology_id FROM members WHERE iri = ?", (iri,))]

    def lines(self) -> Iterator[Line]:
        """Give the entries, sorted, each once."""
        last: Line | None = None
        with trouble.told(self.database.path):
            for section, key, says, is_optional in self.database.run(SORTED):
                line = Line(section, key, says, bool(is_optional))
                if last is None or line.place != last.place:
                    yield line
                    last = line
                else:
                    self.norms.note(norms.AGAIN if line.says == last.says else norms.OTHERWISE)


def _row(entry: Entry) -> tuple[object, ...]:
    parent = _json(entry.parent) if entry.parent else None
    optional, other = int(entry.is_optional), int(entry.is_other_spelling)
    return (int(entry.section), _json(entry.key), _json(entry.says), optional, other, parent)


def _json(value: object) -> str:
    return orjson.dumps(value).decode()
