"""`--once` on real repositories: what it saves, what it leaves alone, what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import engines
from tests.support import PROJECT, Daemon, Repo, Submodule, Symlink, class_page, git, outline_page

A, B, C = "urn:t:a", "urn:t:b", "urn:t:c"


def classes(daemon: Daemon) -> dict[str, tuple[str | None, int]]:
    return {
        iri: (label, declared)
        for iri, label, declared in daemon.query("SELECT class_iri, label, is_declared FROM owl_classes")
    }


def parents(daemon: Daemon) -> set[tuple[str, str]]:
    return set(daemon.query("SELECT class_iri, parent_iri FROM owl_class_hierarchy"))  # type: ignore[arg-type]


def test_a_first_pass_saves_every_selected_file(repo: Repo, daemon: Daemon) -> None:
    repo.commit(
        {
            "pages/A.md": class_page(A, "A", subClassOf={"@id": B, "label": "B"}),
            "pages/B.md": class_page(B, "B", relations={"partOf": [{"@id": C}], "depends-on": {"@id": A}}),
            "notes/plain.md": "- just a note\n",
            "notes/public.md": "public:: true\n\n- a public note about [[A]]\n",
            "other.txt": "not selected",
        }
    )
    ran = daemon.once(repo.path)
    finished = ran.event("pass finished")
    assert (finished["saved"], finished["skipped"], finished["failed"]) == (2, 2, 0)
    assert finished["plan_reason"] == "this is the first pass"
    assert classes(daemon) == {A: ("A", 1), B: ("B", 1)}
    assert parents(daemon) == {(A, B)}
    relations = daemon.query("SELECT subject, property_iri, object FROM owl_axioms WHERE axiom_type <> 'SubClassOf'")
    namespace = "https://narrativegoldmine.com/ns/v1#"
    assert set(relations) == {(B, f"{namespace}isPartOf", C), (B, f"{namespace}depends-on", A)}
    skipped = dict(daemon.query("SELECT display_path, reason FROM source_files WHERE status = 'skipped'"))
    assert skipped == {
        "notes/plain.md": "a page without an ontology",
        "notes/public.md": "a public note without an ontology",
    }


def test_a_second_pass_saves_nothing_and_says_so(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": class_page(A, "A")})
    daemon.once(repo.path)
    before = engines.state(daemon.folder / "kg.db")
    ran = daemon.once(repo.path)
    assert [event["event"] for event in ran.events] == ["nothing to do"]
    assert ran.events[0]["saved"] == 0
    assert engines.state(daemon.folder / "kg.db") == before


def test_only_what_changed_is_saved(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": class_page(A, "A"), "B.md": class_page(B, "B"), "C.md": class_page(C, "C")})
    daemon.once(repo.path)
    repo.commit({"B.md": class_page(B, "B, renamed"), "C.md": None, "D.txt": "no page"})
    finished = daemon.once(repo.path).event("pass finished")
    assert (finished["plan"], finished["saved"], finished["deleted"]) == ("diff", 1, 1)
    assert classes(daemon) == {A: ("A", 1), B: ("B, renamed", 1)}


def test_full_reads_every_file_anew(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": class_page(A, "A"), "B.md": class_page(B, "B")})
    daemon.once(repo.path)
    before = daemon.dump_bytes()
    finished = daemon.once(repo.path, "--full").event("pass finished")
    assert finished["saved"] == 2
    assert daemon.dump_bytes() == before


def test_deleting_a_parents_page_demotes_the_parent_and_keeps_the_hierarchy(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": class_page(A, "A", subClassOf=[{"@id": B}]), "B.md": class_page(B, "B")})
    daemon.once(repo.path)
    repo.commit({"B.md": None})
    daemon.once(repo.path)
    assert classes(daemon) == {A: ("A", 1), B: (None, 0)}
    assert parents(daemon) == {(A, B)}
    repo.commit({"A.md": class_page(A, "A")})
    daemon.once(repo.path)
    assert classes(daemon) == {A: ("A", 1)}


def test_a_rename_keeps_the_class(repo: Repo, daemon: Daemon) -> None:
    page = class_page(A, "A")
    repo.commit({"old.md": page})
    daemon.once(repo.path)
    repo.commit({"old.md": None, "new.md": page})
    finished = daemon.once(repo.path).event("pass finished")
    assert (finished["saved"], finished["deleted"]) == (1, 1)
    assert classes(daemon) == {A: ("A", 1)}
    assert daemon.query("SELECT display_path FROM source_files") == [("new.md",)]


def test_of_two_pages_that_declare_a_class_the_smaller_path_wins_whatever_comes_last(
    repo: Repo, daemon: Daemon
) -> None:
    repo.commit({"z.md": class_page(A, "from z")})
    daemon.once(repo.path)
    repo.commit({"a.md": class_page(A, "from a")})
    ran = daemon.once(repo.path)
    assert classes(daemon) == {A: ("from a", 1)}
    twice = ran.event("class described by several files")
    assert (twice["class_iri"], twice["paths"], twice["used"]) == (A, ["a.md", "z.md"], "a.md")
    repo.commit({"a.md": None})
    daemon.once(repo.path)
    assert classes(daemon) == {A: ("from z", 1)}


def test_a_page_that_describes_a_class_wins_over_one_that_only_declares_it(repo: Repo, daemon: Daemon) -> None:
    bare = outline_page("Other", axioms="Declaration(Class(mv:Target))")
    repo.commit({"a.md": bare, "z.md": outline_page("Target")})
    daemon.once(repo.path)
    assert classes(daemon)["http://narrativegoldmine.com/metaverse#Target"] == ("Target", 1)


def test_wikilinks_follow_the_pages_that_come_and_go(repo: Repo, daemon: Daemon) -> None:
    namespace = "http://narrativegoldmine.com/metaverse#"

    def target() -> list[tuple[str, ...]]:
        return daemon.query("SELECT object FROM owl_axioms WHERE property_iri LIKE '%hasPart'")

    repo.commit({"A.md": outline_page("A", "has-part:: [[The Mesh]]")})
    daemon.once(repo.path)
    assert target() == [(f"{namespace}TheMesh",)]
    repo.commit({"The Mesh.md": outline_page("Visual Mesh")})
    daemon.once(repo.path)
    assert target() == [(f"{namespace}VisualMesh",)]
    repo.commit({"The Mesh.md": None})
    daemon.once(repo.path)
    assert target() == [(f"{namespace}TheMesh",)]


def test_broken_pages_go_to_the_ledger_and_harm_no_other(repo: Repo, daemon: Daemon) -> None:
    pages = {f"p{number:04}.md": class_page(f"urn:t:{number}", f"P{number}") for number in range(1_000)}
    for number in range(0, 1_000, 100):
        pages[f"p{number:04}.md"] = '# broken\n```json-ld\n{"@type": "Class",\n "@id": oops}\n```\n'
    repo.commit(pages)
    ran = daemon.once(repo.path, expect=3)
    assert (ran.event("pass finished")["saved"], ran.event("pass finished")["failed"]) == (990, 10)
    failures = daemon.run("failures", "--database", "kg.db").out.splitlines()
    assert len(failures) == 10
    assert all(line.startswith(f"p{number * 100:04}.md:4: bad JSON: ") for number, line in enumerate(failures))
    entries = daemon.run("failures", "--database", "kg.db", "--json").json["failures"]
    assert [entry["path"] for entry in entries] == [f"p{number:04}.md" for number in range(0, 1_000, 100)]
    assert {entry["failure_class"] for entry in entries} == {"page"}
    assert daemon.once(repo.path, expect=3).events[0]["event"] == "nothing to do"
    repo.commit({f"p{number:04}.md": class_page(f"urn:t:{number}", "mended") for number in range(0, 1_000, 100)})
    daemon.once(repo.path)
    assert daemon.run("failures", "--database", "kg.db").out == ""


def test_a_page_that_breaks_keeps_its_last_good_facts(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": class_page(A, "good"), "B.md": class_page(B, "B")})
    daemon.once(repo.path)
    before = daemon.dump_bytes()
    repo.commit({"A.md": "```json-ld\n{broken\n```\n"})
    daemon.once(repo.path, expect=3)
    assert daemon.dump_bytes() == before
    assert "(its last good facts are kept)" in daemon.run("failures", "--database", "kg.db").out
    repo.commit({"A.md": None})
    daemon.once(repo.path)
    assert classes(daemon) == {B: ("B", 1)}


def test_a_change_of_globs_changes_what_is_held(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"in/A.md": class_page(A, "A"), "out/B.md": class_page(B, "B")})
    daemon.once(repo.path)
    ran = daemon.once(repo.path, "--include", "in/*.md")
    assert ran.event("pass finished")["plan_reason"].startswith("globs, prefixes")
    assert (ran.event("pass finished")["saved"], ran.event("pass finished")["deleted"]) == (0, 1)
    assert set(classes(daemon)) == {A}


def test_a_change_of_prefixes_reads_the_files_anew(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": outline_page("A")})
    daemon.once(repo.path)
    daemon.once(repo.path, "--prefix", "mv=https://example.org/")
    assert set(classes(daemon)) == {"https://example.org/A"}


@pytest.mark.parametrize("rewritten", [True, False], ids=["force push", "unrelated history"])
def test_a_rewritten_branch_ends_as_a_fresh_sync(repo: Repo, daemon: Daemon, *, rewritten: bool) -> None:
    first = repo.commit({"A.md": class_page(A, "A"), "B.md": class_page(B, "B")})
    repo.commit({"B.md": class_page(B, "B2"), "C.md": class_page(C, "C")})
    daemon.once(repo.path)
    repo.commit({"A.md": class_page(A, "rewritten")}, parent=first if rewritten else None)
    daemon.once(repo.path)
    daemon.once(repo.path, database="fresh.db")
    assert daemon.dump_bytes() == daemon.dump_bytes("fresh.db")


def test_symlinks_and_submodules_are_reported_and_not_followed(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": class_page(A, "A"), "link.md": Symlink(b"A.md"), "sub.md": Submodule()})
    daemon.once(repo.path)
    skipped = dict(daemon.query("SELECT display_path, reason FROM source_files WHERE status = 'skipped'"))
    assert skipped == {
        "link.md": "a symlink, which is not followed",
        "sub.md": "a submodule, which is not followed",
    }
    repo.commit({"A.md": Symlink(b"elsewhere")})
    daemon.once(repo.path)
    assert classes(daemon) == {}


def test_a_checkout_is_read_in_place_and_never_touched(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": class_page(A, "A")})
    checkout = daemon.folder / "checkout"
    git("clone", "--quiet", str(repo.path), str(checkout))
    (checkout / "A.md").write_text("edited, not committed")
    before = snapshot(checkout)
    daemon.once(checkout)
    assert classes(daemon) == {A: ("A", 1)}
    assert snapshot(checkout) == before


def test_a_detached_head_is_a_commit_like_any_other(repo: Repo, daemon: Daemon) -> None:
    first = repo.commit({"A.md": class_page(A, "A")})
    repo.commit({"B.md": class_page(B, "B")})
    checkout = daemon.folder / "checkout"
    git("clone", "--quiet", str(repo.path), str(checkout))
    git("checkout", "--quiet", first, cwd=checkout)
    assert daemon.once(checkout).event("pass finished")["commit"] == first
    assert set(classes(daemon)) == {A}


def test_a_url_is_cloned_bare_into_the_state_directory(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": class_page(A, "A")})
    daemon.environment["STATE_DIRECTORY"] = str(daemon.folder / "state")
    url = f"file://{repo.path}"
    daemon.once(url)
    (clone,) = (daemon.folder / "state" / "clones").glob("*.git")
    assert "remote" not in (clone / "config").read_text()
    repo.commit({"B.md": class_page(B, "B")}, parent=None)
    finished = daemon.once(url).event("pass finished")
    assert (finished["saved"], finished["deleted"]) == (1, 1)
    assert set(classes(daemon)) == {B}
    assert daemon.once(url).events[0]["event"] == "nothing to do"


def test_without_a_state_directory_xdgs_place_is_used(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": class_page(A, "A")})
    daemon.once(f"file://{repo.path}")
    assert list((daemon.folder / "home/.local/state/visionflow-daemon/clones").iterdir())


def test_another_source_does_not_replace_an_ontology_by_mistake(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": class_page(A, "A")})
    daemon.once(repo.path)
    other = Repo(daemon.folder / "other.git")
    other.commit({"B.md": class_page(B, "B")})
    ran = daemon.once(other.path, expect=2)
    assert "is fed by" in ran.err
    assert set(classes(daemon)) == {A}
    daemon.once(other.path, "--ontology-id", "second")
    daemon.once(other.path, "--replace-source")
    assert set(daemon.query("SELECT ontology_id, class_iri FROM owl_classes")) == {("default", B), ("second", B)}


def test_a_repository_that_moved_is_the_same_source(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": class_page(A, "A")})
    daemon.once(repo.path)
    moved = repo.path.rename(daemon.folder / "moved.git")
    ran = daemon.once(moved)
    assert ran.event("pass finished")["saved"] == 0
    assert daemon.query("SELECT source FROM checkpoints") == [(str(moved),)]


def test_axioms_of_other_programs_are_left_alone(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": class_page(A, "A", subClassOf={"@id": B})})
    daemon.once(repo.path)
    with engines.Connected(daemon.folder / "kg.db") as connection:
        connection.execute(
            "INSERT INTO owl_axioms (ontology_id, axiom_type, subject, object, is_inferred)"
            " VALUES ('default', 'SubClassOf', ?, ?, 1)",
            (B, C),
        )
    connection.close()
    repo.commit({"A.md": None})
    daemon.once(repo.path)
    assert daemon.query("SELECT subject, object FROM owl_axioms") == [(B, C)]
    assert classes(daemon) == {}


def test_one_configuration_may_name_several_sources(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": class_page(A, "A")})
    other = Repo(daemon.folder / "other.git")
    other.commit({"B.md": class_page(B, "B")})
    (daemon.folder / "both.toml").write_text(
        'database = "kg.db"\n[[sources]]\nlocation = "source.git"\nontology_id = "one"\n'
        '[[sources]]\nlocation = "other.git"\nontology_id = "two"\n'
    )
    ran = daemon.run("--once", "--config", "both.toml")
    assert ran.code == 0, ran.err
    assert set(daemon.query("SELECT ontology_id, class_iri FROM owl_classes")) == {("one", A), ("two", B)}
    assert [each["ontology_id"] for each in daemon.run("status", "--config", "both.toml", "--json").json] == [
        "one",
        "two",
    ]


def test_the_example_configuration_syncs_the_sample_ontology(daemon: Daemon) -> None:
    database = daemon.folder / "sample.db"
    ran = daemon.run("--once", "--config", PROJECT / "config.example.toml", "--database", database)
    assert ran.code == 0, ran.out + ran.err
    formats = {name for (name,) in daemon.query("SELECT DISTINCT format FROM source_files", "sample.db")}
    assert {"jsonld-page", "ontology-block", "iri-first", "owl-text", "plain", "note"} <= formats
    assert any(name.startswith("rdf") for name in formats)


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_log_lines_are_json_with_their_run_and_ontology(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": class_page(A, "A"), "bad.md": "```json-ld\n{\n```\n"})
    ran = daemon.run("--once", "--source", repo.path, "--database", "kg.db", "--log-level", "debug")
    assert ran.code == 3
    per_file = [event for event in ran.events if event["event"] in {"file saved", "file failed"}]
    assert {event["path"] for event in per_file} == {"A.md", "bad.md"}
    assert all(event["run_id"] and event["ontology_id"] == "default" for event in per_file)
    assert ran.err == ""
