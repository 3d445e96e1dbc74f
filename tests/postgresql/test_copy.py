"""`copy`: what a file holds, on a server, or back: every row, proven by the dump, whatever cuts it off."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import corpus
from tests.legacy.builders import Builder
from tests.postgresql import server
from tests.postgresql.server import PASSWORD
from tests.support import Daemon, Ran, Repo, class_page, outline_page
from visionflow_daemon.errors import LeaseError
from visionflow_daemon.storage.copying import TABLES
from visionflow_daemon.storage.hold import held_by_us
from visionflow_daemon.storage.migrate import open_migrated
from visionflow_daemon.storage.server import Server

FILE = "sqlite:///kg.db"
LEASE = {"VISIONFLOW_POSTGRESQL__LEASE": "1"}
"""Of who is killed, the lease is over soon."""

QUARANTINED = (
    "SELECT COALESCE(ontology_id, ''), table_name, archive_row, reason FROM migration_quarantine ORDER BY 1, 2, 3"
)
INFERRED = (
    "INSERT INTO owl_axioms (ontology_id, axiom_type, subject, object, is_inferred)"
    " VALUES ('default', 'SubClassOf', 'urn:t:1', 'urn:t:reasoned', 1)"
)


@pytest.fixture
def url(tmp_path: Path, daemon: Daemon) -> Iterator[str]:
    """An empty database on the server."""
    name = server.database_name(tmp_path / "copied")
    daemon.environment |= {"VISIONFLOW_DATABASE_PASSWORD": PASSWORD, **LEASE}
    yield server.shared().new_database(name)
    server.shared().rows(f'DROP DATABASE "{name}" WITH (FORCE)')


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


def synced(repo: Repo, daemon: Daemon, database: str = FILE, *more: str, source: Path | None = None) -> Ran:
    """Run a pass, which meets the bad page."""
    ran = daemon.run("--once", "--source", source or repo.path, "--database", database, *more)
    assert ran.code == 3, ran.err
    return ran


def written(daemon: Daemon, sql: str) -> None:
    """Let another program write into the file."""
    with closing(sqlite3.connect(daemon.folder / "kg.db", isolation_level=None)) as connection:
        connection.execute(sql)


def copied(daemon: Daemon, *arguments: str, code: int = 0) -> dict[str, dict[str, Any]]:
    """Copy, and give what came of each ontology."""
    ran = daemon.run("copy", *arguments, "--json")
    assert ran.code == code, (ran.code, ran.out, ran.err)
    return {each["ontology_id"]: each for each in ran.json["ontologies"]}


def outcomes(daemon: Daemon, *arguments: str, code: int = 0) -> dict[str, str]:
    return {name: each["outcome"] for name, each in copied(daemon, *arguments, code=code).items()}


def dumped(daemon: Daemon, database: str, ontology_id: str = "default") -> str:
    ran = daemon.run("dump", "--ontology-id", ontology_id, "--database", database)
    assert ran.code == 0, ran.err
    return ran.out


def rows(database: str, folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Give all rows of all tables, as both engines give them."""
    opened, _ = open_migrated(database, folder, server=Server(password=lambda: PASSWORD))
    found = {table.name: opened.rows(f"{table.select()}".replace("= ?", "= 'default'")) for table in TABLES}
    found["checkpoints"] = opened.rows("SELECT ontology_id, source, branch, commit_sha, is_clean FROM checkpoints")
    opened.close()
    opened.end()
    return {
        name: [tuple(bytes(value) if isinstance(value, memoryview) else value for value in row) for row in each]
        for name, each in found.items()
    }


def test_every_row_is_there_and_the_next_pass_goes_on(repo: Repo, daemon: Daemon, url: str) -> None:
    repo.commit(pages(50))
    synced(repo, daemon)
    synced(repo, daemon, FILE, "--ontology-id", "other")
    written(daemon, INFERRED)
    found = copied(daemon, "kg.db", url)
    assert [(name, each["outcome"], each["differences"]) for name, each in found.items()] == [
        ("default", "copied", 0),
        ("other", "copied", 0),
    ]
    of_file = rows(str(daemon.folder / "kg.db"), daemon.folder)
    assert {name: count for name, count in found["default"]["rows"].items() if count} == {
        name: len(each) for name, each in of_file.items() if each and name != "checkpoints"
    }
    assert rows(url, daemon.folder) == of_file
    assert all(of_file[name] for name in ("links", "owl_axioms", "property_uses", "sync_runs", "page_names"))
    assert [dumped(daemon, url, each) for each in ("default", "other")] == [
        dumped(daemon, FILE, each) for each in ("default", "other")
    ]
    assert outcomes(daemon, "kg.db", url) == {"default": "equal", "other": "equal"}

    repo.commit({"p1.md": class_page("urn:t:1", "changed"), "p2.md": None})
    done = synced(repo, daemon, url).event("pass finished")
    assert (done["plan"], done["saved"], done["deleted"]) == ("diff", 1, 1)
    fresh = synced(repo, daemon, "sqlite:///fresh.db")
    assert fresh.event("pass finished")["failed"] == 1
    assert dumped(daemon, url) == dumped(daemon, "sqlite:///fresh.db")


