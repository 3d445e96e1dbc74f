"""Two databases of any shape, compared: exactly what differs is told, however both are written."""

from __future__ import annotations

import json
import shutil
import sqlite3
import threading
from collections.abc import Mapping
from contextlib import closing
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.legacy.builders import SHAPES as OLD_SHAPES
from tests.legacy.builders import Builder
from tests.storage.said import NAMESPACE, OURS, PREFIXES, SHAPES, Said, differences, write
from visionflow_daemon.errors import ConfigError, DatabaseError
from visionflow_daemon.model import DEFAULT_PREFIXES
from visionflow_daemon.storage.legacy.migration import Rules as Adopting
from visionflow_daemon.storage.legacy.migration import adopt_database
from visionflow_daemon.storage.parallel.contrast import Contrast, Count
from visionflow_daemon.storage.parallel.run import Place, Rules, Seen, compared
from visionflow_daemon.storage.parallel.scope import KINDS, kinds_of
from visionflow_daemon.storage.remake import Place as Adopted

pytestmark = pytest.mark.sqlite

ALL = kinds_of((), ())
A, B, C = (f"{NAMESPACE}{name}" for name in "ABC")
P = f"{NAMESPACE}p"


class Told:
    """What a comparison told."""

    def __init__(self, old: Path, new: Path, rules: Rules, ontologies: tuple[str | None, str | None]) -> None:
        places = (
            Place(str(path), ontology_id, option)
            for path, ontology_id, option in zip(
                (old, new), ontologies, ("--old-ontology-id", "--new-ontology-id"), strict=True
            )
        )
        with compared(*places, rules, Path.cwd()) as comparison:
            self.contrasts: list[Contrast] = list(comparison.differences)
            self.counts: dict[str, Count] = dict(comparison.counts)
            self.old: Seen = comparison.old
            self.new: Seen = comparison.new
            self.left_out = comparison.left_out

    @property
    def found(self) -> set[tuple[str, str | None, tuple[str, ...], str]]:
        """The differences, each as kind, of what, key, and how it differs."""
        found = {(each.kind, each.of, tuple(each.key.values()), each.what) for each in self.contrasts}
        assert len(found) == len(self.contrasts)
        return found


def tell(
    old: Path,
    new: Path,
    *,
    kinds: frozenset[str] = ALL,
    is_exact: bool = False,
    with_annotations: bool = False,
    ontologies: tuple[str | None, str | None] = (None, None),
    prefixes: Mapping[str, str] = PREFIXES,
) -> Told:
    """Compare two databases."""
    rules = Rules(kinds, prefixes, is_exact, with_annotations)
    return Told(old, new, rules, ontologies)


NAMES = st.sampled_from([f"{NAMESPACE}{name}" for name in "ABCDEé"])
TEXTS = st.sampled_from([None, "A label", "another", "naïve ☃", "a\nline"])
SOME = st.sets(NAMES, max_size=3).map(lambda names: tuple(sorted(names)))
KIND = st.sampled_from(["ObjectProperty", "DataProperty", "AnnotationProperty"])
CLASSES = st.dictionaries(NAMES, st.tuples(TEXTS, TEXTS), max_size=6)
PROPERTIES = st.dictionaries(NAMES.map(lambda name: f"{name}p"), st.tuples(KIND, TEXTS, SOME, SOME), max_size=3)
PAIRS = st.sets(st.tuples(NAMES, NAMES), max_size=5)
AXIOMS = st.sets(st.tuples(st.sampled_from(["DisjointWith", "EquivalentClass"]), NAMES, NAMES), max_size=5)


@st.composite
def sayings(draw: st.DrawFn) -> tuple[Said, Said]:
    """Give what one database says, and what is left of that and came to it after some edits."""
    old = Said(draw(CLASSES), draw(PAIRS), draw(PROPERTIES), draw(AXIOMS))
    new = deepcopy(old)
    for iri in draw(st.sets(NAMES, max_size=3)):
        said = draw(st.one_of(st.none(), st.tuples(TEXTS, TEXTS)))
        _ = new.classes.pop(iri, None) if said is None else new.classes.update({iri: said})
    for iri, said in draw(PROPERTIES).items():
        new.properties[iri] = said
    new.parents ^= draw(PAIRS)
    new.axioms ^= draw(AXIOMS)
    return old, new


