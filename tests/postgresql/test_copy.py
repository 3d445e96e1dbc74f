"""`copy`: what a file holds, on a server: every row, proved by the dump, whatever cuts it off."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import corpus
from tests.postgresql import server
from tests.postgresql.server import PASSWORD
from tests.support import Daemon, Repo, class_page, eventually, outline_page


@pytest.fixture
def url(tmp_path: Path, daemon: Daemon) -> Iterator[str]:
    """An empty database on the server."""
    name = server.database_name(tmp_path / "copied")
    daemon.environment["VISIONFLOW_DATABASE_PASSWORD"] = PASSWORD
    yield server.shared().new_database(name)
    server.shared().rows(f'DROP DATABASE "{name}" WITH (FORCE)')


ODD = {"odd": -0.0, "small": 1e-7}
"""Numbers that a database may give back in another spelling."""

FILE = "sqlite:///kg.db"


def pages(count: int) -> dict[bytes | str, str]:
    found: dict[bytes | str, str] = {
        f"p{n}.md": class_page(
            f"urn:t:{n}", f"P{n}", subClassOf=[{"@id": f"urn:t:{n // 2}"}], rank=n * 1e16, odd=-0.0, small=1e-7
        )
        for n in range(count)
    }
    return found | {
        "Outline.md": outline_page("Outline", "has-part:: [[P1]]"),
        b"\xff.md": "- note\n",
        "bad.md": "```json-ld\n{",
    }


def has_rows(name: str, table: str) -> bool:
    there = server.shared().rows(f"SELECT to_regclass('{table}') IS NOT NULL", name)[0][0]
    return bool(there and server.shared().rows(f"SELECT 1 FROM {table} LIMIT 1", name))


def dumps(daemon: Daemon, url: str, ontology_id: str = "default") -> tuple[str, str]:
    found = [daemon.run("dump", "--ontology-id", ontology_id, "--database", each) for each in (FILE, url)]
    assert [each.code for each in found] == [0, 0], [each.err for each in found]
    return found[0].out, found[1].out


def test_all_of_it_is_there_and_the_next_pass_goes_on(repo: Repo, daemon: Daemon, url: str) -> None:
    repo.commit(pages(50))
    for ontology_id in ("default", "other"):
        ran = daemon.run("--once", "--source", repo.path, "--ontology-id", ontology_id, "--database", FILE)
        assert ran.code == 3, ran.err
    ran = daemon.run("copy", "kg.db", url, "--json")
    assert ran.code == 0, ran.err
    assert [(each["ontology_id"], each["differences"]) for each in ran.json["copied"]] == [("default", 0), ("other", 0)]
    for ontology_id in ("default", "other"):
        ours, theirs = dumps(daemon, url, ontology_id)
        assert ours == theirs
    again = daemon.run("copy", "kg.db", url, "--json").json
    assert [each["was_there"] for each in again["copied"]] == [True, True]
    repo.commit({"p1.md": class_page("urn:t:1", "changed"), "p2.md": None})
    done = daemon.run("--once", "--source", repo.path, "--database", url).event("pass finished")
    assert (done["plan"], done["saved"], done["deleted"]) == ("diff", 1, 1)
    back = daemon.run("copy", url, "sqlite:///back.db", "--ontology-id", "default")
    assert back.code == 0, back.err
    assert (
        daemon.run("dump", "--ontology-id", "default", "--database", "sqlite:///back.db").out == dumps(daemon, url)[1]
    )


def test_a_copy_that_is_killed_is_made_whole_by_the_next(repo: Repo, daemon: Daemon, url: str) -> None:
    repo.commit(pages(3_000))
    daemon.run("--once", "--source", repo.path, "--database", FILE)
    name = url.rpartition("/")[2]
    for table in ("source_files", "owl_axioms", "owl_classes"):
        process = daemon.start("copy", "kg.db", url, "--lock-timeout", "20")
        eventually(partial(has_rows, name, table), 60)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    ran = daemon.run("copy", "kg.db", url, "--lock-timeout", "20")
    assert ran.code == 0, ran.err
    ours, theirs = dumps(daemon, url)
    assert ours == theirs


def test_another_ontology_is_not_replaced_unasked(repo: Repo, daemon: Daemon, url: str) -> None:
    other = Repo(daemon.folder / "other.git")
    other.commit(pages(3))
    repo.commit(pages(5))
    daemon.run("--once", "--source", other.path, "--database", url)
    daemon.run("--once", "--source", repo.path, "--database", FILE)
    refused = daemon.run("copy", "kg.db", url)
    assert (refused.code, "--replace" in refused.err) == (6, True), refused.err
    assert daemon.run("copy", "kg.db", url, "--replace").code == 0
    ours, theirs = dumps(daemon, url)
    assert ours == theirs


@pytest.mark.corpus
def test_the_real_pages_are_copied(tmp_path: Path, daemon: Daemon, url: str) -> None:
    repository = corpus("narrativegoldmine-974", tmp_path)
    daemon.run("--once", "--source", repository, "--include", "ontology/pages/*.md", "--database", FILE)
    assert daemon.run("copy", "kg.db", url).code == 0
    ours, theirs = dumps(daemon, url)
    assert ours == theirs
    assert ours.count("\n") > 19_000