def test_the_way_back(repo: Repo, daemon: Daemon, url: str) -> None:
    repo.commit(pages(20))
    synced(repo, daemon, url)
    server.shared().rows(INFERRED, url.rpartition("/")[2])
    assert outcomes(daemon, url, "back.db") == {"default": "copied"}
    assert rows(str(daemon.folder / "back.db"), daemon.folder) == rows(url, daemon.folder)
    repo.commit({"p1.md": None})
    assert synced(repo, daemon, "sqlite:///back.db").event("pass finished")["plan"] == "diff"


def test_one_ontology_of_several_alone(repo: Repo, daemon: Daemon, url: str) -> None:
    repo.commit(pages(3))
    for ontology_id in ("a", "b"):
        synced(repo, daemon, FILE, "--ontology-id", ontology_id)
    assert outcomes(daemon, "kg.db", url, "--ontology-id", "b") == {"b": "copied"}
    refused = daemon.run("copy", "kg.db", url, "--ontology-id", "c")
    assert (refused.code, "it holds 'a', 'b'" in refused.err) == (2, True), refused.err
    assert outcomes(daemon, "kg.db", url) == {"a": "copied", "b": "equal"}


def test_what_would_be_copied_is_only_told(repo: Repo, daemon: Daemon, url: str) -> None:
    repo.commit(pages(3))
    synced(repo, daemon)
    found = copied(daemon, "kg.db", url, "--dry-run")["default"]
    assert (found["outcome"], found["rows"]["source_files"], found["commit"]) == ("copied", 6, repo.tip())
    assert server.shared().rows("SELECT 1 FROM pg_tables WHERE schemaname = 'public'", url.rpartition("/")[2]) == []
    assert copied(daemon, "kg.db", "new.db", "--dry-run")["default"]["outcome"] == "copied"
    assert not (daemon.folder / "new.db").exists()
    copied(daemon, "kg.db", url)
    assert outcomes(daemon, "kg.db", url, "--dry-run") == {"default": "equal"}
    ran = daemon.run("copy", "kg.db", url, "--dry-run")
    assert ran.out.splitlines()[-1].endswith("would be left as it is"), ran.out


KILLED = """
import itertools, os, signal
from visionflow_daemon.cli.main import program
from visionflow_daemon.storage import copying
from visionflow_daemon.storage.postgresql import PostgresDatabase

def killed(real, at):
    calls = itertools.count()
    def call(*given):
        if next(calls) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*given)
    return call

PostgresDatabase.load = killed(PostgresDatabase.load, {at})
copying.set_checkpoint = killed(copying.set_checkpoint, {at_end} - 1)
copying.PART_ROWS = 3
program(["copy", "kg.db", {url!r}, "--lock-timeout", "20"])
"""


def killed(daemon: Daemon, url: str, at: int, *, at_end: bool = False) -> None:
    """Copy with three rows in a part, until so many are written, or until the checkpoint is due."""
    ran = daemon.run_python(KILLED.format(at=at, at_end=int(at_end), url=url))
    assert ran.code == -9, (ran.code, ran.out, ran.err)
    held = server.shared().rows("SELECT commit_sha, is_whole FROM visionflow_sources", url.rpartition("/")[2])
    assert held == [(None, False)]


def test_a_copy_that_is_killed_is_made_whole_by_the_next(repo: Repo, daemon: Daemon, url: str) -> None:
    """Before the first part, among facts, among what is derived, and before the checkpoint."""
    repo.commit(pages(10))
    synced(repo, daemon)
    written(daemon, INFERRED)
    for at in (0, 1, 12, 20, 26):
        killed(daemon, url, at)
    killed(daemon, url, 10_000, at_end=True)
    assert outcomes(daemon, "kg.db", url, "--lock-timeout", "20") == {"default": "copied"}
    assert rows(url, daemon.folder) == rows(str(daemon.folder / "kg.db"), daemon.folder)


