"""Files claim what an old database knew of their classes: once and for all, in whatever order they come."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import corpus
from tests.engines import assert_sound
from tests.legacy.builders import AXIOMS, CLASSES_A, HIERARCHY, PROPERTIES_A
from tests.storage.test_exact import IRIS, PATHS, RELATIONS, blob_of, database_in, pages
from tests.support import Daemon, Repo, class_page, outline_page
from visionflow_daemon.model import Page
from visionflow_daemon.storage.database import Database
from visionflow_daemon.storage.dump import dump
from visionflow_daemon.storage.legacy.migration import Rules, adopt_database
from visionflow_daemon.storage.remake import Place
from visionflow_daemon.storage.writer import Content, Failure, Writer

pytestmark = pytest.mark.sqlite

NARRATIVE = ("--include", "ontology/pages/*.md")

steps = st.lists(st.tuples(st.sampled_from(PATHS), st.none() | pages() | st.just("failed")), max_size=8)


@pytest.fixture(scope="module")
def adopted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adopted database that speaks of the same names as the pages that are drawn."""
    path = tmp_path_factory.mktemp("adopted") / "old.db"
    with closing(sqlite3.connect(path)) as old:
        for table in (CLASSES_A, HIERARCHY, PROPERTIES_A, AXIOMS):
            old.execute(table)
        old.executemany(
            "INSERT INTO owl_classes (iri, label) VALUES (?, 'old')", [(iri,) for iri in (*IRIS, "urn:only")]
        )
        chain = [*IRIS, "urn:only", "urn:nobody"]
        old.executemany("INSERT INTO owl_class_hierarchy VALUES (?, ?)", list(pairwise(chain)))
        old.execute("INSERT INTO owl_properties (iri, property_type) VALUES (?, 'object')", (RELATIONS[0],))
        old.execute("INSERT INTO owl_properties (iri, property_type, label) VALUES (?, 'object', 'x')", (RELATIONS[1],))
        old.executemany(
            "INSERT INTO owl_axioms (axiom_type, subject, object, is_inferred) VALUES (?, ?, ?, ?)",
            [
                ("ObjectPropertyAssertion", IRIS[0], IRIS[1], 0),
                ("DataPropertyAssertion", IRIS[1], IRIS[2], 0),
                ("SubClassOf", IRIS[2], IRIS[0], 0),
                ("SubClassOf", IRIS[3], IRIS[0], 1),
                ("DisjointWith", RELATIONS[0], RELATIONS[1], 0),
            ],
        )
        old.commit()
    adopt_database(Place(str(path), path.parent), Rules({}, "o"))
    return path


