"""Databases of all old shapes, with all their defects: adopted with nothing dropped, given back as they were."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.engines import assert_sound
from tests.legacy.builders import NAMESPACE, PREFIX, SHAPES, Builder, content
from tests.support import Daemon
from visionflow_daemon.storage.lock import ontology_lock

pytestmark = pytest.mark.sqlite

SIZE = 300


each_shape = pytest.mark.parametrize("shape", SHAPES)
each_size = pytest.mark.parametrize("size", [SIZE, pytest.param(10_000, marks=pytest.mark.deep)])


def migrate(daemon: Daemon, *arguments: str, expect: int = 0, timeout: float = 600) -> Any:  # noqa: ANN401
    ran = daemon.run("migrate", *arguments, "--database", "old.db", "--json", timeout=timeout)
    assert ran.code == expect, (ran.code, ran.out[-2000:], ran.err[-4000:])
    return ran.json if expect == 0 else ran.err


def whole(value: Any) -> str:  # noqa: ANN401 - whatever an old column holds
    """Write a name in full, as a person would who reads the old database."""
    text = value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
    text = text.strip()
    return NAMESPACE + text.removeprefix(PREFIX) if text.startswith(PREFIX) else text


def rows(path: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        connection.text_factory = tolerant
        return connection.execute(sql).fetchall()


def tolerant(data: bytes) -> Any:  # noqa: ANN401 - text where it is
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data


def as_text(value: Any) -> Any:  # noqa: ANN401 - whatever an old column holds
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value


def quarantined(path: Path, table: str) -> list[dict[str, Any]]:
    found = rows(path, f"SELECT row FROM migration_quarantine WHERE table_name = '{table}'")
    return [json.loads(row) for (row,) in found]


@each_size
@each_shape
def test_nothing_is_dropped_and_everything_comes_back(daemon: Daemon, shape: str, size: int) -> None:
    path = Builder(daemon.folder / "old.db", shape, size).build()
    before = content(path)
    answer = migrate(daemon, "up", "--ontology-id", "main")

    assert content(Path(answer["backup"])) == before
    assert_in_place(path, Path(answer["backup"]))
    with closing(sqlite3.connect(path)) as connection:
        for table in ("owl_classes", "owl_class_hierarchy", "owl_properties", "owl_axioms", "class_facts"):
            assert connection.execute(f"PRAGMA foreign_key_check({table})").fetchall() == []
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    if shape not in {"A", "D"}:
        assert_sound(path)
    after = content(path)
    for table in ("users", "settings", "inference_results", "validation_reports", "graphs", "ontologies"):
        assert after.get(table) == before.get(table)

    answer = migrate(daemon, "down")
    assert not any(answer["lost"].values())
    given_back = content(path)
    assert given_back.keys() == before.keys()
    for what, there in before.items():
        assert given_back[what] == there, what


def assert_in_place(path: Path, old: Path) -> None:
    """Look up every row of an old database, by what a person would read in it."""
    assert_classes_in_place(path, old)
    columns = {
        row[0] for row in rows(old, "SELECT m.name || '.' || c.name FROM sqlite_master m, pragma_table_info(m.name) c")
    }
    parents = set(rows(path, "SELECT class_iri, parent_iri FROM owl_class_hierarchy"))
    due = []
    if "owl_class_hierarchy.class_iri" in columns:
        due = rows(old, "SELECT class_iri, parent_iri FROM owl_class_hierarchy")
    if "owl_classes.parent_class_iri" in columns:
        due += rows(old, "SELECT class_iri, parent_class_iri FROM owl_classes WHERE parent_class_iri IS NOT NULL")
    missing = [pair for pair in due if (whole(pair[0]), whole(pair[1])) not in parents]
    held = [(row["class_iri"], row.get("parent_iri")) for row in quarantined(path, "owl_class_hierarchy")]
    assert all(pair in held for pair in missing)
    assert parents <= {(whole(child), whole(parent)) for child, parent in due}
    if "owl_properties.iri" in columns:
        there = dict(rows(path, "SELECT property_iri, label FROM owl_properties WHERE is_declared = 1"))
        lost = [row["iri"] for row in quarantined(path, "owl_properties")]
        for iri, label in rows(old, "SELECT iri, label FROM owl_properties"):
            assert iri in lost or there[whole(iri)] == as_text(label)
    if "owl_axioms.id" in columns:
        assert_axioms_in_place(path, old)


def assert_classes_in_place(path: Path, old: Path) -> None:
    columns = {row[1] for row in rows(old, "PRAGMA table_info(owl_classes)")}
    iri, comment = ("class_iri", "comment") if "class_iri" in columns else ("iri", "description")
    ontology = "ontology_id" if "ontology_id" in columns else "'main'"
    there = {
        (row[0], row[1]): row[2:]
        for row in rows(
            path, "SELECT ontology_id, class_iri, label, comment, properties FROM owl_classes WHERE is_declared = 1"
        )
    }
    lost = [(row.get("ontology_id", "main"), row[iri], row["label"]) for row in quarantined(path, "owl_classes")]
    extra = sorted(columns & {"term_id", "quality_score", "note", "is_deprecated", "source_file"})
    found = rows(
        old, f"SELECT {ontology}, {iri}, label, {comment}{''.join(f', {name}' for name in extra)} FROM owl_classes"
    )
    in_place = 0
    for where, name, label, said, *more in found:
        held = there.get((where, whole(name))) if name is not None else None
        if held is not None and held[:2] == (as_text(label), as_text(said)):
            properties = json.loads(held[2])
            assert all(
                properties[key] == value
                for key, value in zip(extra, more, strict=True)
                if value is not None and isinstance(value, str | int | float)
            )
            in_place += 1
        else:
            assert any(each[:2] == (where, name) for each in lost), (where, name)
    assert in_place == len(there)
    assert in_place + len(lost) == len(found)


def assert_axioms_in_place(path: Path, old: Path) -> None:
    there = set(rows(path, "SELECT axiom_type, subject, object, is_inferred FROM owl_axioms"))
    numbers = {row["id"] for row in quarantined(path, "owl_axioms")}
    for number, kind, subject, target, is_inferred in rows(
        old, "SELECT id, axiom_type, subject, object, is_inferred FROM owl_axioms"
    ):
        if is_inferred:
            assert (kind, subject, target, 1) in there
        elif number not in numbers:
            assert (kind, whole(subject), target if kind.startswith("Data") else whole(target), 0) in there
    inferred = "SELECT id, axiom_type, subject, object, created_at FROM owl_axioms WHERE is_inferred = 1"
    assert (
        set(rows(old, inferred)) == set(rows(path, inferred))
        or len(set(rows(path, "SELECT ontology_id FROM owl_classes"))) > 1
    )


@each_shape
def test_a_trial_tells_all_and_changes_nothing(daemon: Daemon, shape: str) -> None:
    path = Builder(daemon.folder / "old.db", shape, SIZE).build()
    before, names = path.read_bytes(), sorted(each.name for each in daemon.folder.iterdir())
    trial = migrate(daemon, "up", "--dry-run", "--ontology-id", "main")
    assert path.read_bytes() == before
    assert sorted(each.name for each in daemon.folder.iterdir() if each.name != "home") == names
    done = migrate(daemon, "up", "--ontology-id", "main")
    assert trial["is_trial"]
    for what in ("shape", "tables", "meanings", "undeclared", "quarantine", "unknown_columns", "oddities", "notes"):
        assert trial[what] == done[what]
    held = path.read_bytes()
    assert migrate(daemon, "down", "--dry-run")["shape"] == done["shape"]
    assert path.read_bytes() == held


@pytest.mark.parametrize(
    ("shape", "name"), [("A", "A"), ("B", "B"), ("C", "C"), ("D", "D"), ("mixed", "A and C (mixed)")]
)
def test_status_says_what_it_is_and_why(daemon: Daemon, shape: str, name: str) -> None:
    Builder(daemon.folder / "old.db", shape, 50).build()
    named = {"B": ["main", "second"], "C": ["main", "other"], "mixed": ["main", "other"]}.get(shape, ["main"])
    found = migrate(daemon, "status")
    assert found["shape"] == name
    assert found["reasons"]
    assert "adopt" in found["would"]
    migrate(daemon, "up", "--ontology-id", "main")
    found = migrate(daemon, "status")
    assert sorted(found["remainders"]) == named
    assert found["what"] == f"ours, made of shape {name} of an older VisionFlow"
    assert found["remainders"]["main"]["classes"] >= 30
    assert found["version"] == found["newest"]
    assert found["would"] == "do nothing"


def test_the_defects_are_told(daemon: Daemon) -> None:
    Builder(daemon.folder / "old.db", "A", SIZE).build()
    answer = migrate(daemon, "up")
    assert answer["ontologies"] == ["default"]
    assert answer["quarantine"]["owl_classes"] == {"nameless": 2, "same-iri": 2}
    assert answer["quarantine"]["owl_axioms"]["said-twice"] > 0
    assert answer["quarantine"]["owl_class_hierarchy"]["nameless"] == 1
    assert answer["undeclared"] > 0
    assert answer["unknown_columns"]["owl_classes"] == ["source_file"]
    assert any("differ in case" in note for note in answer["notes"])
    assert any("view class_labels no longer works" in note for note in answer["notes"])
    assert not any("no_classes" in note for note in answer["notes"])
    text = daemon.run("migrate", "status", "--database", "old.db").out
    assert "quarantine" in text
    assert "unclaimed in default" in text


@pytest.mark.parametrize("journal", ["delete", "wal", "persist", "truncate"])
def test_the_journal_is_what_it_was(daemon: Daemon, journal: str) -> None:
    path = Builder(daemon.folder / "old.db", "A", 30).build()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
    before = content(path)
    migrate(daemon, "up")
    assert daemon.run("dump", "--database", "old.db").code == 0
    migrate(daemon, "down")
    assert content(path) == before
    is_wal = path.read_bytes()[18] == 2
    assert is_wal == (journal == "wal")


def test_what_came_since_comes_back_in_the_old_shape(daemon: Daemon) -> None:
    path = daemon.folder / "old.db"
    Builder(path, "A", 40).build()
    migrate(daemon, "up")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"UPDATE owl_classes SET label = 'changed' WHERE class_iri = '{NAMESPACE}Class26'")
        connection.execute(f"DELETE FROM owl_class_hierarchy WHERE class_iri = '{NAMESPACE}Class4'")
        connection.execute(
            "INSERT INTO owl_classes SELECT ontology_id, 'urn:new', 'new', 'c', NULL, 1, 0, '{}', 0, '', '', ''"
            " FROM owl_classes LIMIT 1"
        )
        connection.execute("INSERT INTO owl_class_hierarchy VALUES ('default', 'urn:new', ?)", (f"{NAMESPACE}Class26",))
        connection.commit()
    answer = migrate(daemon, "down")
    assert answer["tables"]["owl_classes"]["changed"] == 1
    assert answer["tables"]["owl_classes"]["new"] == 1
    assert rows(path, "SELECT label FROM owl_classes WHERE iri = 'mv:Class26'") == [("changed",)]
    assert rows(path, "SELECT label, description FROM owl_classes WHERE iri = 'urn:new'") == [("new", "c")]
    assert rows(path, "SELECT parent_iri FROM owl_class_hierarchy WHERE class_iri = 'urn:new'") == [("mv:Class26",)]
    assert rows(path, f"SELECT 1 FROM owl_class_hierarchy WHERE class_iri = '{NAMESPACE}Class4'") == []


def test_what_the_old_shape_has_no_place_for_needs_a_word(daemon: Daemon) -> None:
    path = Builder(daemon.folder / "old.db", "B", 40).build()
    migrate(daemon, "up", "--ontology-id", "main")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(
            "INSERT INTO owl_axioms (ontology_id, axiom_type, subject, object)"
            " VALUES ('main', 'DisjointWith', 'a:a', 'b:b')"
        )
        connection.commit()
    before = path.read_bytes()
    assert "no place for all that came since (1 axioms)" in migrate(daemon, "down", expect=6)
    assert path.read_bytes() == before
    assert migrate(daemon, "down", "--allow-loss")["lost"]["axioms"] == 1


def spoil_view(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE VIEW owl_properties AS SELECT 1 AS iri")


def spoil_name(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE links (a)")


def spoil_archive(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE legacy_owl_classes (a)")


def spoil_columns(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE owl_axioms (a, b)")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (spoil_view, "no ordinary table"),
        (spoil_name, "links, which another program made"),
        (spoil_archive, "has a table legacy_owl_classes already"),
        (spoil_columns, "has no column axiom_type"),
    ],
)
def test_what_is_not_understood_is_left_alone(
    daemon: Daemon, spoil: Callable[[sqlite3.Connection], None], says: str
) -> None:
    path = Builder(daemon.folder / "old.db", "C", 20).build()
    with closing(sqlite3.connect(path)) as connection:
        spoil(connection)
        connection.commit()
    before = path.read_bytes()
    assert says in migrate(daemon, "up", "--ontology-id", "main", expect=6)
    assert path.read_bytes() == before
    assert not (daemon.folder / "old.db-journal").exists()


def test_bare_migrate_and_a_pass_leave_it_alone(daemon: Daemon) -> None:
    path = Builder(daemon.folder / "old.db", "D", 20).build()
    before = path.read_bytes()
    assert "migrate up" in migrate(daemon, expect=6)
    assert "migrate up" in migrate(daemon, "--to", "3", expect=6)
    assert "migrate up" in migrate(daemon, "down", expect=6)
    assert "brought to the newest version" in migrate(daemon, "up", "--to", "5", expect=2)
    assert path.read_bytes() == before


def test_two_can_not_be_at_it_at_once(daemon: Daemon) -> None:
    path = Builder(daemon.folder / "old.db", "A", 20).build()
    before = content(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        daemon.environment["VISIONFLOW_SYNC__BUSY_TIMEOUT"] = "0.1"
        assert "another program writes to" in migrate(daemon, "up", expect=6)
        other.execute("ROLLBACK")
        other.execute("BEGIN")
        other.execute("SELECT * FROM users").fetchall()
        assert "another program" in migrate(daemon, "up", expect=6)
        other.execute("ROLLBACK")
    daemon.environment["VISIONFLOW_SYNC__LOCK_TIMEOUT"] = "0"
    with ontology_lock(path, "default", 0):
        assert "another pass" in migrate(daemon, "up", expect=6)
    assert content(path) == before
    migrate(daemon, "up")
    with ontology_lock(path, "default", 0):
        assert "another pass" in migrate(daemon, "down", expect=6)
        assert "another pass" in migrate(daemon, "discard", expect=6)
    migrate(daemon, "down")
    assert content(path) == before
