"""The verbs: what each answers, as text and as JSON, and that nothing they print controls a terminal."""

from __future__ import annotations

import json
import re

import pytest

from tests import engines
from tests.support import PROJECT, Daemon, Repo, class_page, outline_page

A, B = "urn:t:a", "urn:t:b"
SKY = ("--config", str(PROJECT / "config.example.toml"))
MADE = ["migration applied"] * len(engines.made())
BROKEN = '# Broken\n\n```json-ld\n{"@type": "Class",\n "@id": oops}\n```\n'
HALF = outline_page("Half", axioms="Declaration(Class(mv:Half))\nSubClassOf(mv:Half zz:Unknown)")
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"


@pytest.fixture
def filled(repo: Repo, daemon: Daemon) -> Daemon:
    """A database with two good pages, one that is half good, one that broke later, and one that never was good."""
    repo.commit({"A.md": class_page(A, "A"), "B.md": class_page(B, "B"), "half.md": HALF, "note.md": "- a note\n"})
    daemon.once(repo.path)
    repo.commit({"B.md": BROKEN, "new.md": BROKEN})
    daemon.once(repo.path, expect=3)
    return daemon


def test_status_says_how_far_an_ontology_is_and_what_it_holds(filled: Daemon, repo: Repo) -> None:
    ran = filled.run("status", "--database", "kg.db")
    rows = {line[:17].strip(): line[17:].strip() for line in ran.out.splitlines() if line[:1] != " "}
    assert (ran.code, ran.err) == (0, "")
    assert rows["source"] == str(repo.path)
    assert rows["commit"] == repo.tip()
    assert rows["files"] == "5, 1 of them without an ontology"
    assert rows["ledger"] == "2 failed files"
    assert rows["classes"] == "3, and 0 named as parents only"
    assert re.fullmatch(TIME, rows["last checked"])


def test_status_as_json(filled: Daemon, repo: Repo) -> None:
    (found,) = filled.run("status", "--database", "kg.db", "--json").json
    run = found.pop("last_run")
    assert re.fullmatch(TIME, found.pop("last_checked"))
    breakers = {each["guards"]: each["state"] for each in found.pop("breakers")}
    assert breakers == dict.fromkeys(("files", "database", "remote"), "closed")
    assert found == {
        "ontology_id": "default",
        "name": None,
        "is_configured": None,
        "is_held": True,
        "source": str(repo.path),
        "branch": "main",
        "commit": repo.tip(),
        "overlay": None,
        "rollout_percent": 100.0,
        "is_whole": True,
        "is_forgotten": False,
        "holds": {
            "files": 5,
            "skipped": 1,
            "failed": 2,
            "warnings": 1,
            "classes": 3,
            "undeclared_classes": 0,
            "parents": 0,
            "properties": 0,
            "axioms": found["holds"]["axioms"],
            "declared_twice": 0,
        },
        "legacy": {"classes": 0, "properties": 0, "axioms": 0},
        "lease": None,
        "daemons": [] if engines.IS_SERVER else None,
    }
    assert (run["status"], run["plan"], run["planned"], run["failed"], run["error"]) == ("finished", "diff", 2, 2, None)


def test_status_of_a_database_without_a_pass_says_so(daemon: Daemon) -> None:
    assert daemon.run("migrate", "--database", "kg.db").code == 0
    assert daemon.run("status", "--database", "kg.db").out == "no ontology yet: no pass has run\n"
    assert daemon.run("status", "--database", "kg.db", "--json").json == []


@pytest.mark.parametrize("verb", ["status", "failures", "dump"])
def test_a_verb_without_a_database_says_how_to_get_one(daemon: Daemon, verb: str) -> None:
    ran = daemon.run(verb, "--database", "kg.db")
    assert (ran.code, ran.out) == (6, "")
    name = engines.known_as(daemon.folder / "kg.db")
    if engines.IS_SERVER:
        lacking = engines.made()[0]
        told = f"{name} lacks migration {lacking.version} ({lacking.name}): run `visionflow-daemon migrate`, or a pass"
    else:
        told = f"there is no database at {name}: a first `visionflow-daemon --once`"
    assert told in ran.err
    assert engines.tables(daemon.folder / "kg.db") == set()