def derived(database: Database) -> bytes:
    return b"".join(dump(database, "o"))


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=steps, order=st.randoms(use_true_random=False))
def test_what_is_left_depends_on_what_was_ever_saved_alone(
    adopted: Path,
    history: list[tuple[bytes, Any]],
    order: Any,  # noqa: ANN401 - random.Random
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("lived.db", "fresh.db"):
            shutil.copyfile(adopted, Path(folder) / name)
        lived, fresh = database_in(folder, "lived.db"), database_in(folder, "fresh.db")
        held: dict[bytes, Page] = {}
        ever: list[tuple[bytes, Page]] = []
        for path, page in history:
            writer = Writer(lived, "o", lambda: "2026-01-01T00:00:00Z")
            if page is None:
                writer.delete(path)
                held.pop(path, None)
            elif isinstance(page, Page):
                writer.save(Content(path, blob_of(page), "d"), page)
                held[path] = page
                ever.append((path, page))
            else:
                writer.fail(Content(path, "0" * 40, "d"), Failure("page", "broken"))
        order.shuffle(ever)
        again = Writer(fresh, "o", lambda: "2027-01-01T00:00:00Z")
        for path, page in (*ever, *held.items()):
            again.save(Content(path, blob_of(page), "d"), page)
        for path in {path for path, _ in ever} - held.keys():
            again.delete(path)
        assert derived(lived) == derived(fresh)
        for database in (lived, fresh):
            database.close()
            assert_sound(database.path)


def rows_of(lines: list[list[Any]], kind: str) -> list[list[Any]]:
    return [line[1:] for line in lines if line[0] == kind]


@pytest.fixture
def followed(repo: Repo, daemon: Daemon) -> Daemon:
    """An adopted database, and a repository that claims some of it."""
    with closing(sqlite3.connect(daemon.folder / "kg.db")) as old:
        for table in (CLASSES_A, HIERARCHY, PROPERTIES_A, AXIOMS):
            old.execute(table)
        old.executemany(
            "INSERT INTO owl_classes (iri, label) VALUES (?, ?)", [("urn:t:a", "old A"), ("urn:t:x", "old X")]
        )
        old.executemany(
            "INSERT INTO owl_class_hierarchy VALUES (?, ?)", [("urn:t:a", "urn:t:x"), ("urn:t:x", "urn:t:y")]
        )
        old.execute(
            "INSERT INTO owl_axioms (axiom_type, subject, object) VALUES ('DisjointWith', 'urn:t:a', 'urn:t:x')"
        )
        old.commit()
    repo.commit({"A.md": class_page("urn:t:a", "A", subClassOf=[{"@id": "urn:t:b"}]), "bad.md": "```json-ld\n{\n```\n"})
    ran = daemon.run("migrate", "up", "--database", "kg.db")
    assert ran.code == 0, ran.err
    return daemon


def test_a_class_is_the_files_from_its_first_save(followed: Daemon, repo: Repo) -> None:
    before = followed.dump()
    assert [row[0] for row in rows_of(before, "legacy_class_fact")] == ["urn:t:a", "urn:t:x"]
    assert rows_of(before, "class")[0][:3] == ["urn:t:a", 1, "old A"]
    assert rows_of(before, "class")[0][-1] == "legacy:"

    followed.once(repo.path, expect=3)
    after = followed.dump()
    assert [row[0] for row in rows_of(after, "legacy_class_fact")] == ["urn:t:x"]
    assert [row[1:3] for row in rows_of(after, "legacy_axiom")] == [["urn:t:x", ""]]
    assert ["urn:t:a", "urn:t:x"] not in rows_of(after, "class_parent")
    assert {tuple(row) for row in rows_of(after, "class_parent")} == {("urn:t:a", "urn:t:b"), ("urn:t:x", "urn:t:y")}

    repo.commit({"A.md": None})
    followed.once(repo.path, expect=3)
    gone = followed.dump()
    assert [row[0] for row in rows_of(gone, "class")] == ["urn:t:x", "urn:t:y"]


def test_it_is_told_apart_and_goes_on_request(followed: Daemon, repo: Repo) -> None:
    followed.once(repo.path, expect=3)
    status = followed.run("status", "--database", "kg.db", "--json").json
    assert status[0]["legacy"] == {"classes": 1, "properties": 0, "axioms": 1}
    assert status[0]["holds"]["files"] == 2
    assert "legacy:" in followed.run("status", "--database", "kg.db").out
    verified = followed.run("verify", "--source", repo.path, "--database", "kg.db")
    assert verified.code == 0, verified.out
    assert "legacy:: 1 classes, 0 properties and 1 axioms" in verified.out
    assert verified.out.endswith("no difference\n")
    explained = followed.run("failures", "--explain", "legacy:", "--source", repo.path, "--database", "kg.db")
    assert "Traceback" not in explained.err
    assert len(followed.run("failures", "--database", "kg.db", "--json").json) == 1

    done = followed.run("migrate", "discard", "--database", "kg.db", "--json")
    assert done.json["classes"] == 1
    assert_sound(followed.folder / "kg.db")
    lived = followed.dump_bytes()
    assert "legacy" not in lived
    followed.once(repo.path, database="fresh.db", expect=3)
    assert lived == followed.dump_bytes("fresh.db")
    again = followed.run("migrate", "discard", "--database", "kg.db")
    assert (again.code, "nothing of an older VisionFlow" in again.err) == (2, True)


def test_what_the_files_say_comes_back_in_the_old_shape(followed: Daemon, repo: Repo) -> None:
    followed.once(repo.path, expect=3)
    done = followed.run("migrate", "down", "--database", "kg.db", "--json")
    assert done.code == 0, done.err
    assert done.json["tables"]["owl_classes"] == {"as before": 1, "changed": 1}
    classes = followed.query("SELECT iri, label, description, source_file FROM owl_classes ORDER BY iri")
    assert classes == [("urn:t:a", "A", "What A is.", "A.md"), ("urn:t:x", "old X", None, None)]
    parents = followed.query("SELECT class_iri, parent_iri FROM owl_class_hierarchy ORDER BY 1")
    assert parents == [("urn:t:a", "urn:t:b"), ("urn:t:x", "urn:t:y")]
    assert followed.query("SELECT axiom_type, subject, object FROM owl_axioms") == [
        ("SubClassOf", "urn:t:a", "urn:t:b")
    ]
    refused = followed.run("--once", "--source", repo.path, "--database", "kg.db")
    assert (refused.code, "migrate up" in refused.err) == (6, True)
    assert followed.run("migrate", "up", "--database", "kg.db").code == 0


def test_verify_finds_and_mends_what_was_not_let_go(followed: Daemon, repo: Repo) -> None:
    before = followed.folder / "before.db"
    with closing(sqlite3.connect(followed.folder / "kg.db")) as source, closing(sqlite3.connect(before)) as copy:
        source.backup(copy)
    followed.once(repo.path, expect=3)
    lived = followed.dump_bytes()
    with closing(sqlite3.connect(followed.folder / "kg.db")) as connection:
        connection.execute("ATTACH ? AS before", (str(before),))
        connection.execute("INSERT INTO class_facts SELECT * FROM before.class_facts WHERE class_iri = 'urn:t:a'")
        connection.execute("INSERT INTO owl_axioms SELECT * FROM before.owl_axioms WHERE subject = 'urn:t:a'")
        connection.commit()
    found = followed.run("verify", "--source", repo.path, "--database", "kg.db")
    assert found.code == 3
    assert "legacy_class_fact unexpected: urn:t:a" in found.out
    assert followed.run("verify", "--source", repo.path, "--database", "kg.db", "--repair").out.endswith("mended\n")
    assert followed.dump_bytes() == lived


def test_a_file_named_legacy_is_a_file_like_any_other(followed: Daemon, repo: Repo) -> None:
    repo.commit({"legacy:": outline_page("Page", "is-subclass-of:: [[A]]", prefix="t")})
    arguments = ("--include", "*", "--prefix", "t=urn:t:")
    followed.once(repo.path, *arguments, expect=3)
    dumped = followed.dump()
    assert ["legacy:"] in [row[:1] for row in rows_of(dumped, "file")]
    assert [row[0] for row in rows_of(dumped, "legacy_class_fact")] == ["urn:t:x"]
    assert followed.run("verify", "--source", repo.path, "--database", "kg.db", *arguments).code == 0
    repo.commit({"legacy:": None})
    followed.once(repo.path, *arguments, expect=3)
    assert [row[0] for row in rows_of(followed.dump(), "legacy_class_fact")] == ["urn:t:x"]


@pytest.mark.corpus
def test_of_the_real_pages_nothing_is_left(tmp_path: Path, daemon: Daemon) -> None:
    """A database of shape A, filled from the real pages, is that of a fresh sync once they are synced into it."""
    repository = corpus("narrativegoldmine-974", tmp_path)
    daemon.once(repository, *NARRATIVE, database="fresh.db")
    fresh = daemon.dump_bytes("fresh.db")
    fill_shape_a(daemon.folder / "kg.db", fresh)
    migrated = daemon.run("migrate", "up", "--database", "kg.db", "--json", timeout=300)
    assert migrated.code == 0, migrated.err
    assert migrated.json["quarantine"] == {}
    assert daemon.dump_bytes() != fresh
    daemon.once(repository, *NARRATIVE)
    assert daemon.dump_bytes() == fresh
    assert daemon.run("migrate", "status", "--database", "kg.db", "--json").json["remainders"] == {}


def fill_shape_a(path: Path, dumped: str) -> None:
    """Write what an old program would know of the same pages."""
    lines = [json.loads(line) for line in dumped.splitlines()]
    with closing(sqlite3.connect(path)) as old:
        for table in (CLASSES_A, HIERARCHY, PROPERTIES_A, AXIOMS):
            old.execute(table)
        old.executemany(
            "INSERT INTO owl_classes (iri, label, description, source_file, properties) VALUES (?, ?, ?, ?, ?)",
            [(row[1], row[3], row[4], row[8], row[7]) for row in lines if row[0] == "class" and row[2]],
        )
        old.executemany(
            "INSERT INTO owl_class_hierarchy VALUES (?, ?)", [row[1:] for row in lines if row[0] == "class_parent"]
        )
        old.executemany(
            "INSERT INTO owl_properties (iri, property_type) VALUES (?, ?)",
            [(row[1], row[3].removesuffix("Property").lower()) for row in lines if row[0] == "property"],
        )
        old.executemany("INSERT INTO owl_axioms (axiom_type, subject, object) VALUES (?, ?, ?)", axioms_of(lines))
        old.commit()


def axioms_of(lines: list[list[Any]]) -> Iterator[tuple[str, str, str]]:
    seen = set()
    for row in lines:
        if row[0] == "axiom" and (key := (row[2], row[3], row[5])) not in seen:
            seen.add(key)
            yield key