def test_a_copy_that_is_killed_is_made_whole_by_a_pass(repo: Repo, daemon: Daemon, url: str) -> None:
    repo.commit(pages(10))
    synced(repo, daemon)
    killed(daemon, url, 20)
    ran = synced(repo, daemon, url, "--lock-timeout", "20")
    assert ran.event("removal continued")
    assert dumped(daemon, url) == dumped(daemon, FILE)
    assert outcomes(daemon, "kg.db", url, "--replace") == {"default": "copied"}


def test_what_has_been_written_since_is_not_replaced_unasked(repo: Repo, daemon: Daemon, url: str) -> None:
    """A second `copy`, weeks after the move, would take the database back to where the file stands."""
    repo.commit(pages(5))
    synced(repo, daemon)
    copied(daemon, "kg.db", url)
    moved_on = repo.commit({"p1.md": class_page("urn:t:1", "changed")})
    synced(repo, daemon, url)
    before = rows(url, daemon.folder)
    for more in ((), ("--dry-run",)):
        refused = daemon.run("copy", "kg.db", url, *more)
        assert (refused.code, "--replace" in refused.err, moved_on[:12] in refused.err) == (6, True, True), refused.err
    assert rows(url, daemon.folder) == before
    assert outcomes(daemon, "kg.db", url, "--replace") == {"default": "copied"}
    assert rows(url, daemon.folder) == rows(str(daemon.folder / "kg.db"), daemon.folder)


def test_another_source_is_not_replaced_unasked(repo: Repo, daemon: Daemon, url: str) -> None:
    other = Repo(daemon.folder / "other.git")
    other.commit(pages(3))
    repo.commit(pages(5))
    synced(repo, daemon, url, source=other.path)
    synced(repo, daemon, FILE)
    synced(repo, daemon, FILE, "--ontology-id", "more")
    refused = daemon.run("copy", "kg.db", url)
    assert (refused.code, str(other.path) in refused.err) == (6, True), refused.err
    assert server.shared().rows("SELECT ontology_id FROM checkpoints", url.rpartition("/")[2]) == [("default",)]
    assert outcomes(daemon, "kg.db", url, "--replace") == {"default": "copied", "more": "copied"}


def test_a_daemon_writes_the_file_meanwhile(repo: Repo, daemon: Daemon, url: str) -> None:
    """Each ontology is of one moment; what comes after it, the next pass on the server brings."""
    repo.commit(pages(60))
    synced(repo, daemon)
    is_over = threading.Event()

    def commits() -> None:
        number = 0
        while not is_over.wait(0.05):
            number += 1
            repo.commit({f"p{number % 50}.md": class_page(f"urn:t:{number % 50}", f"Version {number}")})

    with daemon.running("--source", repo.path, "--database", FILE) as running:
        author = threading.Thread(target=commits)
        author.start()
        running.until("pass finished")
        first = outcomes(daemon, "kg.db", url)
        running.until("pass finished")
        again = outcomes(daemon, "kg.db", url)
        is_over.set()
        author.join()
    assert (first, again) == ({"default": "copied"}, {"default": "behind"})
    synced(repo, daemon, url)
    synced(repo, daemon, "sqlite:///fresh.db")
    assert dumped(daemon, url) == dumped(daemon, "sqlite:///fresh.db")


def test_what_differs_is_told_and_not_taken_for_whole(repo: Repo, daemon: Daemon, url: str) -> None:
    """Another hand has been at the target: the same checkpoint, and not the same rows."""
    repo.commit(pages(5))
    synced(repo, daemon)
    copied(daemon, "kg.db", url)
    name = url.rpartition("/")[2]
    server.shared().rows("UPDATE owl_classes SET label = 'changed' WHERE class_iri = 'urn:t:1'", name)
    server.shared().rows("UPDATE source_files SET attempts = 7 WHERE status = 'failed'", name)
    found = copied(daemon, "kg.db", url, code=3)["default"]
    assert (found["outcome"], found["differences"]) == ("different", 2)
    assert found["examples"][0] == "class different: urn:t:1: 'changed' instead of 'P1'"
    assert "7 instead of 1" in found["examples"][1]
    assert outcomes(daemon, "kg.db", url, "--replace") == {"default": "copied"}


def test_nobody_copies_into_what_a_pass_writes(repo: Repo, daemon: Daemon, url: str) -> None:
    repo.commit(pages(3))
    synced(repo, daemon)
    target, _ = open_migrated(url, daemon.folder, server=Server(password=lambda: PASSWORD))
    with held_by_us(target, "default", 0):
        refused = daemon.run("copy", "kg.db", url, "--lock-timeout", "0")
    target.close()
    target.end()
    assert (refused.code, "another pass" in refused.err) == (6, True), refused.err
    assert outcomes(daemon, "kg.db", url) == {"default": "copied"}