def test_failures_name_file_line_and_reason(filled: Daemon) -> None:
    ran = filled.run("failures", "--database", "kg.db")
    first, second = ran.out.splitlines()
    assert first.startswith("B.md:5: bad JSON: ")
    assert first.endswith(" (its last good facts are kept)")
    assert second.startswith("new.md:5: bad JSON: ")
    assert not second.endswith("kept)")
    third = filled.run("failures", "--database", "kg.db", "--warnings").out.splitlines()[2]
    assert re.fullmatch(r"half\.md:\d+: warning: left out, undeclared prefix 'zz:'.*", third)


def test_failures_as_json(filled: Daemon) -> None:
    answer = filled.run("failures", "--database", "kg.db", "--json").json
    assert set(answer) == {"failures"}
    told = [(each["path"], each["line"], each["failure_class"], each["is_stale"]) for each in answer["failures"]]
    assert told == [("B.md", 5, "page", True), ("new.md", 5, "page", False)]
    answer = filled.run("failures", "--database", "kg.db", "--json", "--warnings").json
    assert [each["path"] for each in answer["warnings"]] == ["half.md"]


@pytest.mark.parametrize(
    ("page", "form", "line"),
    [
        ("pages/Telescope.md", "jsonld-page", "class  https://example.org/sky#Telescope  Telescope"),
        ("pages/Mirror.md", "ontology-block", "class  https://example.org/sky#Mirror  Mirror"),
        ("pages/Adaptive Optics.md", "iri-first", "class  https://example.org/sky#AdaptiveOptics  Adaptive Optics"),
        ("pages/Properties of the Sky.md", "owl-text", "property  https://example.org/sky#hasPart  ObjectProperty"),
        ("pages/Ideas.md", "plain", "skipped  a page without an ontology"),
        ("pages/Reading List.md", "note", "skipped  a public note without an ontology"),
        ("rdf/bodies.ttl", "rdf-ttl", "class  https://example.org/sky#Planet  planet"),
    ],
)
def test_parse_says_what_a_page_of_each_format_yields(daemon: Daemon, page: str, form: str, line: str) -> None:
    path = PROJECT / "examples" / page
    ran = daemon.run("parse", *SKY, path)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[0] == f"format  {form}"
    assert line in ran.out.splitlines()
    answer = daemon.run("parse", *SKY, "--json", path).json
    assert answer["format"] == form
    assert ran.out.count("\nclass  ") == len(answer["classes"])
    piped = daemon.run("parse", *SKY, "--json", "--path", path.name, "-", stdin=path.read_bytes())
    assert piped.json == answer


def test_parse_says_why_a_page_yields_nothing(daemon: Daemon) -> None:
    (daemon.folder / "broken.md").write_text(BROKEN)
    ran = daemon.run("parse", "broken.md")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith("broken.md:5: bad JSON: ")
    ran = daemon.run("parse", "broken.md", "--json")
    assert (ran.code, ran.json["line"], ran.json["error"][:10]) == (3, 5, "bad JSON: ")


def test_dumps_of_databases_made_in_different_ways_are_equal_and_tell_no_times_and_no_ids(
    repo: Repo, daemon: Daemon
) -> None:
    repo.commit({"A.md": class_page(A, "A", subClassOf={"@id": B}), "gone.md": class_page("urn:t:g", "G")})
    daemon.once(repo.path)
    repo.commit({"gone.md": None, "B.md": class_page(B, "B")})
    daemon.once(repo.path, "--workers", "1")
    daemon.once(repo.path, "--workers", "8", "--ontology-id", "other", database="fresh.db")
    lived = daemon.dump_bytes()
    assert lived == daemon.dump_bytes("fresh.db", "--ontology-id", "other")
    kinds = [json.loads(line)[0] for line in lived.splitlines()]
    assert {"file", "class_fact", "axiom", "class", "class_parent"} <= set(kinds)
    assert not re.search(r"20\d\d-\d\d-\d\d", lived)
    ((run_id,),) = daemon.query("SELECT run_id FROM sync_runs", "fresh.db")
    assert run_id not in lived
    ids = {value for (value,) in daemon.query("SELECT id FROM owl_axioms")}
    axioms = [json.loads(line) for line in lived.splitlines() if line.startswith('["axiom"')]
    assert axioms
    assert not ids & {value for row in axioms for value in row if not isinstance(value, bool) and value not in (0, 1)}