def as_in_b(said: Said) -> None:
    """Leave what a column can hold: one parent of each class that has a row."""
    said.parents = {pair for pair in dict(sorted(said.parents)).items() if pair[0] in said.classes}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    said=sayings(),
    shapes=st.tuples(st.sampled_from(SHAPES), st.sampled_from(SHAPES)),
    seeds=st.tuples(st.integers(0, 99), st.integers(0, 99)),
)
def test_exactly_the_edits_are_told_whatever_the_shapes_and_spellings(
    said: tuple[Said, Said], shapes: tuple[str, str], seeds: tuple[int, int]
) -> None:
    old, new = said
    if "B" in shapes:
        as_in_b(old)
        as_in_b(new)
    assume(all(each != Said() for shape, each in zip(shapes, said, strict=True) if shape == OURS))  # no ontology then
    with TemporaryDirectory() as folder:
        paths = [
            write(Path(folder, f"{at}.db"), shape, each, seed)
            for at, (shape, each, seed) in enumerate(zip(shapes, said, seeds, strict=True))
        ]
        told = tell(*paths)
    due = differences(old, new, shapes)
    if shapes == (OURS, OURS):  # both can say of which property an axiom is
        due = {(kind, of, (*key, "") if kind == "axiom" else key, what) for kind, of, key, what in due}
    # A class that is named as a parent has a row in ours: one that the other side declares is no difference then.
    for at, (shape, mine, other) in enumerate(zip(shapes, (old, new), (new, old), strict=True)):
        named = {iri for pair in mine.parents for iri in pair} - set(mine.classes) if shape == OURS else set()
        due -= {("class", None, (iri,), "extra" if at == 0 else "missing") for iri in named & set(other.classes)}
    assert told.found == due
    assert sum(count.missing + count.extra + count.different for count in told.counts.values()) == len(due)
    for count in told.counts.values():
        assert count.old == count.equal + count.different + count.missing
        assert count.new == count.equal + count.different + count.extra


@pytest.mark.parametrize("shape", SHAPES)
def test_both_values_are_told(tmp_path: Path, shape: str) -> None:
    old = Said({A: ("A", None), B: ("B", "text")}, {(A, B)}, {P: ("ObjectProperty", "p", (A,), ())})
    new = Said({A: ("Ä", None), C: ("C", None)}, {(A, B)}, {P: ("DataProperty", "p", (A,), (B,))})
    told = tell(write(tmp_path / "old.db", shape, old, 1), write(tmp_path / "new.db", shape, new, 2))
    by = {(each.kind, *each.key.values()): each for each in told.contrasts}
    assert (by["label", A].old, by["label", A].new) == ({"label": "A"}, {"label": "Ä"})
    assert (by["comment", B].old, by["comment", B].new) == ({"comment": "text"}, None)
    assert by["class", C].what == "extra"
    assert by["property", P].old == {"type": "ObjectProperty", "range": None}
    assert by["property", P].new == {"type": "DataProperty", "range": B}


def test_what_was_taken_as_equal_is_counted_and_is_different_where_all_is_to_be_exact(tmp_path: Path) -> None:
    said = Said({A: ("A", None), B: (None, None)}, {(A, B)}, {P: ("ObjectProperty", None, (A, B), ())})
    plain = write(tmp_path / "plain.db", "A", said)
    spelt = write(tmp_path / "spelt.db", "A", Said())
    with closing(sqlite3.connect(spelt)) as database:
        database.execute(
            "INSERT INTO owl_classes (iri, label, description) VALUES ('ex:A', 'A', ''), (?, '', NULL)", (f" {B} ",)
        )
        database.execute("INSERT INTO owl_class_hierarchy VALUES ('ex:A', ?)", (f"<{B}>",))
        listed = json.dumps(["ex:B", "ex:A"])
        database.execute("INSERT INTO owl_properties (iri, property_type, domain) VALUES (?, 'object', ?)", (P, listed))
        database.commit()
    told = tell(plain, spelt)
    assert told.contrasts == []
    assert told.new.norms == {
        "names with blanks or <> around them": 2,
        "prefixed names, compared in full": 2,
        "empty texts, compared as none": 2,
        "kinds of properties, compared by OWL's names": 1,
        "domains, ranges and characteristics, compared in one order and spelling": 1,
    }
    assert tell(plain, plain, is_exact=True).contrasts == []
    exact = tell(plain, spelt, is_exact=True)
    assert ("class", None, ("ex:A",), "extra") in exact.found
    assert ("property", None, (P,), "different") in exact.found
    assert exact.counts["class"].equal == 0


def test_a_parent_without_a_row_is_no_class_that_is_extra_and_an_axiom_for_it_none_either(tmp_path: Path) -> None:
    said = Said({A: ("A", None)}, {(A, B)})
    told = tell(write(tmp_path / "old.db", "A", said), write(tmp_path / "new.db", OURS, said))
    assert told.contrasts == []
    assert told.new.norms == {
        "classes and properties that are named but not declared, and that the other side does not hold": 1,
        "axioms that say no more than a parent, and that the other side does not state": 1,
    }
    exact = tell(tmp_path / "old.db", tmp_path / "new.db", is_exact=True)
    assert exact.found == {("class", None, (B,), "extra"), ("axiom", None, ("SubClassOf", A, B, ""), "extra")}


