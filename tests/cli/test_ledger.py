"""`failures` and `retry`: what is told of failed files, and that they are tried again when somebody says so."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.cli.terminal import on_a_terminal
from tests.cli.test_harmless import RED, assert_harmless
from tests.cli.test_verbs import BROKEN, HALF, TIME
from tests.support import Daemon, Ran, Repo, Symlink, class_page, git
from visionflow_daemon.storage.migrate import migrations

A, B, C = "urn:t:a", "urn:t:b", "urn:t:c"
NOT_UTF8 = b"pages/n\xffew.md"
SHOWN = "pages/n\\xffew.md"
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 1\n"
LATER = "when its content or the way it is read changes"


@pytest.fixture
def failing(repo: Repo, daemon: Daemon) -> Daemon:
    """Good pages, one that broke later, one of a name that is no UTF-8, and one whose blob is lost."""
    repo.commit({"A.md": class_page(A, "A"), "B.md": class_page(B, "B"), "half.md": HALF, "note.md": "- a note\n"})
    daemon.once(repo.path)
    repo.commit(
        {
            "B.md": BROKEN,
            NOT_UTF8: BROKEN.replace("Broken", "New"),
            "pages/lost.md": class_page(C, "C"),
            "x.bin": "no page",
        }
    )
    lose(repo, "pages/lost.md")
    daemon.once(repo.path, expect=3)
    return daemon


def lose(repo: Repo, path: str) -> None:
    """Take a file's blob out of a repository, as a damaged disk does."""
    blob = git("rev-parse", f"main:{path}", cwd=repo.path)
    (repo.path / "objects" / blob[:2] / blob[2:]).unlink()


def failures(daemon: Daemon, *arguments: str | Path) -> list[str]:
    """Give the lines of `failures`."""
    ran = daemon.run("failures", "--database", "kg.db", *arguments)
    assert (ran.code, ran.err) == (0, "")
    return ran.out.splitlines()


def failed(daemon: Daemon, *arguments: str) -> list[str]:
    """Give the paths that `failures` lists."""
    answer = daemon.run("failures", "--database", "kg.db", "--json", *arguments).json
    return [each["path"] for each in answer["failures"]]


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


def raw(daemon: Daemon, *arguments: str | bytes) -> subprocess.CompletedProcess[bytes]:
    """Run the program with arguments of any bytes."""
    command = [*daemon.command(), *arguments, "--database", "kg.db"]
    return subprocess.run(command, cwd=daemon.folder, env=daemon.env(), capture_output=True, check=False)


def attempts(daemon: Daemon) -> dict[str, tuple[int, str | None]]:
    """Give of each file how often it was tried, and when it is again."""
    found = daemon.query("SELECT display_path, attempts, next_attempt_at FROM source_files WHERE status = 'failed'")
    return {path: (count, due) for path, count, due in found}


def test_failures_are_chosen_by_class_path_and_due(failing: Daemon) -> None:
    assert failed(failing) == ["B.md", "pages/lost.md", SHOWN]
    assert failed(failing, "--class", "page") == ["B.md", SHOWN]
    assert failed(failing, "--class", "transient") == ["pages/lost.md"]
    assert failed(failing, "--class", "transient", "--class", "page") == ["B.md", "pages/lost.md", SHOWN]
    assert failed(failing, "--path", "pages/") == ["pages/lost.md", SHOWN]
    assert failed(failing, "--path", "l*.md", "--path", "/B.md") == ["B.md", "pages/lost.md"]
    assert failed(failing, "--path", "*.md", "--path", "!pages/lost.md", "--class", "page") == ["B.md", SHOWN]
    assert failed(failing, "--due") == []
    assert [line.partition(":")[0] for line in failures(failing, "--class", "transient")] == ["pages/lost.md"]


def test_a_glob_may_hold_any_bytes(failing: Daemon) -> None:
    ran = raw(failing, "failures", "--path", b"n\xff*.md")
    assert ran.stdout.decode().startswith(f"{SHOWN}:5: bad JSON: ")
    assert ran.stdout.count(b"\n") == 1


