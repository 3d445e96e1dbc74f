"""Bad input gets a clear error, and loses nothing."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest

from tests.support import Daemon, Repo, class_page, git

A, B = "urn:t:a", "urn:t:b"


def fails(daemon: Daemon, *arguments: str | Path, code: int, says: str) -> None:
    """Run a pass that can't be, and see that the message for people and the log tell why."""
    ran = daemon.run("--once", *arguments)
    assert ran.code == code, (ran.code, ran.err)
    assert says in ran.err, ran.err
    assert "Traceback" not in ran.err + ran.out


def test_no_source_at_all(daemon: Daemon) -> None:
    fails(daemon, code=2, says="no source: give --source URL-OR-PATH")


def test_a_glob_that_cannot_be_understood(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": class_page(A, "A")})
    for option in ("--include", "--exclude"):
        fails(daemon, "--source", repo.path, option, "!", code=2, says="a glob that can't be understood")


def test_a_repository_whose_path_is_not_utf8(daemon: Daemon) -> None:
    repo = Repo(Path(os.fsdecode(os.fsencode(daemon.folder) + b"/sourc\xe9.git")))
    repo.commit({"A.md": class_page(A, "A")})
    daemon.once(repo.path)
    assert daemon.once(repo.path).events[-1]["event"] == "nothing to do"
    assert daemon.query("SELECT source FROM checkpoints") == [(f"{daemon.folder}/sourc\\xe9.git",)]


def test_nothing_at_the_path(daemon: Daemon) -> None:
    fails(daemon, "--source", "missing.git", code=2, says="there is nothing at")


def test_a_folder_without_a_repository(daemon: Daemon) -> None:
    (daemon.folder / "plain").mkdir()
    fails(daemon, "--source", "plain", code=2, says="there is no git repository at")


def test_a_file_where_a_repository_is_due(daemon: Daemon) -> None:
    (daemon.folder / "file").write_text("x")
    fails(daemon, "--source", "file", code=2, says="is a file: give the folder of a git repository")


def test_an_empty_repository(repo: Repo, daemon: Daemon) -> None:
    fails(daemon, "--source", repo.path, code=2, says="has no commit yet")
    fails(daemon, "--source", f"file://{repo.path}", code=2, says="has no commit yet")


def test_an_unknown_branch_names_those_that_exist(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": class_page(A, "A")})
    for source in (repo.path, f"file://{repo.path}"):
        fails(daemon, "--source", source, "--branch", "mian", code=2, says="has no branch 'mian'; it has: main")


def test_a_head_that_names_a_branch_that_does_not_exist(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": class_page(A, "A")})
    git("symbolic-ref", "HEAD", "refs/heads/gone", cwd=repo.path)
    fails(daemon, "--source", repo.path, code=2, says="names refs/heads/gone, which doesn't exist; give --branch")


def test_a_branch_deleted_upstream_deletes_no_facts(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": class_page(A, "A")})
    repo.commit({"B.md": class_page(B, "B")}, branch="other", parent=None)
    daemon.once(f"file://{repo.path}", "--branch", "other")
    git("branch", "-D", "other", cwd=repo.path)
    daemon.once(f"file://{repo.path}", "--branch", "other", expect=2)
    assert daemon.query("SELECT class_iri FROM owl_classes") == [(B,)]


def test_a_remote_that_is_not_there(daemon: Daemon) -> None:
    fails(daemon, "--source", f"file://{daemon.folder}/missing.git", code=4, says="can't fetch file://")
    fails(
        daemon, "--source", "https://u:secret@127.0.0.1:1/x.git", code=4, says="can't fetch https://127.0.0.1:1/x.git"
    )


def test_secrets_of_a_url_appear_nowhere(daemon: Daemon) -> None:
    ran = daemon.run("--once", "--source", "https://user:s3cr3t@127.0.0.1:1/x.git?token=s3cr3t")
    assert "s3cr3t" not in ran.out + ran.err
    for path in daemon.folder.rglob("*"):
        if path.is_file():
            assert b"s3cr3t" not in path.read_bytes(), path


@pytest.mark.sqlite
def test_a_database_that_is_none_is_not_touched(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": class_page(A, "A")})
    (daemon.folder / "text.db").write_text("no database at all")
    fails(
        daemon, "--source", repo.path, "--database", "text.db", code=6, says="is no SQLite database; it was not touched"
    )
    assert (daemon.folder / "text.db").read_text() == "no database at all"


@pytest.mark.sqlite
def test_a_database_of_another_shape_is_not_touched(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": class_page(A, "A")})
    connection = sqlite3.connect(daemon.folder / "old.db")
    connection.execute("CREATE TABLE owl_classes (iri TEXT PRIMARY KEY, label TEXT)")
    connection.commit()
    connection.close()
    before = (daemon.folder / "old.db").read_bytes()
    fails(daemon, "--source", repo.path, "--database", "old.db", code=6, says="of an older VisionFlow")
    with sqlite3.connect(daemon.folder / "old.db") as connection:
        assert connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall() == [
            ("owl_classes",)
        ]
    connection.close()
    assert (daemon.folder / "old.db").read_bytes() == before


@pytest.mark.sqlite
def test_a_database_newer_than_the_program_is_not_touched(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": class_page(A, "A")})
    daemon.once(repo.path)
    with sqlite3.connect(daemon.folder / "kg.db") as connection:
        connection.execute("INSERT INTO schema_migrations (version, name) VALUES (9999, 'tomorrow')")
    connection.close()
    fails(daemon, "--source", repo.path, "--database", "kg.db", code=6, says="install a newer visionflow-daemon")


@pytest.mark.sqlite
def test_a_folder_where_the_database_is_due(repo: Repo, daemon: Daemon) -> None:
    (daemon.folder / "folder").mkdir()
    fails(daemon, "--source", repo.path, "--database", "folder", code=6, says="is a folder")


@pytest.mark.sqlite
def test_a_database_in_a_folder_that_is_missing_or_a_file(repo: Repo, daemon: Daemon) -> None:
    (daemon.folder / "file").write_text("x")
    fails(daemon, "--source", repo.path, "--database", "missing/x.db", code=6, says="does not exist: create it first")
    fails(daemon, "--source", repo.path, "--database", "file/x.db", code=6, says="is a file")


def test_a_file_where_the_state_directory_is_due(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": class_page(A, "A")})
    (daemon.folder / "state").write_text("x")
    daemon.environment["STATE_DIRECTORY"] = str(daemon.folder / "state")
    fails(daemon, "--source", f"file://{repo.path}", code=2, says="can't make a clone in the state directory")
    assert daemon.once(repo.path).event("state directory not writable")["reason"]


def test_a_database_of_another_kind(repo: Repo, daemon: Daemon) -> None:
    fails(
        daemon, "--source", repo.path, "--database", "mysql://x/y", code=2, says="'mysql' databases are not supported"
    )


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_database_that_cannot_be_written(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": class_page(A, "A")})
    daemon.once(repo.path)
    (daemon.folder / "kg.db").chmod(0o444)
    repo.commit({"B.md": class_page(B, "B")})
    fails(daemon, "--source", repo.path, "--database", "kg.db", code=6, says="can't be written")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"x" * 50_000_000, "the file has 50,000,000 bytes, the limit is"),
        (bytes(range(256)) * 10, "binary content"),
        (b"- ### OntologyBlock\n  - owl:class:: mv:\xe9\xff\n", "not UTF-8: byte 0xe9"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "git-lfs pointer"),
        (b'```json-ld\n{"@type": "Class", "label": "x"}\n```\n', "a Class block without an @id"),
        (b'```json-ld\n{"@type": "Class", "@id": "has blanks"}\n```\n', "class with invalid IRI"),
        (b'```json-ld\n{"@type": "Class",\n', "never closed"),
        (b"```json-ld\n" + b"[" * 100_000 + b"\n```\n", "bad JSON"),
    ],
    ids=["50 MB", "binary", "not UTF-8", "lfs", "no @id", "bad IRI", "open fence", "deep JSON"],
)
def test_a_page_that_cannot_be_read(repo: Repo, daemon: Daemon, content: bytes, says: str) -> None:
    repo.commit({"bad.md": content, "good.md": class_page(A, "A")})
    daemon.once(repo.path, expect=3)
    ((path, reason),) = daemon.query("SELECT display_path, reason FROM source_files WHERE status = 'failed'")
    assert path == "bad.md"
    assert says in reason
    assert daemon.query("SELECT class_iri FROM owl_classes") == [(A,)]


PATHS = {
    b"with blanks/a page.md": "with blanks/a page.md",
    "\N{SPIRAL SHELL}/\N{MICROSCOPE}.md".encode(): "\N{SPIRAL SHELL}/\N{MICROSCOPE}.md",
    b"new\nline.md": "new\\x0aline.md",
    b"latin-\xe9.md": "latin-\\xe9.md",
    b"escape-\x1b[31m.md": "escape-\\x1b[31m.md",
    b"back\\slash.md": "back\\\\slash.md",
    b'quote".md': 'quote".md',
}


def test_paths_of_any_bytes_are_kept_and_shown_harmless(repo: Repo, daemon: Daemon) -> None:
    repo.commit({path: class_page(f"urn:t:{number}", f"P{number}") for number, path in enumerate(PATHS)})
    daemon.once(repo.path)
    held = {bytes(path): shown for path, shown in daemon.query("SELECT path, display_path FROM source_files")}
    assert held == PATHS
    daemon.once(repo.path, database="other.db")
    assert daemon.dump_bytes() == daemon.dump_bytes("other.db")
    repo.commit(dict.fromkeys(PATHS, "```json-ld\n{\n```\n"))
    daemon.once(repo.path, expect=3)
    listed = daemon.run("failures", "--database", "kg.db").out
    assert "\x1b" not in listed
    assert len(listed.splitlines()) == len(PATHS)
    repo.commit(dict.fromkeys(PATHS))
    daemon.once(repo.path)
    assert daemon.query("SELECT COUNT(*) FROM source_files") == [(0,)]
