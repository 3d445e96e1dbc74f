"""The floor: the least work that any sync of these pages must do, in one thread; `python -m benchmarks.floor`.

It reads every blob of HEAD's tree, finds classes, parents and relations in it, and inserts them with one transaction a
file. It resolves no link, checks no IRI, keeps no history, retries nothing: a product does more, and is slower.
"""

from __future__ import annotations

import argparse
import fnmatch
import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pygit2

CACHE = 8 << 20
MAPPED = 32 << 20
SCHEMA = """
CREATE TABLE classes (
    ontology TEXT NOT NULL, iri TEXT NOT NULL, label TEXT, comment TEXT, blob TEXT, PRIMARY KEY (ontology, iri)
);
CREATE INDEX classes_label ON classes (label);
CREATE TABLE hierarchy (
    ontology TEXT NOT NULL, child TEXT NOT NULL, parent TEXT NOT NULL, PRIMARY KEY (ontology, child, parent),
    FOREIGN KEY (ontology, child) REFERENCES classes (ontology, iri) ON DELETE CASCADE,
    FOREIGN KEY (ontology, parent) REFERENCES classes (ontology, iri) ON DELETE CASCADE
);
CREATE INDEX hierarchy_parent ON hierarchy (ontology, parent);
CREATE TABLE axioms (
    id INTEGER PRIMARY KEY, ontology TEXT NOT NULL, path TEXT NOT NULL, kind TEXT NOT NULL, subject TEXT NOT NULL,
    property TEXT, object TEXT NOT NULL
);
CREATE INDEX axioms_subject ON axioms (ontology, subject);
CREATE INDEX axioms_kind ON axioms (kind);
CREATE INDEX axioms_path ON axioms (path);
CREATE TABLE files (path TEXT PRIMARY KEY, blob TEXT NOT NULL);
"""
CLASS = (
    "INSERT INTO classes VALUES ('o', ?, ?, ?, ?) ON CONFLICT DO UPDATE SET label = excluded.label,"
    " comment = excluded.comment, blob = excluded.blob"
)
NAMED = "INSERT INTO classes (ontology, iri) VALUES ('o', ?) ON CONFLICT DO NOTHING"
PARENT = "INSERT OR IGNORE INTO hierarchy VALUES ('o', ?, ?)"
AXIOM = "INSERT INTO axioms (ontology, path, kind, subject, property, object) VALUES ('o', ?, ?, ?, ?, ?)"
FILE = "INSERT INTO files VALUES (?, ?)"

CLASS_TYPES = frozenset({"Class", "OntologyClass", "Individual"})
JSON_FENCE = re.compile(rb"```json-?ld\s*\n(.*?)```", re.DOTALL)
IDENTITY = re.compile(
    r"(?:owl:class::|^iri::)[ \t]*(\S+)|Declaration\(Class\((\S+?)\)\)|^<(\S+)> a owl:Class", re.MULTILINE
)
SAID = re.compile(r"^[ \t]*(?:- )?([\w-]+)::[ \t]*(.*)$", re.MULTILINE)
LINK = re.compile(r"\[\[(.+?)\]\]")
FUNCTIONAL = re.compile(r"^[ \t]*([A-Z]\w+)\((\S+?)\s+([^()]*(?:\([^()]*\))?\s*)\)", re.MULTILINE)
TURTLE = re.compile(r"^[ \t]+(\S+) (<\S+?>|\[.*?\])[ ,.;]", re.MULTILINE)


@dataclass(slots=True)
class Facts:
    """What one file says."""

    classes: list[tuple[str, str | None, str | None]] = field(default_factory=list)
    parents: list[tuple[str, str]] = field(default_factory=list)
    axioms: list[tuple[str, str, str | None, str]] = field(default_factory=list)

    def add_parent(self, child: str, parent: str) -> None:
        """Keep a parent, as an axiom, too."""
        self.parents.append((child, parent))
        self.axioms.append(("SubClassOf", child, None, parent))