@pytest.mark.parametrize("mistake", [("--class", "systemic"), ("--path", "!"), ("--explain", "B.md", "--due")])
def test_a_choice_that_makes_no_sense_is_a_mistake_of_usage(failing: Daemon, mistake: tuple[str, ...]) -> None:
    ran = failing.run("failures", "--database", "kg.db", *mistake)
    assert (ran.code, ran.out) == (2, "")
    assert "Traceback" not in ran.err


def test_warnings_are_chosen_by_path_too(failing: Daemon) -> None:
    assert [line.partition(":")[0] for line in failures(failing, "--warnings", "--path", "h*")] == ["half.md"]
    assert failures(failing, "--warnings", "--path", "/A.md") == []


def test_the_table_shows_all_that_is_known(failing: Daemon) -> None:
    header, first, second, third, empty, _, warning = failures(failing, "--table", "--warnings")
    columns = ["path", "line", "class", "attempts", "first failed", "last failed", "next attempt", "stale", "reason"]
    assert re.split("  +", header) == columns
    assert re.fullmatch(rf"B\.md +5  page +1  {TIME}  {TIME}  - +yes +bad JSON: .*", first)
    assert re.fullmatch(rf"pages/lost\.md +- +transient +3  {TIME}  {TIME}  {TIME}  no +blob .* can't be .*", second)
    assert third.startswith(SHOWN)
    assert empty == ""
    assert re.match(r"half\.md +\d+  left out", warning)
    assert failures(failing, "--table", "--path", "none") == []


def test_a_terminal_is_told_how_many_there_are(failing: Daemon) -> None:
    code, shown = on_a_terminal(failing, "failures", "--database", "kg.db")
    assert (code, shown.splitlines()[-1]) == (0, "3 failures, 1 stale")
    _, shown = on_a_terminal(failing, "failures", "--database", "kg.db", "--json")
    assert len(json.loads(shown)["failures"]) == 3


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


def planned(ran: Ran) -> tuple[str, int]:
    """Tell how a pass was planned, and how many files it tried."""
    return ran.event("pass started")["plan"], ran.event("pass started")["to_save"]


def test_a_page_failure_is_tried_again_at_the_same_content_after_retry(repo: Repo, failing: Daemon) -> None:
    source = ("--exclude", "pages/lost.md")  # else it comes due by itself
    failing.once(repo.path, *source, expect=3)
    assert failing.once(repo.path, *source, expect=3).event("nothing to do")
    before = failing.dump_bytes()
    ran = failing.run("retry", "--database", "kg.db")
    assert (ran.code, ran.out) == (0, "2 failed files are due: the next pass tries again\n")
    assert failing.dump_bytes() == before
    assert failed(failing, "--due") == ["B.md", SHOWN]

    assert planned(failing.once(repo.path, *source, expect=3)) == ("diff", 2)
    assert attempts(failing) == {"B.md": (2, None), SHOWN: (2, None)}
    assert failed(failing, "--due") == []
    assert failing.once(repo.path, *source, expect=3).event("nothing to do")

    assert failing.run("retry", "--database", "kg.db", "B.md").code == 0
    assert planned(failing.once(repo.path, *source, "--exclude", "none", expect=3)) == ("tree", 1)
    assert attempts(failing) == {"B.md": (3, None), SHOWN: (2, None)}
    assert failing.once(repo.path, *source, "--exclude", "none", expect=3).event("nothing to do")
    assert failing.dump_bytes() == before


def test_a_file_that_can_be_read_again_is_saved_after_retry(repo: Repo, failing: Daemon) -> None:
    blob = git("hash-object", "-w", "--stdin", cwd=repo.path, stdin=class_page(C, "C").encode())
    assert failing.once(repo.path, expect=3).event("nothing to do")
    assert failing.run("retry", "--database", "kg.db", "pages/lost.md").code == 0
    failing.once(repo.path, expect=3)
    assert explained(failing, "pages/lost.md")["blob_saved"] == blob
    assert failed(failing) == ["B.md", SHOWN]


