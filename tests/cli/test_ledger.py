"""`failures` and `retry`: what is told of failed files, and that they are tried again when somebody says so."""

from __future__ import annotations

import json
import re

import pytest

from tests import engines
from tests.cli.failing import NOT_UTF8, SHOWN, A, C, failures, raw
from tests.cli.terminal import on_a_terminal
from tests.cli.test_harmless import RED
from tests.cli.test_verbs import BROKEN, TIME
from tests.support import Daemon, Ran, Repo, class_page, git


def failed(daemon: Daemon, *arguments: str) -> list[str]:
    """Give the paths that `failures` lists."""
    answer = daemon.run("failures", "--database", "kg.db", "--json", *arguments).json
    return [each["path"] for each in answer["failures"]]


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
    assert failing.query("SELECT blob_saved FROM source_files WHERE display_path = 'pages/lost.md'") == [(blob,)]
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
    assert (ran.returncode, json.loads(ran.stdout)) == (0, {"retried": due, "total": len(due), "closed": []})
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
        " ORDER BY path"
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
    none, old = failing.folder / "none.db", failing.folder / "old.db"
    assert failing.run("retry", "--database", none).code == 6
    assert engines.tables(none) == set()
    with engines.Connected(old) as connection:
        connection.execute("CREATE TABLE schema_migrations (version INTEGER, name TEXT)")
    before = engines.state(old)
    ran = failing.run("retry", "--database", old)
    assert ran.code == 6
    assert f"lacks migration {engines.made()[0].version}" in ran.err
    assert engines.state(old) == before
    assert failing.run("retry", "--database", "kg.db", "--ontology-id", "other").code == 2


def test_retry_of_a_database_that_is_held_by_another_writer_says_so(failing: Daemon) -> None:
    before, place = attempts(failing), failing.folder / "kg.db"
    failing.environment["VISIONFLOW_SYNC__BUSY_TIMEOUT"] = "0.2"
    with engines.Connected(place) as other:
        other.lock()
        ran = failing.run("retry", "--database", "kg.db")
    assert (ran.code, ran.out) == (6, "")
    other_one = "another session of" if engines.IS_SERVER else "another program writes to"
    assert ran.err.startswith(f"visionflow-daemon: {other_one} {engines.known_as(place)}")
    assert attempts(failing) == before
