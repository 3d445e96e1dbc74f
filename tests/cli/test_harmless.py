"""Nothing that a page, a path or a mistake says controls the terminal that shows it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.terminal import on_a_terminal
from tests.support import Daemon, Repo, class_page, outline_page

RED = "\x1b[31m"
HOSTILE = {
    f"a{RED}.md": '```json-ld\n{"@type": "Class", "@id": "has \\u001b]0;title\\u0007 blanks"}\n```\n',
    "b\x9b31m\n.md": outline_page("B", axioms=f"SubClassOf(mv:B zz{RED}:C)"),
    "c\x07.md": class_page("urn:t:c", "c"),
}


UNSEEN = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c\u2028\u2029\u200b\ufeff\xad"
"""Characters that put a text into another order, part it, or can't be seen."""


def assert_harmless(shown: str) -> None:
    """See that a terminal got no control character but the end of a line."""
    assert {character for character in shown if not character.isprintable()} <= {"\n"}, repr(shown)


def test_the_terminal_of_this_test_is_one(daemon: Daemon) -> None:
    code, shown = on_a_terminal(daemon, "parse", "missing.md")
    assert code != 0
    assert shown == "visionflow-daemon: can't read missing.md: No such file or directory\n"


@pytest.mark.parametrize("arguments", [("failures", "--warnings"), ("failures", "--json"), ("status",)])
def test_what_the_database_says_of_hostile_files_is_harmless(
    repo: Repo, daemon: Daemon, arguments: tuple[str, ...]
) -> None:
    repo.commit({path.encode(): page for path, page in HOSTILE.items()})
    daemon.once(repo.path, expect=3)
    code, shown = on_a_terminal(daemon, *arguments, "--database", "kg.db")
    assert code == 0
    assert_harmless(shown)
    if arguments[0] == "failures":
        assert "a\\x1b[31m.md" in shown.replace("\\\\", "\\")


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_log_lines_about_hostile_files_are_harmless(repo: Repo, daemon: Daemon, log_format: str) -> None:
    repo.commit({path.encode(): page for path, page in HOSTILE.items()})
    ran = daemon.once(repo.path, "--log-format", log_format, "--log-level", "debug", expect=3)
    assert "\\x1b[31m.md" in ran.out.replace("\\\\", "\\")
    assert_harmless(ran.out + ran.err)


@pytest.mark.parametrize("path", list(HOSTILE))
def test_parse_of_a_hostile_file_is_harmless(daemon: Daemon, path: str) -> None:
    (daemon.folder / path).write_text(HOSTILE[path])
    code, shown = on_a_terminal(daemon, "parse", path)
    assert code == (3 if path.startswith("a") else 0)
    assert_harmless(shown)


def test_mistakes_about_hostile_names_are_harmless(daemon: Daemon) -> None:
    database = f"sqlite:///no{RED}"
    for arguments in (("parse", f"no{RED}"), ("status", "--database", database), ("status", "--config", f"no{RED}")):
        code, shown = on_a_terminal(daemon, *arguments)
        assert code != 0
        assert "no\\x1b[31m" in shown
        assert_harmless(shown)


def test_the_dump_on_a_terminal_is_harmless(repo: Repo, daemon: Daemon) -> None:
    repo.commit({path.encode(): page for path, page in HOSTILE.items()})
    daemon.once(repo.path, expect=3)
    code, shown = on_a_terminal(daemon, "dump", "--database", "kg.db")
    assert code == 0
    assert [json.loads(line)[0] for line in shown.splitlines()][:2] == ["file", "file"]
    assert_harmless(shown)


@pytest.mark.parametrize("verb", ["migrate", "check-config"])
def test_a_hostile_name_of_a_database_is_shown_harmless(daemon: Daemon, verb: str) -> None:
    code, shown = on_a_terminal(daemon, verb, "--database", f"x{RED}.db")
    assert code == 0
    assert_harmless(shown)


def test_json_on_a_terminal_escapes_every_control_character(daemon: Daemon) -> None:
    (daemon.folder / "a.md").write_text(class_page("urn:t:a", "a\x9b31m\x7fb", mark="\x9b"))
    code, shown = on_a_terminal(daemon, "parse", "a.md", "--json")
    assert code == 0
    assert json.loads(shown)["classes"][0]["label"] == "a\x9b31m\x7fb"
    assert_harmless(shown)


def test_what_nobody_sees_is_escaped_in_json_and_says_the_same(repo: Repo, daemon: Daemon) -> None:
    label = f"a{UNSEEN}b"
    page = class_page("urn:t:a", label)
    (daemon.folder / "a.md").write_text(page)
    repo.commit({"a.md": page, f"{UNSEEN}.md": class_page("urn:t:b", "b")})
    daemon.once(repo.path)
    repo.commit({"a.md": class_page("urn:t:a", f"c{UNSEEN}d")})
    daemon.once(repo.path, database="other.db")
    shown = {}
    for arguments in (
        ("dump", "--database", "kg.db"),
        ("parse", "a.md"),
        ("parse", "a.md", "--json"),
        ("status", "--database", "kg.db", "--json"),
        ("compare", "kg.db", "other.db"),
        ("compare", "kg.db", "other.db", "--json"),
        ("compare", "kg.db", "other.db", "--json-lines"),
    ):
        _, shown[arguments] = on_a_terminal(daemon, *arguments)
        assert_harmless(shown[arguments])
    dumped = [json.loads(line) for line in shown["dump", "--database", "kg.db"].splitlines()]
    assert label in {row[3] for row in dumped if row[0] == "class"}
    assert json.loads(shown["parse", "a.md", "--json"])["classes"][0]["label"] == label


@pytest.mark.parametrize("name", ["missing.md", "folder"])
def test_parse_of_what_is_no_file_is_a_mistake_of_usage(daemon: Daemon, name: str) -> None:
    (daemon.folder / "folder").mkdir()
    ran = daemon.run("parse", Path(name))
    assert ran.err.startswith(f"visionflow-daemon: can't read {name}: ")
    assert ran.code == 2


def test_status_as_json_says_whole_as_true_or_false(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": class_page("urn:t:a", "A")})
    daemon.once(repo.path)
    assert daemon.run("status", "--database", "kg.db", "--json").json[0]["is_whole"] is True