def test_an_axiom_that_says_a_parent_without_a_row_for_it_is_a_parent_that_is_missing(tmp_path: Path) -> None:
    broken = Said({A: ("A", None), B: ("B", None)}, set(), {}, {("SubClassOf", A, B)})
    whole = Said({A: ("A", None), B: ("B", None)}, {(A, B)})
    told = tell(write(tmp_path / "old.db", "A", broken), write(tmp_path / "new.db", OURS, whole))
    assert told.found == {("parent", None, (A, B), "extra")}


def test_of_two_rows_of_one_name_the_one_that_writes_it_in_full_counts(tmp_path: Path) -> None:
    old = write(tmp_path / "old.db", "A", Said())
    with closing(sqlite3.connect(old)) as database:
        rows = [("ex:A", "another"), (A, "A"), ("ex:B", "B"), (B, "B")]
        database.executemany("INSERT INTO owl_classes (iri, label) VALUES (?, ?)", rows)
        database.commit()
    told = tell(old, write(tmp_path / "new.db", "A", Said({A: ("A", None), B: ("B", None)})))
    assert told.contrasts == []
    assert told.old.norms["rows that name what another row names, and say otherwise of it: left out"] == 1
    assert told.old.norms["rows that say again what another row says, counted once"] == 1


def test_what_one_side_has_no_place_for_is_not_compared_and_that_is_said(tmp_path: Path) -> None:
    said = Said({A: ("A", None)}, set(), {P: ("ObjectProperty", None, (), ())}, {("DisjointWith", A, B)})
    told = tell(write(tmp_path / "old.db", "B", said), write(tmp_path / "new.db", "A", said))
    assert told.contrasts == []
    assert "axiom" not in told.counts
    assert set(told.left_out) >= {"axiom: OLD has no owl_axioms", "inferred: OLD has no owl_axioms"}
    with pytest.raises(DatabaseError, match="nothing that both hold"):
        tell(tmp_path / "old.db", tmp_path / "new.db", kinds=frozenset({"axiom"}))


