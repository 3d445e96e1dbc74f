"""The log: what the program can say, what the schema and the document tell of it, and that each line is a whole one."""

from __future__ import annotations

import ast
import io
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import jsonschema
import pytest
import structlog

from tests import log_lines
from tests.support import PROJECT, Daemon, Repo, class_page
from visionflow_daemon import logs
from visionflow_daemon.model import display_path

COMMON = ("timestamp", "level", "event", "ontology_id", "run_id", "commit")
METHODS = {"debug": "debug", "info": "info", "warning": "warning", "error": "error", "exception": "error"}


# What there is to say


@dataclass(frozen=True, slots=True)
class Call:
    """One call that logs, in the source."""

    event: str
    level: str
    fields: frozenset[str]


@cache
def calls() -> tuple[Call, ...]:
    """Find all calls that log. Each must name its event and its fields itself."""
    found = []
    for path in sorted((PROJECT / "visionflow_daemon").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if node.func.attr not in {*METHODS, "critical", "fatal", "warn", "msg", "log"}:
                continue
            if ast.unparse(node.func.value) not in {"log", "self.log", "self._log"}:
                continue
            where = f"{path}:{node.lineno}"
            assert node.func.attr in METHODS, where
            assert len(node.args) == 1, where
            names = [keyword.arg for keyword in node.keywords]
            assert None not in names, f"{where}: fields are to stand in the call itself"
            fields = {name for name in names if name is not None and name != "exc_info"}
            if "exc_info" in names or node.func.attr == "exception":
                fields.add("exception")
            found += [Call(event, METHODS[node.func.attr], frozenset(fields)) for event in events_of(node.args[0])]
    return tuple(found)


def events_of(argument: ast.expr) -> list[str]:
    """Give the events that a call may name: one, or one of two."""
    if isinstance(argument, ast.IfExp):
        return events_of(argument.body) + events_of(argument.orelse)
    assert isinstance(argument, ast.Constant), ast.unparse(argument)
    return [argument.value]


def test_nobody_logs_but_by_the_name_log() -> None:
    for path in (PROJECT / "visionflow_daemon").rglob("*.py"):
        made = re.findall(r"(\S+)(?::[^=\n]+)? = .*get_logger\(", path.read_text())
        assert set(made) <= {"log"}, path


def test_the_schema_has_the_events_of_the_source_and_no_others() -> None:
    said = {call.event: {each.level for each in calls() if each.event == call.event} for call in calls()}
    schema = {event: {branch["properties"]["level"]["const"]} for event, branch in log_lines.branches().items()}
    assert schema == said


@pytest.mark.parametrize("event", sorted(log_lines.branches()))
def test_the_schema_has_the_fields_of_the_source_and_no_others(event: str) -> None:
    branch = log_lines.branches()[event]
    told = [call.fields for call in calls() if call.event == event]
    assert set(branch["properties"]) - set(COMMON) == frozenset().union(*told)
    always = frozenset.intersection(*told) - {"exception"}  # which stands only where there is one
    assert set(branch["required"]) - set(COMMON) == always
    assert branch["additionalProperties"] is False


def types(field: dict[str, object]) -> str:
    """Say what a field may be, as the document does."""
    if "$ref" in field:
        field = log_lines.SCHEMA["$defs"][str(field["$ref"]).removeprefix("#/$defs/")]
    kind = field["type"]
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def test_the_document_tells_what_the_schema_says() -> None:
    text = (PROJECT / "docs" / "logging.md").read_text()
    head, *sections = re.split(r"^### ", text, flags=re.MULTILINE)
    told = {}
    for section in sections:
        (name,) = re.findall(r"\A`([^`]+)`\n", section)
        level = section.splitlines()[2].partition(".")[0].lower()
        told[name] = (level, dict(re.findall(r"^\| `(\w+)` \| ([\w ]+) \| \S", section, flags=re.MULTILINE)))
    assert told == {
        event: (
            branch["properties"]["level"]["const"],
            {name: types(field) for name, field in branch["properties"].items() if name not in COMMON},
        )
        for event, branch in log_lines.branches().items()
    }
    assert tuple(re.findall(r"^\| `(\w+)` \| string \| \S", head, flags=re.MULTILINE)) == COMMON


def test_the_schema_is_one_and_knows_a_line_from_others() -> None:
    jsonschema.Draft202012Validator.check_schema(log_lines.SCHEMA)
    whole = jsonschema.Draft202012Validator(log_lines.SCHEMA)
    line = {
        "timestamp": "2026-11-24T11:49:55.123456Z",
        "level": "info",
        "event": "packs joined",
        "ontology_id": "default",
        "clone": "/var/lib/visionflow/clones/x",
        "packs": 12,
    }
    for valid in (line, line | {"run_id": "0" * 32, "commit": "a" * 40}):
        assert whole.is_valid(valid)
        assert log_lines.complaint(json.dumps(valid)) is None
    for wrong in (
        {"packs": "12"},
        {"more": 1},
        {"event": "packs parted"},
        {"level": "debug"},
        {"timestamp": "now"},
        {"run_id": None},
    ):
        assert not whole.is_valid(line | wrong), wrong
        assert log_lines.complaint(json.dumps(line | wrong)) is not None, wrong
    for name in line:
        assert not whole.is_valid({key: value for key, value in line.items() if key != name}), name


# Real passes


def test_every_line_of_passes_with_all_kinds_of_files_is_valid_and_tells_run_and_commit(
    repo: Repo, daemon: Daemon
) -> None:
    bad = '```json-ld\n{"@type": "Class", oops}\n```\n'
    first = repo.commit(
        {
            b"caf\xc3\xa9.md": class_page("urn:t:a", "Kähler \u2028 \U0001f600"),
            b"\xff\x1b[31m\n.md": class_page("urn:t:a", "B"),
            "bad.md": bad,
            "note.md": "a note\n",
        }
    )
    ran = daemon.once(repo.path, "--log-level", "debug", expect=3)
    events = {event["event"]: event for event in ran.events}
    assert {
        *("migration applied", "pass started", "pass finished", "file saved", "file skipped", "file failed"),
        "class described by several files",
    } == set(events)
    paths = {event["path"] for event in ran.events if "path" in event}
    assert paths == {"café.md", display_path(b"\xff\x1b[31m\n.md"), "bad.md", "note.md"}
    (run_id,) = {event["run_id"] for event in ran.events if event["event"] != "migration applied"}
    assert run_id == daemon.query("SELECT run_id FROM sync_runs")[0][0]
    assert {event.get("commit") for event in ran.events} == {None, first}
    again = daemon.once(repo.path, expect=3)
    assert [(event["event"], event["commit"], event.get("run_id")) for event in again.events] == [
        ("nothing to do", first, None)
    ]


def test_sources_one_after_the_other_do_not_lend_each_other_their_run_and_commit(daemon: Daemon) -> None:
    good = Repo(daemon.folder / "good.git")
    good.commit({"A.md": class_page("urn:t:a", "A")})
    daemon.folder.joinpath("two.toml").write_text(
        f'[[sources]]\nlocation = "{good.path}"\nontology_id = "one"\n'
        '[[sources]]\nlocation = "missing.git"\nontology_id = "two"\n'
    )
    ran = daemon.run("--once", "--config", "two.toml", "--database", "kg.db")
    assert ran.code == 2
    failed = ran.event("pass failed")
    assert failed["ontology_id"] == "two"
    assert not failed.keys() & {"run_id", "commit"}


# One line an event


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.TextIOWrapper]:
    """Standard output as the program finds it where the locale is not UTF-8; JSON lines go there."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    logs.configure("json", "debug")
    yield stream
    structlog.reset_defaults()


def written(stream: io.TextIOWrapper) -> list[str]:
    stream.flush()
    raw = stream.buffer.getvalue()  # type: ignore[attr-defined]
    assert raw.endswith(b"\n")
    text = raw.decode()
    assert text.splitlines() == text[:-1].split("\n")  # whatever a reader takes for the end of a line
    return text.splitlines()


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("Überprüfung 検証 😀", "Überprüfung 検証 😀"),
        ("x" * 5_000 + "é" * 5_000, "x" * 5_000 + "é" * 5_000),
        ("".join(map(chr, range(0xA1))), "".join(map(chr, range(0xA1)))),
        (
            "a\nb\r\nc\u2028d\u2029e\x85f\u202eg\ufeffh\U000e0001i",
            "a\nb\r\nc\u2028d\u2029e\x85f\u202eg\ufeffh\U000e0001i",
        ),
        ("half \ud83d of a pair, \udcff a byte", "half \\xed\\xa0\\xbd of a pair, \\xff a byte"),
        (os.fsdecode(b"/state/\xe9/\xff"), "/state/\\xe9/\\xff"),
        (Path(os.fsdecode(b"/state/\xff")), "/state/\\xff"),
        (["\udcff", {"\udcfe": ("\udcfd", 1, None, 2.5, True)}], ["\\xff", {"\\xfe": ["\\xfd", 1, None, 2.5, True]}]),
        (1 << 80, str(1 << 80)),
        (float("nan"), None),
    ],
)
def test_any_value_makes_one_line_of_json(lines: io.TextIOWrapper, value: object, read: object) -> None:
    structlog.get_logger().warning("file failed", reason=value)
    (line,) = written(lines)
    assert json.loads(line)["reason"] == read
    assert line.isprintable()


def test_lines_of_many_threads_do_not_mix() -> None:
    program = (
        "import threading, structlog\n"
        "from visionflow_daemon import logs\n"
        "logs.configure('json', 'info')\n"
        "log = structlog.get_logger()\n"
        "def say(n):\n"
        "    for i in range(200): log.info('x', n=n, i=i, reason='é' * (i * 50))\n"
        "threads = [threading.Thread(target=say, args=(n,)) for n in range(8)]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, cwd=PROJECT)
    events = [json.loads(line) for line in done.stdout.decode().splitlines()]
    assert sorted((event["n"], event["i"]) for event in events) == [(n, i) for n in range(8) for i in range(200)]


def test_a_line_is_utf_8_whatever_the_locale(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"é.md": '```json-ld\n{"@type": "Class", oops}\n```\n'})
    daemon.environment["PYTHONIOENCODING"] = "latin-1"
    assert daemon.once(repo.path, expect=3).event("file failed")["path"] == "é.md"


def test_a_directory_whose_name_is_not_utf_8_is_told_all_the_same(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": class_page("urn:t:a", "A")})
    blocked = daemon.folder / os.fsdecode(b"st\xe9te")
    blocked.touch()
    daemon.environment["STATE_DIRECTORY"] = str(blocked)
    told = daemon.once(repo.path).event("state directory not writable")
    assert told["directory"] == f"{daemon.folder}/st\\xe9te"


# Exceptions


def broken(secret: str) -> None:
    """Fail with a secret at hand."""
    try:
        len(secret) / 0
    except ZeroDivisionError as error:
        group = ExceptionGroup("several\u2028of them", [KeyError("a"), OSError(5, "b")])
        group.add_note("looked at twice")
        raise group from error


def test_an_exception_is_structured_and_holds_no_local_variables(lines: io.TextIOWrapper) -> None:
    with structlog.contextvars.bound_contextvars(ontology_id="default"):
        try:
            broken("hunter2")
        except ExceptionGroup:
            structlog.get_logger().exception("pass failed", reason="internal error", exit_code=1)
    (line,) = written(lines)
    assert log_lines.complaint(line) is None
    assert "hunter2" not in line
    assert "locals" not in line
    group, cause = json.loads(line)["exception"]
    assert (group["exc_type"], group["exc_notes"], group["is_group"]) == ("ExceptionGroup", ["looked at twice"], True)
    assert group["exc_value"].startswith("several\u2028of them")
    assert [each[0]["exc_type"] for each in group["exceptions"]] == ["KeyError", "OSError"]
    assert (cause["exc_type"], cause["exc_value"]) == ("ZeroDivisionError", "division by zero")
    assert [frame["name"] for frame in group["frames"]][-1] == "broken"


def test_an_exception_in_a_pass_is_structured(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": class_page("urn:t:a", "A")})
    program = (
        "import sys\n"
        "from visionflow_daemon import lean; lean.import_structlog()\n"
        "from visionflow_daemon.sync import reader, run\n"
        "def broken(*_, secret='hunter2'): held = secret * 2; raise ZeroDivisionError('planned')\n"
        f"sys.argv = ['x', '--once', '--source', {str(repo.path)!r}, '--database', 'kg.db']\n"
        "from visionflow_daemon.cli.main import main\n"
    )
    for breaks, event, code in (
        ("reader._read = broken", "file failed", 3),
        ("run.make_plan = broken", "pass failed", 1),
    ):
        ran = daemon.run_python(f"{program}{breaks}\nmain()\n")
        assert ran.code == code, ran.err
        (exception,) = ran.event(event)["exception"]
        assert (exception["exc_type"], exception["exc_value"]) == ("ZeroDivisionError", "planned")
        assert exception["frames"][-1]["name"] == "broken"
        assert "hunter2" not in ran.out


# Where lines go


def test_the_console_shows_a_hostile_value_harmless_and_in_one_line(
    monkeypatch: pytest.MonkeyPatch, lines: io.TextIOWrapper
) -> None:
    monkeypatch.setattr(sys, "stdout", lines)
    logs.configure("console", "info")
    structlog.get_logger().info("pass started", reason="a\nb \udcff", path="é")
    (line,) = written(lines)
    assert "pass started" in line
    assert "\\n" in line


def test_retry_answers_on_standard_output_and_logs_on_standard_error(repo: Repo, daemon: Daemon) -> None:
    daemon.environment["VISIONFLOW_BREAKER__FAILING_PASSES"] = "1"
    repo.commit({"A.md": class_page("urn:t:a", "A")})
    daemon.once(repo.path)
    daemon.once("http://127.0.0.1:9/none", "--replace-source", expect=4)
    program = (
        "import errno, pathlib, sys\n"
        "def refuse(*_, **__): raise OSError(errno.EROFS, 'Read-only file system')\n"
        "pathlib.Path.unlink = refuse\n"
        f"sys.argv = ['x', 'retry', '--database', '{daemon.database()}', '--json']\n"
        "from visionflow_daemon.cli.main import main\n"
        "main()\n"
    )
    ran = daemon.run_python(program)
    assert [breaker["guards"] for breaker in ran.json["closed"]] == ["remote"]
    assert log_lines.complaint(ran.err.strip()) is None
    assert json.loads(ran.err)["event"] == "state directory not writable"