def test_migrate_makes_the_schema_once(daemon: Daemon) -> None:
    path = daemon.folder / "kg.db"
    name = engines.known_as(path)
    versions = [each.version for each in engines.made()]
    applied = "".join(f"applied {each.version:04} {each.name}\n" for each in engines.made())
    ran = daemon.run("migrate", "--database", "kg.db")
    assert (ran.code, ran.out) == (0, f"{applied}{name} has schema version {versions[-1]}\n")
    before = engines.state(path)
    assert daemon.run("migrate", "--database", "kg.db").out == f"{name} has schema version {versions[-1]}\n"
    assert daemon.run("migrate", "--database", "kg.db", "--json").json == {"applied": [], "version": versions[-1]}
    assert engines.state(path) == before
    assert daemon.run("migrate", "--database", "x.db", "--json").json == {"applied": versions, "version": versions[-1]}


def test_check_config_prints_what_is_in_force(daemon: Daemon) -> None:
    (daemon.folder / "x.toml").write_text('[[sources]]\nlocation = "notes"\nbranch = "draft"\n[sync]\nworkers = 3\n')
    ran = daemon.run("check-config", "--config", "x.toml", "--database", "y.db")
    assert ran.code == 0
    assert ran.out.splitlines() == [
        f"the configuration is good: 1 source(s), database {daemon.database('y.db')}",
        "ontology  location  branch",
        "default   notes     draft",
    ]
    answer = daemon.run("check-config", "--config", "x.toml", "--json").json
    assert (answer["sources"][0]["branch"], answer["workers"], answer["sync"]["queue"]) == ("draft", 3, 32)


def test_check_config_prints_what_is_in_force_for_each_source(daemon: Daemon) -> None:
    (daemon.folder / "x.toml").write_text(
        '[[sources]]\nlocation = "a"\nontology_id = "a"\n'
        '[[sources]]\nlocation = "b"\nontology_id = "b"\nname = "bee"\ninterval = 5.0\nnot_relations = ["Of"]\n'
        'prefixes = { sky = "urn:b:" }\nlimits = { depth = 20 }\n'
        '[reading.prefixes]\nsky = "urn:all:"\n[reading.limits]\ndepth = 30\npage_bytes = 9\n'
    )
    ran = daemon.run("check-config", "--config", "x.toml")
    assert ran.out.splitlines()[1:] == [
        "name  ontology  location  branch",
        "a     a         a         (HEAD's)",
        "bee   b         b         (HEAD's)",
    ]
    first, second = daemon.run("check-config", "--config", "x.toml", "--json").json["sources"]
    assert (first["name"], first["interval"], second["name"], second["interval"]) == ("a", 60.0, "bee", 5.0)
    assert (first["prefixes"]["sky"], second["prefixes"]["sky"]) == ("urn:all:", "urn:b:")
    assert first["prefixes"].keys() == second["prefixes"].keys() > {"owl", "sky"}
    assert (first["not_relations"][0], second["not_relations"]) == ("import-date", ["of"])
    assert [(each["limits"]["depth"], each["limits"]["page_bytes"]) for each in (first, second)] == [(30, 9), (20, 9)]


def test_log_lines_are_json_or_columns_as_asked(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": class_page(A, "A")})
    lines = daemon.once(repo.path, "--log-format", "json", database="a.db").out.splitlines()
    assert [json.loads(line)["event"] for line in lines] == [*MADE, "pass started", "pass finished"]
    console = daemon.once(repo.path, "--log-format", "console", database="b.db").out
    assert re.search(r"^\S+ \[info +\] pass finished .*saved=1", console, re.MULTILINE)
    assert "\x1b" not in console