def test_what_a_reasoner_inferred_is_a_kind_of_its_own(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{at}.db", "A", Said({A: ("A", None)})) for at in range(2)]
    with closing(sqlite3.connect(paths[0])) as database:
        database.execute(
            "INSERT INTO owl_axioms (axiom_type, subject, object, is_inferred) VALUES ('SubClassOf', 'ex:A', 'ex:B', 1)"
        )
        database.commit()
    assert tell(*paths).found == {("inferred", None, ("SubClassOf", A, B), "missing")}
    assert tell(*paths, kinds=kinds_of((), ("inferred",))).contrasts == []


def test_annotations_count_on_demand_and_in_any_order(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{at}.db", "A", Said({A: ("A", None)})) for at in range(3)]
    for path, written in zip(paths, ('{"a": 1, "b": 2}', '{"b":2,"a":1}', "{}"), strict=True):
        with closing(sqlite3.connect(path)) as database:
            database.execute(
                "INSERT INTO owl_axioms (axiom_type, subject, object, annotations)"
                " VALUES ('DisjointWith', 'ex:A', 'ex:B', ?)",
                (written,),
            )
            database.commit()
    assert tell(paths[0], paths[2]).contrasts == []
    assert tell(paths[0], paths[1], with_annotations=True).contrasts == []
    assert {each.what for each in tell(paths[0], paths[2], with_annotations=True).contrasts} == {"missing", "extra"}


def test_the_kinds_are_chosen(tmp_path: Path) -> None:
    old = write(tmp_path / "old.db", "A", Said({A: ("A", "a"), B: ("B", "b")}, {(A, B)}))
    new = write(tmp_path / "new.db", "A", Said({A: ("Ä", "ä")}))
    assert {each.kind for each in tell(old, new, kinds=kinds_of(("class", "parent"), ())).contrasts} == {
        "class",
        "parent",
    }
    assert {each.kind for each in tell(old, new, kinds=kinds_of((), ("comment",))).contrasts} == {
        "class",
        "label",
        "parent",
    }
    assert tell(old, new, kinds=kinds_of(("label",), ())).found == {
        ("label", "class", (A,), "different"),
        ("label", "class", (B,), "missing"),
    }
    with pytest.raises(ConfigError, match="no kind 'colour'"):
        kinds_of(("colour",), ())
    with pytest.raises(ConfigError, match="nothing to compare"):
        kinds_of(("class",), KINDS)


def test_of_several_ontologies_the_named_one_is_compared_with_rows_that_name_none(tmp_path: Path) -> None:
    old = write(tmp_path / "old.db", "C", Said({A: ("A", None)}, {(A, B), (C, B)}), ontology_id="one")
    with closing(sqlite3.connect(old)) as database:
        database.execute("INSERT INTO owl_classes (ontology_id, class_iri, label) VALUES ('two', ?, 'C')", (C,))
        database.commit()
    one = write(tmp_path / "one.db", "A", Said({A: ("A", None)}, {(A, B)}))
    two = write(tmp_path / "two.db", OURS, Said({C: ("C", None)}, {(C, B)}), ontology_id="zwei")
    assert tell(old, one, ontologies=("one", None)).contrasts == []
    assert tell(old, two, ontologies=("two", "zwei")).contrasts == []
    with closing(sqlite3.connect(old)) as database:
        database.execute("INSERT INTO owl_axioms (axiom_type, subject, object) VALUES ('DisjointWith', ?, ?)", (C, A))
        database.commit()
    due = {("axiom", None, ("DisjointWith", C, A), "missing")}
    assert tell(old, two, ontologies=("two", "zwei")).found == due
    assert tell(old, two, ontologies=("two", "zwei"), kinds=frozenset({"axiom"})).found == due
    with pytest.raises(ConfigError, match=r"say which with --old-ontology-id \('default', 'one', 'two'\)"):
        tell(old, one)
    with pytest.raises(ConfigError, match="--new-ontology-id: there is no ontology 'three'"):
        tell(old, two, ontologies=("one", "three"))


def test_a_file_of_another_program_is_refused(tmp_path: Path) -> None:
    good = write(tmp_path / "good.db", "A", Said({A: ("A", None)}))
    other = tmp_path / "other.db"
    with closing(sqlite3.connect(other)) as database:
        database.execute("CREATE TABLE users (name TEXT)")
    with pytest.raises(DatabaseError, match="holds nothing of VisionFlow"):
        tell(good, other)


def test_texts_that_are_no_text_are_compared(tmp_path: Path) -> None:
    paths = [write(tmp_path / f"{at}.db", "A", Said()) for at in range(2)]
    for path, label in zip(paths, (b"caf\xe9", b"caf\xe8"), strict=True):
        with closing(sqlite3.connect(path)) as database:
            database.execute("INSERT INTO owl_classes (iri, label) VALUES (7, CAST(? AS TEXT)), (?, 5)", (label, label))
            database.execute("INSERT INTO owl_classes (iri, label) VALUES (NULL, 'x'), ('  ', 'y')")
            database.commit()
    told = tell(*paths)
    assert ("label", "class", ("7",), "different") in told.found
    assert told.old.norms["rows that lack a name, left out"] == 2


def test_each_side_is_one_moment_and_is_not_written_while_another_program_writes(tmp_path: Path) -> None:
    """The writer moves every label in one transaction: a comparison that saw two moments would see two labels."""
    old = write(tmp_path / "old.db", "A", Said({f"{NAMESPACE}{n}": ("0", None) for n in range(3_000)}))
    with closing(sqlite3.connect(old)) as database:
        database.execute("PRAGMA journal_mode = WAL")
    stop, started = threading.Event(), threading.Event()

    def keep_writing() -> None:
        with closing(sqlite3.connect(old, isolation_level=None, timeout=30)) as database:
            for round_ in range(1, 10_000):
                database.execute("BEGIN IMMEDIATE")
                database.execute("UPDATE owl_classes SET label = ?", (str(round_),))
                database.execute("INSERT INTO owl_class_hierarchy VALUES (?, ?)", (str(round_), str(round_)))
                database.execute("COMMIT")
                started.set()
                if stop.is_set():
                    return

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        assert started.wait(30)
        new = write(tmp_path / "new.db", "A", Said())
        for _ in range(3):
            told = tell(old, new)
            (label,) = {each.old["label"] for each in told.contrasts if each.kind == "label" and each.old}
            assert told.counts["label"].old == 3_000
            assert told.counts["parent"].old == int(label)
    finally:
        stop.set()
        writer.join()


@pytest.mark.parametrize("shape", OLD_SHAPES)
def test_an_adopted_database_says_what_the_old_one_said_with_all_its_defects(tmp_path: Path, shape: str) -> None:
    old, new = Builder(tmp_path / "old.db", shape, 300).build(), tmp_path / "new.db"
    shutil.copyfile(old, new)
    adopt_database(Adopted(str(new), tmp_path), Adopting(DEFAULT_PREFIXES, "default"))
    with closing(sqlite3.connect(new)) as database:
        held = [name for (name,) in database.execute("SELECT ontology_id FROM source_files WHERE file_id = 0")]
    told = [
        tell(old, new, ontologies=(name if len(held) > 1 else None, name), prefixes=DEFAULT_PREFIXES) for name in held
    ]
    assert sum(each.counts["class"].equal for each in told) >= 300
    assert sum(each.counts["parent"].equal for each in told) > 100
    assert [each for one in told for each in one.contrasts] == []