@pytest.mark.parametrize(
    ("names", "due"),
    [
        (["B.md"], ["B.md"]),
        ([NOT_UTF8], [SHOWN]),
        ([SHOWN], [SHOWN]),
        (["pages/", "*.md"], ["B.md", "pages/lost.md", SHOWN]),
        (["p*/l*", "/B.md"], ["B.md", "pages/lost.md"]),
        ([], ["B.md", "pages/lost.md", SHOWN]),
    ],
)
def test_retry_takes_paths_as_they_are_as_shown_and_globs(
    failing: Daemon, names: list[str | bytes], due: list[str]
) -> None:
    ran = raw(failing, "retry", "--json", *names)
    assert (ran.returncode, json.loads(ran.stdout)) == (0, {"retried": due, "total": len(due)})
    assert failed(failing, "--due") == due


def test_a_path_that_is_failed_is_no_glob_for_others(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"[ab].md": BROKEN, "a.md": BROKEN, "x/[ab].md": BROKEN, "c\\.md": BROKEN, "d\\": class_page(A, "A")})
    daemon.once(repo.path, expect=3)
    assert daemon.run("retry", "--database", "kg.db", "--json", "[ab].md").json["retried"] == ["[ab].md"]
    assert daemon.run("retry", "--database", "kg.db", "--json", "c\\.md").json["retried"] == ["c\\\\.md"]
    assert daemon.run("retry", "--database", "kg.db", "d\\").code == 2


def test_retry_of_what_has_not_failed_changes_nothing(failing: Daemon) -> None:
    before = attempts(failing)
    ran = failing.run("retry", "--database", "kg.db", "B.md", "A.md", "no*", f"x{RED}")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines() == [
        f"visionflow-daemon: no failed file is called '{name}'" for name in ("A.md", "no*", "x\\x1b[31m")
    ]
    assert attempts(failing) == before


def test_retry_touches_no_file_that_has_not_failed(failing: Daemon) -> None:
    others = "SELECT * FROM source_files WHERE status <> 'failed' ORDER BY path"
    columns = (
        "SELECT path, status, blob_seen, digest_seen, blob_saved, reason, attempts, first_failed_at FROM source_files"
    )
    before = failing.query(others), failing.query(columns)
    assert failing.run("retry", "--database", "kg.db").code == 0
    assert (failing.query(others), failing.query(columns)) == before


def test_retry_without_failures_says_so(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": class_page(A, "A")})
    daemon.once(repo.path)
    ran = daemon.run("retry", "--database", "kg.db")
    assert (ran.code, ran.out) == (0, "no file has failed: there is nothing to try again\n")
    assert daemon.once(repo.path).event("nothing to do")


def test_retry_wants_a_database_of_today(failing: Daemon) -> None:
    ran = failing.run("retry", "--database", "none.db")
    assert (ran.code, (failing.folder / "none.db").exists()) == (6, False)
    connection = sqlite3.connect(failing.folder / "old.db")
    connection.execute("CREATE TABLE schema_migrations (version INTEGER, name TEXT)")
    connection.close()
    before = (failing.folder / "old.db").read_bytes()
    ran = failing.run("retry", "--database", "old.db")
    assert ran.code == 6
    assert f"lacks migration {migrations()[0].version}" in ran.err
    assert (failing.folder / "old.db").read_bytes() == before
    assert failing.run("retry", "--database", "kg.db", "--ontology-id", "other").code == 2


def test_retry_of_a_database_that_is_held_by_another_writer_says_so(failing: Daemon) -> None:
    before = attempts(failing)
    connection = sqlite3.connect(failing.folder / "kg.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    try:
        ran = failing.run("retry", "--database", "kg.db")
    finally:
        connection.execute("ROLLBACK")
        connection.close()
    assert (ran.code, ran.out) == (6, "")
    assert ran.err == "visionflow-daemon: the database is busy: database is locked\n"
    assert attempts(failing) == before