def test_who_has_lost_the_lease_copies_nothing(daemon: Daemon, url: str) -> None:
    target, _ = open_migrated(url, daemon.folder, server=Server(password=lambda: PASSWORD))
    with held_by_us(target, "default", 0) as ours:
        ours.load(
            "property_uses", ("ontology_id", "property_iri", "property_type", "axioms"), [("default", "p", "t", 1)]
        )
        target.run("UPDATE leases SET token = token + 1, holder = 'another'")
        with pytest.raises(LeaseError, match="is another's by now"):
            ours.load(
                "property_uses", ("ontology_id", "property_iri", "property_type", "axioms"), [("default", "q", "t", 1)]
            )
    assert target.rows("SELECT property_iri FROM property_uses") == [("p",)]
    target.close()
    target.end()


def test_what_can_not_be_copied_is_told_in_words(repo: Repo, daemon: Daemon, url: str) -> None:
    repo.commit(pages(2))

    def refused(source: str, target: str, code: int, says: str) -> None:
        ran = daemon.run("copy", source, target)
        assert (ran.code, says in ran.err) == (code, True), (ran.code, ran.err)

    refused("nowhere.db", url, 6, "there is no database at")
    synced(repo, daemon)
    refused("kg.db", FILE, 2, "into itself")
    refused("kg.db", f"{url}_of_nobody", 6, "does not exist")
    Builder(daemon.folder / "old.db", "B", 20).build()
    refused("old.db", url, 6, "`migrate up` adopts it")
    refused("kg.db", "old.db", 6, "`migrate up` adopts it")
    written(daemon, "UPDATE owl_classes SET properties = '{' WHERE class_iri = 'urn:t:1'")
    refused("kg.db", url, 6, "owl_classes of ontology 'default' holds what")
    written(daemon, "INSERT INTO schema_migrations (version, name) VALUES (9999, 'later')")
    refused("kg.db", url, 6, "install a newer visionflow-daemon")


def test_what_an_older_visionflow_left_is_copied(daemon: Daemon, url: str) -> None:
    """Facts that no file has claimed, and the rows in quarantine; the archive of the old tables stays in the file."""
    Builder(daemon.folder / "kg.db", "mixed", 200).build()
    ran = daemon.run("migrate", "up", "--database", "kg.db", "--ontology-id", "default")
    assert ran.code == 0, ran.err
    with closing(sqlite3.connect(daemon.folder / "kg.db")) as connection:
        quarantined = connection.execute(QUARANTINED).fetchall()
    first = copied(daemon, "kg.db", url)
    assert {each["outcome"] for each in first.values()} == {"copied"}
    assert sum(each["without_nul"] for each in first.values()) > 0
    assert set(outcomes(daemon, "kg.db", url).values()) == {"equal"}
    assert server.shared().rows(QUARANTINED, url.rpartition("/")[2]) == quarantined
    assert len(quarantined) > 0
    ours = "".join(dumped(daemon, url, each) for each in first)
    assert ours == "".join(dumped(daemon, FILE, each) for each in first).replace("\\u0000", "\ufffd")
    assert set(outcomes(daemon, url, "back.db").values()) == {"copied"}
    assert ours == "".join(dumped(daemon, "sqlite:///back.db", each) for each in first)


def test_each_table_is_copied_with_all_its_columns(daemon: Daemon, url: str) -> None:
    """A table or a column that a migration adds is not forgotten."""
    database, _ = open_migrated(url, daemon.folder, server=Server(password=lambda: PASSWORD))
    there: dict[str, set[str]] = {}
    for table, column in database.rows(
        "SELECT table_name::text, column_name::text FROM information_schema.columns c JOIN pg_tables t"
        " ON t.tablename = c.table_name WHERE c.table_schema = 'public' AND t.schemaname = 'public'"
    ):
        there.setdefault(table, set()).add(column)
    database.close()
    database.end()
    of_server = {"schema_migrations", "leases", "daemons", "passes_under_way"}
    apart = {"checkpoints", "migration_quarantine"}
    assert {table.name: set(table.columns) for table in TABLES} == {
        name: columns for name, columns in there.items() if name not in of_server | apart
    }


@pytest.mark.corpus
def test_the_real_pages_are_copied(tmp_path: Path, daemon: Daemon, url: str) -> None:
    repository = corpus("narrativegoldmine-974", tmp_path)
    daemon.run("--once", "--source", repository, "--include", "ontology/pages/*.md", "--database", FILE)
    assert outcomes(daemon, "kg.db", url) == {"default": "copied"}
    ours = dumped(daemon, url)
    assert ours == dumped(daemon, FILE)
    assert ours.count("\n") > 19_000