def blobs(repository: pygit2.Repository, tree: pygit2.Tree, prefix: str = "") -> Iterator[tuple[str, pygit2.Oid]]:
    """Give the paths of a tree, with their blobs."""
    for entry in tree:
        path = f"{prefix}{entry.name}"
        if isinstance(entry, pygit2.Tree):
            yield from blobs(repository, entry, f"{path}/")
        else:
            yield path, entry.id


def read(data: bytes) -> Facts:
    """Find a file's facts."""
    facts = Facts()
    for fence in JSON_FENCE.findall(data):
        block = orjson.loads(fence)
        if block.get("@type") in CLASS_TYPES:
            _read_class(facts, block)
    if not facts.classes:
        _read_text(facts, data.decode())
    return facts


def _read_class(facts: Facts, block: dict[str, Any]) -> None:
    iri = block["@id"]
    facts.classes.append((iri, block.get("label"), block.get("definition")))
    for parent in _items(block.get("subClassOf")):
        facts.add_parent(iri, parent["@id"])
    for key, targets in (block.get("relations") or {}).items():
        for target in _items(targets):
            facts.axioms.append(("ObjectPropertyAssertion", iri, key, target["@id"]))


def _items(value: Any) -> list[dict[str, str]]:  # noqa: ANN401 - whatever stands in the JSON
    return value if isinstance(value, list) else [value] if value else []


def _read_text(facts: Facts, text: str) -> None:
    """Read outlines, axioms in functional syntax, and Turtle as regular expressions see them."""
    if (identity := IDENTITY.search(text)) is None:
        return
    iri = identity[1] or identity[2] or identity[3]
    said: dict[str, str] = {}
    for key, value in SAID.findall(text):
        said.setdefault(key, value)
        for name in LINK.findall(value):
            if key == "is-subclass-of":
                facts.add_parent(iri, name)
            else:
                facts.axioms.append(("ObjectPropertyAssertion", iri, key, name))
    facts.classes.append((iri, said.get("preferred-term"), said.get("definition")))
    for kind, subject, rest in FUNCTIONAL.findall(text):
        facts.axioms.append((kind, subject, None, rest))
    for key, target in TURTLE.findall(text):
        if key == "rdfs:subClassOf" and target.startswith("<"):
            facts.add_parent(iri, target[1:-1])
        else:
            facts.axioms.append(("ObjectPropertyAssertion", iri, key, target))


def save(database: sqlite3.Connection, path: str, blob: str, facts: Facts) -> None:
    """Save one file, in one transaction."""
    database.execute("BEGIN IMMEDIATE")
    database.executemany(CLASS, [(*each, blob) for each in facts.classes])
    database.executemany(NAMED, [(parent,) for _, parent in facts.parents])
    database.executemany(PARENT, facts.parents)
    database.executemany(AXIOM, [(path, *each) for each in facts.axioms])
    database.execute(FILE, (path, blob))
    database.execute("COMMIT")


def main() -> None:
    """Read a repository into a new database."""
    parser = argparse.ArgumentParser(description="Does the least work that a sync must do.")
    parser.add_argument("repository", type=Path)
    parser.add_argument("database", type=Path)
    parser.add_argument("--include", default="*", help="which files, as the shell matches them")
    given = parser.parse_args()
    included = re.compile(fnmatch.translate(given.include)).match
    pygit2.settings.mwindow_mapped_limit = MAPPED
    pygit2.settings.mwindow_size = CACHE
    pygit2.settings.cache_max_size(CACHE)
    database = sqlite3.connect(given.database, isolation_level=None)
    for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
        database.execute(f"PRAGMA {pragma}")
    database.executescript(SCHEMA)
    repository = pygit2.Repository(str(given.repository))
    for path, blob in blobs(repository, repository.head.peel(pygit2.Tree)):
        if included(path) and isinstance(found := repository[blob], pygit2.Blob):
            save(database, path, str(blob), read(found.data))
    database.close()


if __name__ == "__main__":
    main()
