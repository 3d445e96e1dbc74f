"""The real repositories beside the project; skipped where they are missing."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from tests.conftest import corpus
from tests.engines import assert_sound
from tests.support import SHARED, Daemon, git

pytestmark = pytest.mark.corpus
NAMESPACE = "https://narrativegoldmine.com/ns/v1#"
PAGES = ("--include", "ontology/pages/*.md")
METAVERSE = ("--prefix", "mv=https://metaverse-ontology.org/")


def commits(repository: Path) -> list[str]:
    return git("rev-list", "--reverse", "main", cwd=repository).split()


def published_facts() -> tuple[set[tuple[str, str]], set[tuple[str, str]], set[tuple[str, str, str]]]:
    classes, parents, relations = set(), set(), set()
    with gzip.open(SHARED / "corpora" / "narrativegoldmine-974.facts.tsv.gz", "rt") as lines:
        for line in lines:
            kind, subject, *rest = line.rstrip("\n").split("\t")
            if kind == "class":
                classes.add((subject, rest[0]))
            elif kind == "subclass":
                parents.add((subject, rest[0]))
            else:
                key = {"partOf": "isPartOf"}.get(rest[0], rest[0])
                relations.add((subject, NAMESPACE + key, rest[1]))
    return classes, parents, relations


def test_narrativegoldmine_holds_every_published_fact(tmp_path: Path, daemon: Daemon) -> None:
    repository = corpus("narrativegoldmine-974", tmp_path)
    finished = daemon.once(repository, *PAGES).event("pass finished")
    assert (finished["saved"], finished["skipped"], finished["failed"], finished["warnings"]) == (974, 0, 0, 0)
    classes, parents, relations = published_facts()
    assert set(daemon.query("SELECT class_iri, label FROM owl_classes WHERE is_declared = 1")) == classes
    held_parents = set(daemon.query("SELECT class_iri, parent_iri FROM owl_class_hierarchy"))
    assert parents < held_parents
    assert len(held_parents - parents) == 1  # the one that stands under relations
    assert daemon.query("SELECT COUNT(*) FROM owl_classes WHERE is_declared = 0") == [(433,)]
    held = set(
        daemon.query(
            "SELECT subject, property_iri, object FROM owl_axioms WHERE axiom_type = 'ObjectPropertyAssertion'"
        )
    )
    assert relations <= held
    assert daemon.once(repository, *PAGES).events[0]["event"] == "nothing to do"


@pytest.mark.parametrize(
    ("name", "arguments"), [("narrativegoldmine-974", PAGES), ("metaverse", METAVERSE)], ids=["974", "metaverse"]
)
def test_walking_the_commits_ends_as_one_sync_of_the_last(
    tmp_path: Path, daemon: Daemon, name: str, arguments: tuple[str, ...]
) -> None:
    repository = corpus(name, tmp_path)
    history = commits(repository)
    for commit in history:
        git("update-ref", "refs/heads/main", commit, cwd=repository)
        ran = daemon.run("--once", "--source", repository, "--database", "walked.db", *arguments)
        assert ran.code in {0, 3}, ran.err
        assert_sound(daemon.folder / "walked.db")
    daemon.once(repository, *arguments, database="fresh.db")
    assert daemon.dump_bytes("walked.db") == daemon.dump_bytes("fresh.db")
    assert daemon.query("SELECT COUNT(*) FROM sync_runs", "walked.db") == [(len(history),)]
    assert daemon.run("verify", "--source", repository, "--database", "walked.db", *arguments).out == "no difference\n"


def test_metaverse_axioms_are_read_whole_but_for_six(tmp_path: Path, daemon: Daemon) -> None:
    repository = corpus("metaverse", tmp_path)
    daemon.once(repository, *METAVERSE)
    warned = "SELECT f.file_id FROM page_warnings w JOIN source_files f USING (ontology_id, file_id)"
    blocks = "SELECT file_id FROM source_files WHERE format = 'ontology-block'"
    assert daemon.query(f"SELECT COUNT(*) FROM ({blocks}) AS blocks") == [(159,)]
    whole = f"file_id IN ({blocks}) AND file_id NOT IN ({warned}) AND is_stated = 1"
    assert daemon.query(f"SELECT COUNT(*), COUNT(DISTINCT file_id) FROM owl_axioms WHERE {whole}") == [(2_191, 153)]
    bad = daemon.query(
        "SELECT COUNT(*), COUNT(DISTINCT w.file_id) FROM page_warnings w JOIN source_files f USING"
        " (ontology_id, file_id) WHERE f.format = 'ontology-block'"
    )
    assert bad == [(6, 6)]
    assert daemon.query("SELECT COUNT(*) FROM source_files WHERE format = 'owl-text'") == [(3,)]


def test_a_walk_by_clones_at_other_places_is_one_source(tmp_path: Path, daemon: Daemon) -> None:
    repository = corpus("metaverse", tmp_path)
    for number, commit in enumerate(commits(repository)[-3:]):
        clone = tmp_path / f"clone-{number}"
        git("clone", "--quiet", "--bare", str(repository), str(clone))
        git("update-ref", "refs/heads/main", commit, cwd=clone)
        daemon.once(clone, *METAVERSE)
    daemon.once(repository, *METAVERSE, database="fresh.db")
    assert daemon.dump_bytes() == daemon.dump_bytes("fresh.db")
