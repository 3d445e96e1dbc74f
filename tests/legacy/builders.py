"""Seeded builders of old databases, with every defect that is known of them, and what the tests read off a database."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

NAMESPACE = "http://narrativegoldmine.com/metaverse#"
PREFIX = "mv:"
SHAPES = ("A", "B", "C", "D", "mixed")

CLASSES_A = (
    "CREATE TABLE owl_classes (iri TEXT PRIMARY KEY, label TEXT, description TEXT, source_file TEXT, properties JSON,"
    " created_at DATETIME DEFAULT CURRENT_TIMESTAMP, updated_at DATETIME)"
)
CLASSES_D = (
    "CREATE TABLE owl_classes (iri TEXT PRIMARY KEY, label TEXT, description TEXT, source_file TEXT, properties JSON,"
    " created_at DATETIME, updated_at DATETIME, term_id TEXT, preferred_term TEXT, source_domain TEXT, version TEXT,"
    " status TEXT, maturity TEXT, quality_score REAL, authority_score REAL, public_access INTEGER,"
    " owl_physicality TEXT,"
    " owl_role TEXT, belongs_to_domain TEXT, markdown_content TEXT, file_sha1 TEXT, last_synced DATETIME)"
)
CLASSES_B = (
    "CREATE TABLE owl_classes (ontology_id TEXT NOT NULL REFERENCES ontologies(ontology_id), class_iri TEXT NOT NULL,"
    " label TEXT, comment TEXT, parent_class_iri TEXT, is_deprecated INTEGER DEFAULT 0, created_at TEXT,"
    " file_sha1 TEXT, PRIMARY KEY (ontology_id, class_iri))"
)
CLASSES_C = (
    "CREATE TABLE owl_classes (ontology_id TEXT NOT NULL, class_iri TEXT NOT NULL, label TEXT, comment TEXT,"
    " file_sha1 TEXT, created_at TEXT, note TEXT, PRIMARY KEY (ontology_id, class_iri))"
)
HIERARCHY = (
    "CREATE TABLE owl_class_hierarchy (class_iri TEXT NOT NULL, parent_iri TEXT NOT NULL,"
    " PRIMARY KEY (class_iri, parent_iri), FOREIGN KEY (class_iri) REFERENCES owl_classes(iri) ON DELETE CASCADE,"
    " FOREIGN KEY (parent_iri) REFERENCES owl_classes(iri) ON DELETE CASCADE)"
)
PROPERTIES_A = (
    "CREATE TABLE owl_properties (iri TEXT PRIMARY KEY, label TEXT, property_type TEXT NOT NULL, domain JSON,"
    " range JSON,"
    " inverse_of TEXT, created_at DATETIME)"
)
PROPERTIES_B = (
    "CREATE TABLE owl_properties (ontology_id TEXT NOT NULL, property_iri TEXT NOT NULL, property_type TEXT,"
    " label TEXT,"
    " comment TEXT, domain_class_iri TEXT, range_class_iri TEXT, is_functional INTEGER DEFAULT 0,"
    " PRIMARY KEY (ontology_id, property_iri))"
)
AXIOMS = (
    "CREATE TABLE owl_axioms (id INTEGER PRIMARY KEY AUTOINCREMENT, axiom_type TEXT NOT NULL, subject TEXT,"
    " object TEXT,"
    " annotations JSON, is_inferred BOOLEAN DEFAULT 0, created_at DATETIME)"
)
OTHERS = """
CREATE TABLE inference_results (id INTEGER PRIMARY KEY, ontology_id TEXT, inferred_axioms TEXT, timestamp TEXT);
INSERT INTO inference_results VALUES (1, 'default', '[]', '2025');
CREATE TABLE validation_reports (id INTEGER PRIMARY KEY, report TEXT);
CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT NOT NULL);
INSERT INTO users VALUES (1, 'ann'), (2, 'bob');
CREATE TABLE settings (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;
INSERT INTO settings VALUES ('theme', x'ff00');
"""
GRAPHS = """
CREATE TABLE graphs (id INTEGER PRIMARY KEY, root TEXT REFERENCES owl_classes(iri) ON DELETE CASCADE, x REAL);
CREATE TABLE graph_edges (a TEXT, b TEXT, FOREIGN KEY (a) REFERENCES "owl_classes");
CREATE VIEW class_labels AS SELECT iri, label FROM owl_classes;
CREATE VIEW no_classes AS SELECT name FROM users;
CREATE TRIGGER classes_seen AFTER INSERT ON owl_classes
BEGIN UPDATE settings SET value = new.iri WHERE key = 'last'; END;
CREATE INDEX owl_classes_label ON owl_classes (label);
CREATE INDEX idx_axioms_subject ON owl_axioms (subject) WHERE subject IS NOT NULL;
"""


class Builder:
    """One old database in the making."""

    def __init__(self, path: Path, shape: str, classes: int, seed: int = 7) -> None:
        self.path = path
        self.shape = shape
        self.size = classes
        self.chance = random.Random(f"{shape} {seed}")  # noqa: S311 - defects, not secrets
        self.ontologies = ("main", "other") if shape in {"C", "mixed"} else ("main",)

    def build(self) -> Path:
        """Make the file; foreign keys were never enforced."""
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("PRAGMA foreign_keys = OFF")
            connection.executescript(OTHERS)
            getattr(self, f"_{self.shape.lower()}")(connection)
            connection.commit()
        return self.path

    def iri(self, number: int) -> str:
        """Give a class's IRI: now and then a prefixed name, or with blanks."""
        full = f"{NAMESPACE}Class{number}"
        match number % 23:
            case 3:
                return f"{PREFIX}Class{number}"
            case 5:
                return f" {full}"
            case _:
                return full

    def label(self, number: int) -> Any:  # noqa: ANN401 - what an old column holds
        """Give a label: none, empty, bytes, or a text."""
        return {1: None, 2: "", 4: b"\xff\x00label", 6: "Ünï çødé \U0001f600"}.get(number % 29, f"Class {number}")

    def json(self, number: int) -> Any:  # noqa: ANN401 - what an old column holds
        """Give what stands in a JSON column, broken now and then."""
        broken = {1: None, 2: "{not json", 3: "[1, 2]", 4: b"\x80", 5: 17, 6: "null"}
        return broken.get(number % 31, json.dumps({"quality": number / 7, "tags": ["a", f"b{number}"]}))

    def anyone(self) -> str:
        """Give a class: one in ten is an orphan."""
        return self.iri(self.chance.randrange(int(self.size * 1.1) + 1))

    def pairs(self) -> set[tuple[str, str]]:
        """Give the rows of a hierarchy."""
        found = {(self.iri(number), self.anyone()) for number in range(self.size)}
        found |= {(self.anyone(), self.anyone()) for _ in range(self.size // 10)}
        return found | {(f"{NAMESPACE}Class0", f"{NAMESPACE}Class0"), ("", f"{NAMESPACE}Class1")}

    def _graphs(self, connection: sqlite3.Connection) -> None:
        connection.executescript(GRAPHS)
        connection.executemany("INSERT INTO graphs (root, x) VALUES (?, 0.1)", [(self.anyone(),) for _ in range(20)])

    def _a(self, connection: sqlite3.Connection) -> None:
        connection.execute(CLASSES_A)
        insert = "INSERT OR IGNORE INTO owl_classes VALUES (?, ?, ?, ?, ?, ?, ?)"
        connection.executemany(insert, self._rows_a())
        self._rest(connection)

    def _d(self, connection: sqlite3.Connection) -> None:
        connection.execute(CLASSES_D)
        insert = f"INSERT OR IGNORE INTO owl_classes VALUES ({', '.join('?' * 22)})"
        more = (
            (
                *row,
                f"MV-{at}",
                None,
                "mv",
                "1.0",
                "draft",
                "mature",
                0.75,
                1,
                1,
                "Virtual",
                "Object",
                "d",
                "# Page\n\x00x",
            )
            for at, row in enumerate(self._rows_a())
        )
        connection.executemany(insert, ((*row, "a" * 40, "2025-01-01") for row in more))
        self._rest(connection)

    def _rows_a(self) -> Iterator[tuple[Any, ...]]:
        for number in range(self.size):
            yield (
                self.iri(number),
                self.label(number),
                f"About {number}" if number % 3 else None,
                f"pages/{number}.md",
                self.json(number),
                "2024-01-01" if number % 2 else None,
                None,
            )
        full = f"{NAMESPACE}Class"
        yield (f"{full}0 ", "with a blank", None, None, None, None, None)
        yield (f"{full}3", "written in full", None, None, None, None, None)
        yield (f"{full}7".upper(), "in capitals", None, None, None, None, None)
        yield (None, "nameless", None, None, None, None, None)
        yield ("  ", "blank", None, None, None, None, None)
        yield (b"bytes\xfe", "no text", None, None, None, None, None)

    def _rest(self, connection: sqlite3.Connection) -> None:
        """Add the tables beside the classes of A and D."""
        connection.execute(HIERARCHY)
        connection.executemany("INSERT INTO owl_class_hierarchy VALUES (?, ?)", sorted(self.pairs()))
        self._properties_a(connection)
        self._axioms(connection)
        self._graphs(connection)

    def _properties_a(self, connection: sqlite3.Connection) -> None:
        connection.execute(PROPERTIES_A)
        domains = (
            None,
            "[]",
            f'["{self.iri(1)}"]',
            f'["{self.iri(3)}", "{self.iri(2)}"]',
            self.iri(3),
            "[broken",
            '"x:y"',
        )
        kinds = ("object", "ObjectProperty", "data", "DatatypeProperty", "owl:AnnotationProperty", "odd kind")
        rows = [
            (
                f"{PREFIX}has{number}" if number % 5 == 0 else f"{NAMESPACE}has{number}",
                self.label(number),
                kinds[number % len(kinds)],
                domains[number % len(domains)],
                domains[(number + 3) % len(domains)],
                None if number % 2 else "mv:inverse",
                "2024",
            )
            for number in range(max(20, self.size // 100))
        ]
        rows += [
            (f"{NAMESPACE}has0", "in full", "object", None, None, None, None),
            (None, "x", "object", None, None, None, None),
        ]
        connection.executemany(f"INSERT INTO owl_properties VALUES ({', '.join('?' * 7)})", rows)

    def _axioms(self, connection: sqlite3.Connection) -> None:
        connection.execute(AXIOMS)
        kinds = ("SubClassOf", "EquivalentClass", "DisjointWith", "ObjectPropertyAssertion", "DataPropertyAssertion")
        insert = (
            "INSERT INTO owl_axioms (axiom_type, subject, object, annotations, is_inferred, created_at)"
            " VALUES (?, ?, ?, ?, ?, '2024-01-01')"
        )
        for number in range(2 * self.size):
            kind = kinds[number % len(kinds)]
            target = '"literal mv:x"' if kind == "DataPropertyAssertion" else self.anyone()
            row = (kind, self.anyone(), target, self.json(number), number % 11 == 0)
            connection.execute(insert, row)
            if number % 50 == 0:
                connection.execute(insert, row)
        connection.executemany(
            insert, sorted(("SubClassOf", *pair, None, 0) for pair in list(self.pairs())[: self.size // 2])
        )
        connection.execute(insert, ("SubClassOf", None, "x:y", None, 0))
        connection.execute("DELETE FROM owl_axioms WHERE id % 97 = 5 OR id > 3 * ?", (self.size,))

    def _b(self, connection: sqlite3.Connection) -> None:
        self._ontologies(connection)
        connection.execute(CLASSES_B)
        connection.execute("CREATE UNIQUE INDEX idx_class_iri ON owl_classes (class_iri)")
        rows = [
            (
                "main" if number % 4 else "second",
                self.iri(number),
                self.label(number),
                f"About {number}",
                self.anyone() if number % 2 else None,
                number % 9 == 0,
                "2024",
                None,
            )
            for number in range(self.size)
        ]
        rows += [
            ("main", f"{NAMESPACE}Class3", "in full", None, None, 0, None, None),
            ("main", "", "nameless", None, None, 0, None, None),
        ]
        connection.executemany(f"INSERT INTO owl_classes VALUES ({', '.join('?' * 8)})", rows)
        self._properties_b(connection)

    def _ontologies(self, connection: sqlite3.Connection) -> None:
        connection.execute(
            "CREATE TABLE ontologies (ontology_id TEXT PRIMARY KEY, source_path TEXT, source_type TEXT, base_iri TEXT)"
        )
        connection.execute("INSERT INTO ontologies VALUES ('main', '/old', 'git', 'http://x/')")

    def _properties_b(self, connection: sqlite3.Connection) -> None:
        connection.execute(PROPERTIES_B)
        rows = [
            (
                "main",
                f"{NAMESPACE}has{number}",
                "object" if number % 2 else None,
                f"has {number}",
                None,
                self.anyone(),
                None,
                number % 3 == 0,
            )
            for number in range(max(20, self.size // 100))
        ]
        connection.executemany(f"INSERT INTO owl_properties VALUES ({', '.join('?' * 8)})", rows)

    def _c(self, connection: sqlite3.Connection) -> None:
        connection.execute(CLASSES_C)
        rows = [
            (
                ontology_id,
                self.iri(number),
                self.label(number),
                f"In {ontology_id}",
                "b" * 40,
                "2024",
                self.json(number),
            )
            for number in range(self.size)
            for ontology_id in (("main", "other") if number % 10 == 0 else ("main",))
        ]
        connection.executemany(f"INSERT INTO owl_classes VALUES ({', '.join('?' * 7)})", rows)
        connection.execute(HIERARCHY)
        connection.executemany("INSERT INTO owl_class_hierarchy VALUES (?, ?)", sorted(self.pairs()))

    def _mixed(self, connection: sqlite3.Connection) -> None:
        self._c(connection)
        self._properties_a(connection)
        self._axioms(connection)


def content(path: Path) -> dict[str, Any]:
    """Give all that a database holds: schema as it is written, each row with its number, types and bytes."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        connection.text_factory = bytes
        schema = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()
        found: dict[str, Any] = {"schema": sorted(schema, key=repr)}
        for kind, raw, _, sql in schema:
            name = raw.decode()
            if kind == b"table":
                columns = [row[1].decode() for row in connection.execute(f"PRAGMA table_info({name})")]
                typed = ", ".join(f'typeof("{column}"), "{column}"' for column in columns)
                number = "" if b"WITHOUT ROWID" in (sql or b"") else "rowid, "
                found[name] = connection.execute(f"SELECT {number}{typed} FROM {name} ORDER BY 1").fetchall()
    return found
