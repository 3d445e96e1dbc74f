"""What a database says, as plain values; written into a database of each old shape, spelt one way or another."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from visionflow_daemon.storage.legacy.migration import Rules, adopt_database
from visionflow_daemon.storage.remake import Place

NAMESPACE = "http://example.org/"
PREFIXES = {"ex": NAMESPACE}

TABLES_A = (
    "CREATE TABLE owl_classes (iri TEXT PRIMARY KEY, label TEXT, description TEXT, source_file TEXT, properties TEXT)",
    (
        "CREATE TABLE owl_class_hierarchy (class_iri TEXT NOT NULL, parent_iri TEXT NOT NULL,"
        " PRIMARY KEY (class_iri, parent_iri), FOREIGN KEY (class_iri) REFERENCES owl_classes (iri))"
    ),
    "CREATE TABLE owl_properties (iri TEXT PRIMARY KEY, label TEXT, property_type TEXT, domain TEXT, range TEXT)",
    (
        "CREATE TABLE owl_axioms (id INTEGER PRIMARY KEY, axiom_type TEXT, subject TEXT, object TEXT, annotations TEXT,"
        " is_inferred BOOLEAN DEFAULT 0)"
    ),
)
TABLES_B = (
    "CREATE TABLE ontologies (ontology_id TEXT PRIMARY KEY, source_path TEXT)",
    (
        "CREATE TABLE owl_classes (ontology_id TEXT, class_iri TEXT, label TEXT, comment TEXT, parent_class_iri TEXT,"
        " is_deprecated INTEGER, file_sha1 TEXT, PRIMARY KEY (ontology_id, class_iri))"
    ),
    (
        "CREATE TABLE owl_properties (ontology_id TEXT, property_iri TEXT, property_type TEXT, label TEXT,"
        " comment TEXT, domain_class_iri TEXT, range_class_iri TEXT, is_functional INTEGER,"
        " PRIMARY KEY (ontology_id, property_iri))"
    ),
)
TABLES_C = (
    (
        "CREATE TABLE owl_classes (ontology_id TEXT, class_iri TEXT, label TEXT, comment TEXT, file_sha1 TEXT,"
        " PRIMARY KEY (ontology_id, class_iri))"
    ),
    *TABLES_A[1:],
)
TABLES_D = (
    (
        "CREATE TABLE owl_classes (iri TEXT PRIMARY KEY, label TEXT, description TEXT, source_file TEXT,"
        " properties TEXT, term_id TEXT, preferred_term TEXT, maturity TEXT, markdown_content TEXT,"
        " file_sha1 TEXT, last_synced TEXT)"
    ),
    *TABLES_A[1:],
)
TABLES = {"A": TABLES_A, "B": TABLES_B, "C": TABLES_C, "D": TABLES_D}
OURS = "ours"
SHAPES = (*TABLES, OURS)


@dataclass(slots=True)
class Said:
    """What a database says. `classes` are label and comment by IRI, `properties` type, label, domains and ranges."""

    classes: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)
    parents: set[tuple[str, str]] = field(default_factory=set)
    properties: dict[str, tuple[str, str | None, tuple[str, ...], tuple[str, ...]]] = field(default_factory=dict)
    axioms: set[tuple[str, str, str]] = field(default_factory=set)


class Spelling:
    """Spells values one of the ways that mean the same."""

    def __init__(self, seed: int | None) -> None:
        self._random = Random(seed) if seed is not None else None  # noqa: S311 - test data

    def of(self, *ways: str | None) -> str | None:
        """Choose one; without a seed the first."""
        return self._random.choice(ways) if self._random else ways[0]

    def iri(self, name: str) -> str:
        """Spell a name."""
        short = name.replace(NAMESPACE, "ex:")
        return self.of(name, short, f" {name}", f"{name}\n", f"<{name}>") or ""

    def text(self, value: str | None) -> str | None:
        """Spell a text."""
        return self.of(None, "") if value is None else value

    def kind(self, value: str) -> str:
        """Spell a kind of property."""
        return self.of(value, value.removesuffix("Property").lower(), f"owl:{value}") or ""

    def several(self, names: tuple[str, ...]) -> str | None:
        """Spell a domain or range."""
        if not names:
            return self.of(None, "", "[]")
        listed = [self.iri(name) for name in names]
        if self._random:
            self._random.shuffle(listed)
        return json.dumps(listed) if len(listed) > 1 else self.of(listed[0], json.dumps(listed))


def write(path: Path, shape: str, said: Said, seed: int | None = None, ontology_id: str = "default") -> Path:
    """Write what is said into a database of a shape; ours is an old one that was adopted."""
    if shape == OURS:
        write(path, "C", said, seed, ontology_id)
        adopt_database(Place(str(path), path.parent), Rules(PREFIXES, ontology_id))
        return path
    with closing(sqlite3.connect(path)) as database:
        for statement in TABLES[shape]:
            database.execute(statement)
        for statement, rows in _rows(shape, said, Spelling(seed), ontology_id):
            database.executemany(statement, rows)
        database.commit()
    return path


def _rows(shape: str, said: Said, spelt: Spelling, ontology_id: str) -> Iterator[tuple[str, list[tuple[object, ...]]]]:
    classes = [(spelt.iri(iri), spelt.text(label), spelt.text(text)) for iri, (label, text) in said.classes.items()]
    properties = [
        (spelt.iri(iri), spelt.text(label), spelt.kind(kind), spelt.several(domain), spelt.several(range_))
        for iri, (kind, label, domain, range_) in said.properties.items()
    ]
    if shape == "B":
        parent = dict(said.parents)
        own = [parent.get(iri) and spelt.iri(parent[iri]) for iri in said.classes]
        yield (
            "INSERT INTO owl_classes (ontology_id, class_iri, label, comment, parent_class_iri) VALUES (?, ?, ?, ?, ?)",
            [(ontology_id, *row, above) for row, above in zip(classes, own, strict=True)],
        )
        yield (
            (
                "INSERT INTO owl_properties (ontology_id, property_iri, label, property_type, domain_class_iri,"
                " range_class_iri) VALUES (?, ?, ?, ?, ?, ?)"
            ),
            [(ontology_id, *row) for row in properties],
        )
        return
    if shape == "C":
        statement = "INSERT INTO owl_classes (ontology_id, class_iri, label, comment) VALUES (?, ?, ?, ?)"
        yield statement, [(ontology_id, *row) for row in classes]
    else:
        yield "INSERT INTO owl_classes (iri, label, description) VALUES (?, ?, ?)", list(classes)
    yield (
        "INSERT INTO owl_class_hierarchy (class_iri, parent_iri) VALUES (?, ?)",
        [(spelt.iri(child), spelt.iri(parent)) for child, parent in sorted(said.parents)],
    )
    yield "INSERT INTO owl_properties (iri, label, property_type, domain, range) VALUES (?, ?, ?, ?, ?)", properties
    yield (
        "INSERT INTO owl_axioms (axiom_type, subject, object) VALUES (?, ?, ?)",
        [(kind, spelt.iri(subject), spelt.iri(target)) for kind, subject, target in sorted(said.axioms)],
    )


Difference = tuple[str, str | None, tuple[str, ...], str]
"""Kind, of what, key, and how it differs."""


def differences(old: Said, new: Said, shapes: tuple[str, str]) -> set[Difference]:
    """Say what a comparison is due to tell, of what both shapes can hold."""
    found: set[Difference] = set()
    found |= _of("class", None, dict.fromkeys(old.classes, ""), dict.fromkeys(new.classes, ""))
    for at, text in enumerate(("label", "comment")):
        found |= _of(text, "class", _texts(old.classes, at), _texts(new.classes, at))
    found |= _of("parent", None, dict.fromkeys(old.parents, ""), dict.fromkeys(new.parents, ""))
    described = [{iri: (row[0], *row[2:]) for iri, row in said.properties.items()} for said in (old, new)]
    found |= _of("property", None, *described)
    found |= _of("label", "property", _texts(old.properties, 1), _texts(new.properties, 1))
    if "B" not in shapes:
        found |= _of("axiom", None, dict.fromkeys(old.axioms, ""), dict.fromkeys(new.axioms, ""))
    return found


def _texts(rows: Mapping[str, tuple[object, ...]], at: int) -> dict[str, object]:
    return {iri: row[at] for iri, row in rows.items() if row[at] is not None}


def _of(kind: str, of: str | None, old: Mapping[object, object], new: Mapping[object, object]) -> set[Difference]:
    found: set[Difference] = set()
    for key in {*old, *new}:
        if old.get(key) != new.get(key):
            what = "extra" if key not in old else "missing" if key not in new else "different"
            found.add((kind, of, key if isinstance(key, tuple) else (str(key),), what))
    return found
