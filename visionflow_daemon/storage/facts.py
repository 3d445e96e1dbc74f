"""Replaces one file's facts by those of its new content, and tells what changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from visionflow_daemon.model import Link, Page
from visionflow_daemon.storage.database import Database, Row

AXIOMS_PER_FILE = 1 << 28
"""Each file has its own range of axiom ids, so that its axioms lie side by side and need no common counter.

With it ids stay below 2**53, which every reader can hold, for 33 million files.
"""

AxiomKey = tuple[str, str, str | None, str, str]
"""What makes an axiom the same within one file: type, subject, property, object, annotations."""


@dataclass(frozen=True, slots=True)
class File:
    """The file whose facts are written, within its ontology."""

    ontology_id: str
    file_id: int
    path: bytes
    is_new: bool = False

    @property
    def axiom_ids(self) -> tuple[int, int]:
        """First and last id of this file's axioms."""
        first = self.file_id * AXIOMS_PER_FILE
        return first, first + AXIOMS_PER_FILE - 1


class FactTable:
    """One table of facts: how its rows are found, taken out and put in."""

    def __init__(self, name: str, key: tuple[str, ...], values: tuple[str, ...]) -> None:
        self.key_size = len(key)
        columns = ", ".join((*key, *values))
        marks = ", ".join("?" * (2 + len(key) + len(values)))
        of_file = "ontology_id = ? AND file_id = ?"
        of_key = "".join(f" AND {column} = ?" for column in key)
        self.select = f"SELECT {columns} FROM {name} WHERE {of_file}"
        self.delete = f"DELETE FROM {name} WHERE {of_file}{of_key}"
        self.insert = f"INSERT INTO {name} (ontology_id, file_id, {columns}) VALUES ({marks})"

    def replace(self, database: Database, file: File, rows: Mapping[Row, Row]) -> tuple[dict[Row, Row], dict[Row, Row]]:
        """Make the file's rows the given ones, key to values; give those that went and those that came."""
        if file.is_new and not rows:
            return {}, {}
        owner = (file.ontology_id, file.file_id)
        held: dict[Row, Row] = {}
        if not file.is_new:
            held = {row[: self.key_size]: row[self.key_size :] for row in database.rows(self.select, owner)}
        gone = {key: values for key, values in held.items() if rows.get(key) != values}
        came = {key: values for key, values in rows.items() if held.get(key) != values}
        database.run_many(self.delete, [owner + key for key in gone])
        database.run_many(self.insert, [owner + key + values for key, values in came.items()])
        return gone, came


PAGE_NAMES = FactTable("page_names", ("name_key",), ("name_rank", "path", "class_iri"))
PAGE_WARNINGS = FactTable("page_warnings", ("ordinal",), ("line", "message"))
CLASS_FACTS = FactTable("class_facts", ("class_iri",), ("is_bare", "path", "label", "comment", "properties"))
PROPERTY_FACTS = FactTable(
    "property_facts",
    ("property_iri",),
    ("is_bare", "path", "property_type", "label", "comment", "domain", "range", "characteristics"),
)
LINKS = FactTable(
    "links",
    ("ordinal",),
    ("axiom_type", "subject", "property_iri", "annotations", "name_key", "minted_iri", "target_iri"),
)


@dataclass(slots=True)
class Touched:
    """What a transaction changed among the facts, and so what has to be derived anew."""

    classes: set[str] = field(default_factory=set)
    parents_gone: set[tuple[str, str]] = field(default_factory=set)
    parents_came: set[tuple[str, str]] = field(default_factory=set)
    properties: set[str] = field(default_factory=set)
    uses: dict[tuple[str, str], int] = field(default_factory=dict)
    """By how much the number of axioms changed that use a property as one of a type."""

    def axiom(self, key: AxiomKey, values: Row, by: Literal[1, -1]) -> None:
        """Note an axiom that came, by 1, or went, by -1."""
        _, subject, property_iri, target, _ = key
        property_type, _, is_parent = values
        if is_parent:
            (self.parents_came if by > 0 else self.parents_gone).add((subject, target))
        if property_iri is not None and property_type is not None:
            use = property_iri, property_type
            self.uses[use] = self.uses.get(use, 0) + by


def page_values(page: Page | None) -> Row:
    """Give what a file's record says of its page: format, public or not, outbound links."""
    if page is None:
        return (None, None, None)
    return (page.format, int(page.is_public), orjson.dumps(page.outbound_links).decode())


def name_rows(page: Page | None, path: bytes) -> dict[Row, Row]:
    """Make the rows of the names that a page goes by: a link to it means its first class."""
    if page is None or not page.classes:
        return {}
    meant = page.classes[0].iri
    return {(name.key,): (int(name.rank), path, meant) for name in page.names}


def warning_rows(page: Page | None) -> dict[Row, Row]:
    """Make the rows of what could not be read as written."""
    warnings = page.warnings if page else ()
    return {(ordinal,): (warning.line, warning.message) for ordinal, warning in enumerate(warnings)}


