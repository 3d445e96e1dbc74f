"""`failures --explain`: all that is known of one file, the lines of its page, and what to do."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.cli.failing import NOT_UTF8, SHOWN, A, failures, lose, raw
from tests.cli.terminal import on_a_terminal
from tests.cli.test_harmless import RED, assert_harmless
from tests.cli.test_verbs import BROKEN, TIME
from tests.support import Daemon, Repo, Symlink, class_page, git

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n"
LATER = "when its content or the way it is read changes"


def explained(daemon: Daemon, path: str, *arguments: str | Path) -> dict[str, Any]:
    """Give what is known of a file, as an object."""
    ran = daemon.run("failures", "--database", "kg.db", "--json", *arguments, "--explain", path)
    assert (ran.code, ran.err) == (0, "")
    told = ran.json
    assert isinstance(told, dict)
    return told


def rows(lines: list[str]) -> dict[str, str]:
    """Read the table of an explanation."""
    return dict(re.findall(r"^([a-z][a-z ]*?)  +(.*)$", "\n".join(lines), re.MULTILINE))


def test_a_stale_file_is_explained_with_the_lines_that_it_fails_at(failing: Daemon, repo: Repo) -> None:
    lines = failures(failing, "--explain", "B.md")
    told = rows(lines)
    assert list(told) == [
        *("path", "status", "class", "reason", "line", "attempts", "first failed", "last failed", "next attempt"),
        *("content tried", "content held", "format held", "last good facts", "what to do"),
    ]
    assert (told["status"], told["class"], told["line"], told["attempts"]) == ("failed", "page", "5", "1")
    assert told["next attempt"] == LATER
    assert told["content tried"] == git("rev-parse", "main:B.md", cwd=repo.path)
    assert told["content held"] == git("rev-parse", "main~1:B.md", cwd=repo.path)
    assert re.fullmatch(f"kept as of {TIME}", told["last good facts"])
    assert told["what to do"].startswith("mend the page and commit it; `visionflow-daemon parse FILE`")
    assert lines[-4:] == ["  3  ```json-ld", '  4  {"@type": "Class",', '> 5   "@id": oops}', "  6  ```"]


def test_an_explanation_as_json_says_the_same(failing: Daemon, repo: Repo) -> None:
    told = explained(failing, "B.md")
    times = {name: told.pop(name) for name in ("first_failed_at", "last_failed_at", "saved_at")}
    assert all(re.fullmatch(TIME, time) for time in times.values())
    assert told.pop("reason").startswith("bad JSON: ")
    assert told.pop("advice").startswith("mend the page")
    assert [line.pop("text") for line in told["excerpt"]][2] == ' "@id": oops}'
    assert told == {
        "path": "B.md",
        "status": "failed",
        "format": "jsonld-page",
        "blob": git("rev-parse", "main:B.md", cwd=repo.path),
        "blob_saved": git("rev-parse", "main~1:B.md", cwd=repo.path),
        "failure_class": "page",
        "line": 5,
        "attempts": 1,
        "next_attempt_at": None,
        "is_stale": True,
        "warnings": [],
        "excerpt": [{"number": number, "is_meant": number == 5} for number in (3, 4, 5, 6)],
        "unread": None,
    }


def test_files_that_did_not_fail_are_explained_too(failing: Daemon) -> None:
    half = rows(failures(failing, "--explain", "half.md"))
    assert (half["status"], half["format"]) == ("saved", "ontology-block")
    assert re.match(r"line \d+: left out, undeclared prefix 'zz:'", half["warning"])
    note = explained(failing, "note.md")
    assert (note["status"], note["reason"], note["excerpt"]) == ("skipped", "a page without an ontology", [])
    stranger = explained(failing, "x.bin")
    assert (stranger["status"], stranger["saved_at"]) == ("not known", None)
    assert "--exclude" in stranger["advice"]


@pytest.mark.parametrize("name", [NOT_UTF8, SHOWN.encode()])
def test_a_path_is_told_as_it_is_or_as_it_is_shown(failing: Daemon, name: bytes) -> None:
    ran = raw(failing, "failures", "--json", "--explain", name)
    assert (ran.returncode, ran.stderr) == (0, b"")
    told = json.loads(ran.stdout)
    assert (told["path"], told["is_stale"], told["blob_saved"]) == (SHOWN, False, None)
    assert len(told["excerpt"]) == 4


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("lost.md", "; did you mean 'pages/lost.md'"),
        ("pages/nxew.md", f"; did you mean '{SHOWN}'"),
        ("zzzzzzzz", ""),
        ("", ""),
        ("pages", ""),
    ],
)
def test_a_path_that_nobody_knows_is_a_mistake_of_usage(failing: Daemon, name: str, hint: str) -> None:
    ran = failing.run("failures", "--database", "kg.db", "--explain", name)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"visionflow-daemon: no file is known as '{name}'{hint}")


def test_a_page_that_cannot_be_read_any_more_is_explained_without_its_lines(failing: Daemon, repo: Repo) -> None:
    lose(repo, "B.md")
    lines = failures(failing, "--explain", "B.md")
    assert re.match("the page can't be shown: blob [0-9a-f]{40} can't be read", lines[-1])
    repo.path.rename(repo.path.with_name("elsewhere.git"))
    told = explained(failing, "pages/n\\xffew.md")
    assert (told["excerpt"], told["line"]) == ([], 5)
    assert f"there is nothing at {repo.path}" in told["unread"]
    assert len(explained(failing, SHOWN, "--source", repo.path.with_name("elsewhere.git"))["excerpt"]) == 4


def test_a_page_of_a_remote_is_read_from_its_clone(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"B.md": BROKEN})
    daemon.once(f"file://{repo.path}", expect=3)
    repo.path.rename(repo.path.with_name("unplugged.git"))
    assert failures(daemon, "--explain", "B.md")[-2] == '> 5   "@id": oops}'


def test_what_a_hostile_page_says_is_cut_and_harmless(repo: Repo, daemon: Daemon) -> None:
    hostile = f'# {RED}\u202e\n\n```json-ld\n{{"@type": "Class",\n\t"@id": {RED}oops{"x" * 300}}}\n\x9b2J\xff\n```\n'
    path = f"a{RED}\n.md".encode()
    repo.commit({path: hostile})
    daemon.once(repo.path, expect=3)
    for arguments in (("--explain", os.fsdecode(path)), ("--explain", os.fsdecode(path), "--json"), ("--table",)):
        code, shown = on_a_terminal(daemon, "failures", "--database", "kg.db", *arguments)
        assert code == 0
        assert_harmless(shown)
    (line,) = (line for line in failures(daemon, "--explain", "a\\x1b[31m\\x0a.md") if line.startswith("> 5"))
    assert line.startswith('> 5      "@id": \\x1b[31moopsxxx')
    assert line.endswith("xxx…")
    assert len(line) == len("> 5  …") + 200 + len("\\x1b") - 1


@pytest.mark.parametrize(
    ("page", "line", "advice"),
    [
        (POINTER, 1, "git lfs migrate export"),
        (b"- ### OntologyBlock\r\n\r\n- latin \xe9\r\n", 3, "save the page as UTF-8"),
        (b"a\0\n", 1, "save the page as UTF-8"),
        ("- ### OntologyBlock\n", None, "mend the page"),
        (class_page(A, "A") + "x" * 2_000, None, "[reading.limits]"),
    ],
)
def test_what_to_do_goes_by_the_reason(
    repo: Repo, daemon: Daemon, page: bytes | str, line: int | None, advice: str
) -> None:
    (daemon.folder / "x.toml").write_text("[reading.limits]\npage_bytes = 2000\n")
    repo.commit({"A.md": page})
    daemon.once(repo.path, "--config", "x.toml", expect=3)
    told = explained(daemon, "A.md", "--config", "x.toml")
    assert told["line"] == line
    assert [each["number"] for each in told["excerpt"] if each["is_meant"]] == ([line] if line else [])
    assert advice in told["advice"]


def test_a_transient_failure_wants_nothing_done(failing: Daemon) -> None:
    told = rows(failures(failing, "--explain", "pages/lost.md"))
    assert re.fullmatch(TIME, told["next attempt"])
    assert told["last good facts"] == "none: it was never saved"
    assert told["what to do"].startswith("nothing: it is tried again by itself")


def test_a_skipped_symlink_is_explained(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": Symlink(b"B.md")})
    daemon.once(repo.path)
    assert (explained(daemon, "A.md")["status"], explained(daemon, "A.md")["format"]) == ("skipped", "symlink")
