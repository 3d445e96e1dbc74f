"""Many sources in one configuration: each read by rules of its own, and acted on by its name."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from tests.support import Daemon, Repo, class_page, outline_page
from visionflow_daemon.config.load import load
from visionflow_daemon.config.values import SourceLimits
from visionflow_daemon.errors import ConfigError
from visionflow_daemon.model import DEFAULT_PREFIXES, Limits

VERBS = (("failures",), ("retry",), ("dump",), ("migrate", "discard"))
"""The verbs about what the database holds of one ontology."""

MARKS = {("migrate", "discard"): pytest.mark.sqlite}


class Two:
    """Two repositories, and one configuration of both: `work`, which is called `w`, and `home`."""

    def __init__(self, folder: Path, daemon: Daemon) -> None:
        self.daemon = daemon
        self.repos = {name: Repo(folder / f"{name}.git") for name in ("work", "home")}
        for name, repo in self.repos.items():
            repo.commit({f"{name}.md": class_page(f"urn:t:{name}", name.title()), "bad.md": _broken(name)})
        self.configure()

    def configure(self, *names: str, work: str = "", home: str = "", extra: str = "") -> None:
        """Write the configuration: of both sources, or of those that are named."""
        keys = {"work": f'name = "w"\n{work}', "home": home}
        text = 'database = "kg.db"\n'
        for name in names or self.repos:
            text += f'[[sources]]\nlocation = "{self.repos[name].path}"\nontology_id = "{name}"\n{keys[name]}\n'
        (self.daemon.folder / "two.toml").write_text(text + extra)

    def run(self, *arguments: str, expect: int = 0) -> str:
        """Run the program with that configuration, and give what it says; mistakes, where it is to fail."""
        ran = self.daemon.run(*arguments, "--config", "two.toml")
        assert ran.code == expect, (ran.code, ran.out, ran.err)
        return ran.err if expect == 2 else ran.out


def _broken(name: str) -> str:
    return f'```json-ld\n{{"@type": "Class", "@id": "no iri of {name}"}}\n```\n'


@pytest.fixture
def two(tmp_path: Path, daemon: Daemon) -> Two:
    return Two(tmp_path, daemon)


def test_what_a_source_says_of_reading_is_laid_over_what_all_say_key_by_key(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(
        '[[sources]]\nlocation = "a"\nontology_id = "a"\nprefixes = { x = "urn:own:", z = "urn:z:" }\n'
        'not_relations = ["Mood"]\nlimits.depth = 20\nlimits.page_bytes = 5\n[[sources]]\nlocation = "b"\n'
        '[reading]\nnot_relations = ["era"]\n[reading.prefixes]\nx = "urn:all:"\ny = "urn:y:"\n'
        "[reading.limits]\ndepth = 30\nrdf_bytes = 7\n"
    )
    config = load(tmp_path / "c.toml", {})
    own, other = map(config.reading_rules, config.sources)
    assert own.prefixes == {**DEFAULT_PREFIXES, "x": "urn:own:", "y": "urn:y:", "z": "urn:z:"}
    assert own.not_relations == {"mood"}
    assert own.limits == Limits(page_bytes=5, rdf_bytes=7, depth=20)
    assert other.prefixes == {**DEFAULT_PREFIXES, "x": "urn:all:", "y": "urn:y:"}
    assert other.not_relations == {"era"}
    assert other.limits == Limits(rdf_bytes=7, depth=30)
    assert config.reading_rules() == other


def test_every_limit_may_be_a_sources_own() -> None:
    assert [each.name for each in dataclasses.fields(SourceLimits)] == [
        each.name for each in dataclasses.fields(Limits)
    ]


def test_the_environment_overrides_what_a_source_says_of_reading(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text('[[sources]]\nlocation = "a"\nlimits.depth = 20\nprefixes.x = "urn:x:"\n')
    environment = {"LIMITS__DEPTH": "30", "LIMITS__PAGE_BYTES": "9", "PREFIXES__Y": "urn:y:", "NOT_RELATIONS": '["m"]'}
    given = {f"VISIONFLOW_SOURCES__0__{name}": value for name, value in environment.items()}
    (source,) = load(tmp_path / "c.toml", given).sources
    assert source.limits == SourceLimits(depth=30, page_bytes=9)
    assert source.prefixes == {"x": "urn:x:", "y": "urn:y:"}
    assert source.not_relations == ("m",)


def test_all_mistakes_about_sources_are_told_at_once_each_with_its_key(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(
        '[[sources]]\nlocation = "a"\nontology_id = "a"\nname = ""\nlimits.depth = 9\nlimits.iri_bytes = 15\n'
        'limits.page_bytes = "big"\nlimits.rdf_bytes = 0\nlimits.statements = 0\nlimits.deep = 1\n'
        '[[sources]]\nlocation = "b"\nontology_id = "b"\nname = "x\\u0007"\n'
        'not_relations = "era"\nprefixes = { p = 1 }\n'
        '[[sources]]\nlocation = "c"\nontology_id = "c"\nname = "a\'s"\n'
        '[[sources]]\nlocation = "d"\nontology_id = "a\'s"\n'
        '[[sources]]\nlocation = "e"\nontology_id = "c"\nname = "e"\n'
    )
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "c.toml", {})
    assert sorted(caught.value.problems) == sorted(
        [
            "sources[0].name: give 1 to 200 printable characters",
            "sources[0].limits.depth: 9 is not between 10 and 250",
            "sources[0].limits.iri_bytes: 15 is not between 16 and 1024",
            "sources[0].limits.page_bytes: a whole number is due, not 'big'",
            "sources[0].limits.rdf_bytes: 0 is not between 1 and 1073741824",
            "sources[0].limits.statements: 0 is not between 1 and 10000000",
            "sources[0].limits: there is no such key: deep",
            "sources[1].name: give 1 to 200 printable characters",
            "sources[1].not_relations: a list of strings is due, not 'era'",
            "sources[1].prefixes['p']: a string is due, not 1",
            'sources[3].name: sources[2] is called "a\'s" already',
            "sources[4].ontology_id: 'c' is fed by sources[2] already; give each source one of its own",
        ]
    )


def test_a_changed_prefix_reads_the_files_of_that_source_anew_and_no_others(two: Two) -> None:
    for name, repo in two.repos.items():
        repo.commit({"bad.md": None, "p.md": outline_page("P", axioms="SubClassOf(mv:P own:Q)"), f"{name}.md": None})
    two.configure(work='prefixes.own = "urn:one:"', home='prefixes.own = "urn:one:"')
    two.run("--once")
    two.configure(work='prefixes.own = "urn:two:"', home='prefixes.own = "urn:one:"')
    ran = two.daemon.run("--once", "--config", "two.toml")
    finished = {event["ontology_id"]: event["event"] for event in ran.events if "saved" in event}
    assert finished == {"work": "pass finished", "home": "nothing to do"}
    parents = two.daemon.query("SELECT ontology_id, parent_iri FROM owl_class_hierarchy ORDER BY 1")
    assert parents == [("home", "urn:one:Q"), ("work", "urn:two:Q")]
    two.run("verify", "--source-name", "w")


def test_a_limit_of_a_source_holds_for_its_files_alone(two: Two) -> None:
    two.configure(work="limits.page_bytes = 20")
    two.run("--once", expect=3)
    failed = two.daemon.query(
        "SELECT ontology_id, display_path FROM source_files WHERE status = 'failed' ORDER BY 1, 2"
    )
    assert failed == [("home", "bad.md"), ("work", "bad.md"), ("work", "work.md")]


def test_a_prefix_of_the_command_line_counts_before_a_sources_own(two: Two) -> None:
    (two.daemon.folder / "p.md").write_text(outline_page("P", axioms="SubClassOf(mv:P own:Q)"))
    two.configure(work='prefixes.own = "urn:own:"', home='prefixes.own = "urn:own:"')
    assert "urn:own:Q" in two.run("parse", "p.md")
    given = two.daemon.run("--prefix", "own=urn:given:", "parse", "p.md", "--config", "two.toml")
    assert "urn:given:Q" in given.out


def test_a_page_is_read_as_the_source_that_is_named_reads_it(two: Two) -> None:
    (two.daemon.folder / "p.md").write_text(outline_page("P", axioms="SubClassOf(mv:P own:Q)"))
    two.configure(work='prefixes.own = "urn:work:"', home='prefixes.own = "urn:home:"')
    assert "urn:work:Q" in two.run("parse", "p.md", "--source-name", "w")
    assert "urn:home:Q" in two.run("parse", "p.md", "--ontology-id", "home")
    message = "several sources are configured: say which with --source-name: they are read differently"
    assert two.run("parse", "p.md", expect=2) == f"visionflow-daemon: {message}\n"


def test_once_runs_the_passes_of_the_sources_that_are_named(two: Two) -> None:
    two.run("--once", "--source-name", "w", expect=3)
    assert two.daemon.query("SELECT ontology_id FROM checkpoints") == [("work",)]
    two.run("--once", "--source-name", "home", "--source-name", "w", expect=3)
    assert two.daemon.query("SELECT ontology_id FROM checkpoints ORDER BY 1") == [("home",), ("work",)]


@pytest.mark.parametrize("verb", [pytest.param(each, marks=MARKS.get(each, ())) for each in VERBS], ids=" ".join)
def test_a_verb_acts_on_the_ontology_of_the_source_that_is_named(two: Two, verb: tuple[str, ...]) -> None:
    two.run("--once", expect=3)
    nothing = 2 if verb == ("migrate", "discard") else 0
    by_name = two.run(*verb, "--source-name", "w", expect=nothing)
    assert by_name == two.run(*verb, "--ontology-id", "work", "--source-name", "w", expect=nothing)
    assert by_name == two.run(*verb, "--ontology-id", "work", expect=nothing)
    if verb != ("retry",):
        assert by_name != two.run(*verb, "--source-name", "home", expect=nothing)
    several = "visionflow-daemon: several sources are configured: say which with --source-name, or with --ontology-id\n"
    assert two.run(*verb, expect=2) == several
    assert two.run(*verb, "--source-name", "w", "--source-name", "home", expect=2).endswith("give one --source-name\n")


@pytest.mark.parametrize("arguments", [("--once",), ("status",), ("parse", "x"), ("verify",), (), *VERBS], ids=" ".join)
def test_a_name_that_no_source_has_is_told_with_those_there_are(two: Two, arguments: tuple[str, ...]) -> None:
    told = "visionflow-daemon: --source-name: no source is called 'work'; there are 'w', 'home'\n"
    assert two.run(*arguments, "--source-name", "work", expect=2) == told


@pytest.mark.parametrize("arguments", [("--once",), ("status",), ("verify",), *VERBS], ids=" ".join)
def test_name_and_ontology_must_agree(two: Two, arguments: tuple[str, ...]) -> None:
    two.run("--once", expect=3)
    told = "visionflow-daemon: --ontology-id: source 'w' feeds 'work', not 'home'\n"
    assert two.run(*arguments, "--source-name", "w", "--ontology-id", "home", expect=2) == told


def test_a_name_chooses_among_configured_sources_alone(two: Two) -> None:
    told = "visionflow-daemon: --source-name chooses among the configured sources: leave out --source\n"
    assert two.run("--once", "--source", "x", "--source-name", "w", expect=2) == told


def test_status_tells_sources_never_synced_and_ontologies_not_configured_apart(two: Two) -> None:
    two.run("--once", "--source-name", "w", expect=3)
    two.configure("home")
    told = two.daemon.run("status", "--config", "two.toml", "--json").json
    assert [(each["ontology_id"], each["name"], each["is_configured"], each["is_held"]) for each in told] == [
        ("home", "home", True, False),
        ("work", None, False, True),
    ]
    home, work = two.run("status").split("\n\n")
    assert "none: no pass has begun yet" in home
    assert "not configured" not in home
    assert "not configured: `forget` removes what is held of it" in work
    two.configure()
    told = two.daemon.run("status", "--config", "two.toml", "--source-name", "w", "--json").json
    assert [(each["ontology_id"], each["name"], each["is_configured"]) for each in told] == [("work", "w", True)]
    assert re.search(r"^called +w$", two.run("status", "--source-name", "w"), re.MULTILINE)
    (alone,) = two.daemon.run("status", "--database", "kg.db", "--json").json
    assert (alone["is_configured"], alone["name"]) == (None, None)


def test_what_is_not_configured_any_more_can_be_looked_at_as_before(two: Two) -> None:
    two.run("--once", expect=3)
    dumped = two.run("dump", "--source-name", "w")
    two.configure("home")
    assert two.run("dump", "--ontology-id", "work") == dumped
    assert "bad.md" in two.run("failures", "--ontology-id", "work")
    assert "home" not in two.run("status", "--ontology-id", "work")