def class_rows(page: Page | None, path: bytes) -> dict[Row, Row]:
    """Make the rows of the classes that a page declares."""
    classes = page.classes if page else ()
    return {(fact.iri,): (int(fact.is_bare), path, fact.label, fact.comment, fact.properties) for fact in classes}


def property_rows(page: Page | None, path: bytes) -> dict[Row, Row]:
    """Make the rows of the properties that a page declares or describes."""
    return {
        (fact.iri,): (
            int(fact.is_bare),
            path,
            fact.property_type,
            fact.label,
            fact.comment,
            fact.domain,
            fact.range,
            fact.characteristics,
        )
        for fact in (page.properties if page else ())
    }


def link_rows(links: Mapping[Link, str | None]) -> dict[Row, Row]:
    """Make the rows of a page's links, each with the class that it means now."""
    return {
        (ordinal,): (
            link.axiom_type,
            link.subject,
            link.property_iri,
            link.annotations,
            link.name,
            link.minted_iri,
            target,
        )
        for ordinal, (link, target) in enumerate(links.items())
    }


def axiom_rows(page: Page | None, links: Mapping[Link, str | None]) -> dict[AxiomKey, Row]:
    """Make the rows of a page's axioms, those it states and those its links make: property type, stated, parent."""
    rows: dict[AxiomKey, Row] = {}
    for axiom in page.axioms if page else ():
        key = (axiom.axiom_type, axiom.subject, axiom.property_iri, axiom.object, axiom.annotations)
        rows[key] = (axiom.property_type, 1, int(axiom.is_parent))
    for link, target in links.items():
        if target is not None:
            rows.setdefault(linked_axiom(link, target), linked_values(link.axiom_type))
    return rows


def linked_axiom(link: Link, target: str) -> AxiomKey:
    """Give the axiom that a link makes when it means `target`."""
    return (link.axiom_type, link.subject, link.property_iri, target, link.annotations)


def linked_values(axiom_type: str) -> Row:
    """Give property type, stated and parent of an axiom that stands by links alone."""
    is_parent = axiom_type == "SubClassOf"
    return (None if is_parent else "ObjectProperty", 0, int(is_parent))


SELECT_AXIOMS = (
    "SELECT id, axiom_type, subject, property_iri, object, annotations, property_type, is_stated, is_parent"
    " FROM owl_axioms WHERE ontology_id = ? AND id BETWEEN ? AND ?"
)
DELETE_AXIOM = "DELETE FROM owl_axioms WHERE ontology_id = ? AND id = ?"
INSERT_AXIOM = (
    "INSERT INTO owl_axioms (ontology_id, id, file_id, axiom_type, subject, property_iri, object, annotations,"
    " property_type, is_stated, is_parent, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
UPDATE_AXIOM = "UPDATE owl_axioms SET property_type = ?, is_stated = ?, is_parent = ? WHERE ontology_id = ? AND id = ?"


def add_axioms(
    database: Database, file: File, rows: Mapping[AxiomKey, Row], held: int, touched: Touched, now: str
) -> None:
    """Add axioms to a new file that has so many already."""
    _insert(database, file, rows, file.axiom_ids[0] + held + 1, now)
    for key, values in rows.items():
        touched.axiom(key, values, 1)


def replace_axioms(database: Database, file: File, rows: Mapping[AxiomKey, Row], touched: Touched, now: str) -> None:
    """Make the axioms of a known file the given ones; rows that stay keep their id."""
    first, last = file.axiom_ids
    held: dict[Any, Row] = {}
    said_twice: list[int] = []
    for row in database.rows(SELECT_AXIOMS, (file.ontology_id, first, last)):
        if row[1:6] in held:
            said_twice.append(row[0])
        held.setdefault(row[1:6], (row[0], row[6:]))
    gone = [key for key in held if key not in rows]
    came = {key: values for key, values in rows.items() if key not in held}
    kept = [(key, *held[key]) for key in rows if key in held and held[key][1] != rows[key]]
    next_id = max((number for number, _ in held.values()), default=first) + 1
    database.run_many(DELETE_AXIOM, [(file.ontology_id, held[key][0]) for key in gone])
    database.run_many(DELETE_AXIOM, [(file.ontology_id, number) for number in said_twice])
    _insert(database, file, came, next_id, now)
    database.run_many(UPDATE_AXIOM, [(*rows[key], file.ontology_id, number) for key, number, _ in kept])
    for key in gone:
        touched.axiom(key, held[key][1], -1)
    for key in came:
        touched.axiom(key, rows[key], 1)
    for key, _, values in kept:
        touched.axiom(key, values, -1)
        touched.axiom(key, rows[key], 1)


def _insert(database: Database, file: File, rows: Mapping[AxiomKey, Row], next_id: int, now: str) -> None:
    database.run_many(
        INSERT_AXIOM,
        [
            (file.ontology_id, next_id + at, file.file_id, *key, *values, now)
            for at, (key, values) in enumerate(rows.items())
        ],
    )
