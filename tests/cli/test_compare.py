"""`compare`: what the verb prints, as text, as JSON and as JSON lines, and the codes it leaves with."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

from tests.cli.terminal import on_a_terminal
from tests.cli.test_harmless import RED, assert_harmless
from tests.storage.said import NAMESPACE, Said, write
from tests.support import Daemon, Repo, class_page

A, B = f"{NAMESPACE}A", f"{NAMESPACE}B"
EX = ("--prefix", f"ex={NAMESPACE}")
TELLING_ITS_PEAK = """
import atexit, sys
from pathlib import Path
from visionflow_daemon.cli.main import main
peak = lambda: next(each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("VmHWM:"))
atexit.register(lambda: print(peak().split()[1], file=sys.stderr))
sys.argv[1:] = {}
main()
"""


@pytest.fixture
def pair(daemon: Daemon) -> Daemon:
    """An old database and a new one: a label differs, a class with its label and its parent is missing."""
    write(daemon.folder / "old.db", "A", Said({A: ("A", "text"), B: ("B", None)}, {(A, B)}), seed=3)
    write(daemon.folder / "new.db", "D", Said({A: ("Ä", "text")}), seed=4)
    return daemon


def test_differences_come_first_then_the_counts_and_what_each_side_is(pair: Daemon) -> None:
    ran = pair.run("compare", "old.db", f"sqlite:///{pair.folder / 'new.db'}", *EX)
    assert (ran.code, ran.err) == (3, "")
    lines = ran.out.splitlines()
    assert lines[:4] == [
        f"different: label of class {A}: label was A, is Ä",
        f"missing: class {B}",
        f"missing: label of class {B}: label B",
        f"missing: parent {A} {B}",
    ]
    rows = {line.split()[0]: line.split()[1:] for line in lines[5:12]}
    assert lines[4].split() == ["old", "new", "equal", "missing", "extra", "different"]
    assert rows["class"] == ["2", "1", "1", "1", "0", "0"]
    assert rows["label"] == ["2", "1", "0", "1", "0", "1"]
    assert rows["comment"] == ["1", "1", "1", "0", "0", "0"]
    assert any(line.startswith("OLD: ") and line.endswith("(older VisionFlow, shape A)") for line in lines)
    assert any(line.startswith("NEW: ") and line.endswith("(older VisionFlow, shape D)") for line in lines)
    assert lines[-1] == "4 differences"


def test_the_first_are_shown_and_all_are_counted(pair: Daemon) -> None:
    ran = pair.run("compare", "old.db", "new.db", "--limit", "1", *EX)
    assert ran.out.splitlines()[1] == "… and 3 more"
    assert pair.run("compare", "old.db", "new.db", "--limit", "0", *EX).out.startswith("… and 4 more\n")


def test_as_json_it_is_one_document(pair: Daemon) -> None:
    ran = pair.run("compare", "old.db", "new.db", "--json", "--limit", "1", "--ignore", "parent,axiom, inferred", *EX)
    assert ran.code == 3
    found = ran.json
    assert (found["is_equal"], found["total"]) == (False, 3)
    assert set(found["kinds"]) == {"class", "label", "comment", "property"}
    assert found["kinds"]["label"] == {"old": 2, "new": 1, "equal": 0, "missing": 1, "extra": 0, "different": 1}
    assert found["old"]["shape"] == "older VisionFlow, shape A"
    assert found["differences"] == [
        {
            "what": "different",
            "kind": "label",
            "of": "class",
            "key": {"iri": A},
            "old": {"label": "A"},
            "new": {"label": "Ä"},
        }
    ]


def test_as_json_lines_all_differences_come_and_a_summary_last(pair: Daemon) -> None:
    ran = pair.run("compare", "old.db", "new.db", "--json-lines", "--limit", "1", *EX)
    *differences, last = map(json.loads, ran.out.splitlines())
    assert [(each["what"], each["kind"]) for each in differences] == [
        ("different", "label"),
        ("missing", "class"),
        ("missing", "label"),
        ("missing", "parent"),
    ]
    assert last["summary"]["total"] == len(differences)


def test_equal_databases_leave_with_zero(pair: Daemon) -> None:
    ran = pair.run("compare", "old.db", "old.db")
    assert ran.code == 0
    assert ran.out.splitlines()[-1] == "no difference"
    assert pair.run("compare", "old.db", "old.db", "--json").json["is_equal"] is True


@pytest.mark.sqlite
def test_two_syncs_of_one_repository_are_equal_and_a_later_commit_is_told(repo: Repo, daemon: Daemon) -> None:
    pages = {"a.md": class_page(A, "A", subClassOf=B), "b.md": class_page(B, "B")}
    repo.commit(pages)
    daemon.once(repo.path)
    daemon.once(repo.path, database="again.db")
    ran = daemon.run("compare", "kg.db", "again.db", "--exact")
    assert (ran.code, ran.err) == (0, "")
    repo.commit({"b.md": None})
    daemon.once(repo.path, "--allow-mass-delete", database="again.db")
    ran = daemon.run("compare", "kg.db", "again.db", "--only", "class,parent", "--json")
    # B is named as a's parent, and has a row still: no class is missing, but where rows are compared as they are.
    assert (ran.code, ran.json["total"]) == (0, 0)
    ran = daemon.run("compare", "kg.db", "again.db", "--only", "label", "--json")
    assert [each["key"] for each in ran.json["differences"]] == [{"iri": B}]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("old.db", "none.db"), 6, "there is no database at"),
        (("old.db",), 2, "Missing argument 'NEW'"),
        (("old.db", "new.db", "--only", "colour"), 2, "there is no kind 'colour'"),
        (("old.db", "new.db", "--json", "--json-lines"), 2, "give one of them"),
        (("old.db", "postgres://x/y"), 2, "a file of SQLite's alone"),
        (("old.db", "text.db"), 6, "is no SQLite database"),
        (("old.db", "new.db", "--prefix", "ex"), 2, "is not NAME=NAMESPACE"),
    ],
)
def test_what_can_not_be_compared_is_said(pair: Daemon, arguments: tuple[str, ...], code: int, says: str) -> None:
    (pair.folder / "text.db").write_text("this is no database, whatever its name says\n")
    ran = pair.run("compare", *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert says in ran.err


@pytest.mark.sqlite
def test_a_schema_newer_than_the_program_is_refused(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"a.md": class_page(A, "A")})
    daemon.once(repo.path)
    with closing(sqlite3.connect(daemon.folder / "kg.db")) as database:
        database.execute("INSERT INTO schema_migrations (version, name) VALUES (9999, 'later')")
        database.commit()
    ran = daemon.run("compare", "kg.db", "kg.db")
    assert ran.code == 6
    assert "install a newer visionflow-daemon" in ran.err


@pytest.mark.parametrize("option", [(), ("--json",), ("--json-lines",)])
def test_hostile_values_are_harmless_on_a_terminal(daemon: Daemon, option: tuple[str, ...]) -> None:
    write(daemon.folder / "old.db", "A", Said({f"{A}{RED}": (f"x\x9b31m{RED}", "\x07")}))
    write(daemon.folder / "new.db", "A", Said())
    code, shown = on_a_terminal(daemon, "compare", "old.db", "new.db", *option)
    assert code == 3
    assert "31m" in shown
    assert_harmless(shown)


@pytest.mark.deep
def test_a_hundred_thousand_classes_take_little_memory(daemon: Daemon) -> None:
    large = {f"{NAMESPACE}{number * 7919 % 100_003}": (f"Label {number}", "text " * 50) for number in range(100_000)}
    parents = {(iri, f"{NAMESPACE}{number // 2}") for number, iri in enumerate(large)}
    axioms = {("DisjointWith", iri, f"{NAMESPACE}{number // 3}") for number, iri in enumerate(large)}
    write(daemon.folder / "old.db", "A", Said(large, parents, {}, axioms), seed=1)
    write(daemon.folder / "new.db", "C", Said({}, parents, {}, axioms), seed=2)
    scratch = daemon.folder / "scratch"
    scratch.mkdir()
    daemon.environment["TMPDIR"] = str(scratch)
    ran = daemon.run_python(TELLING_ITS_PEAK.format(["compare", "old.db", "new.db", "--json-lines", *EX]))
    assert ran.code == 3
    assert ran.out.count("\n") == 300_001
    assert int(ran.err) < 100_000
    assert list(scratch.iterdir()) == []
