"""Notifications of the running daemon, as a process: told to real programs and servers, and never in the way."""

from __future__ import annotations

import json
import shlex
import signal
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests import engines, log_lines
from tests.git.servers import free_port
from tests.hooks.support import answers, hangs, program, recorder, webhook
from tests.support import PROJECT, Daemon, Repo, Running, class_page, eventually
from tests.test_daemon import page, silent_server

ALL = '["changed", "failing", "recovered", "held"]'
HUSH = "opensesame-4711"


def config(daemon: Daemon, location: Path | str, *hooks: str, interval: float = 60, extra: str = "") -> Path:
    """Write a configuration with one source and these hooks, whose keys are given."""
    path = daemon.folder / "config.toml"
    sections = "".join(f"[[notifications]]\n{hook}\n" for hook in hooks)
    path.write_text(
        f'database = "{daemon.folder / "kg.db"}"\n[[sources]]\nlocation = "{location}"\nontology_id = "kg"\n'
        f"{sections}[daemon]\ninterval = {interval}\n[breaker]\nfailing_passes = 1000\n{extra}"
    )
    return path


def to(command: str, on: str = ALL, **more: object) -> str:
    """Write the keys of a hook that is a program."""
    return f'command = ["{command}"]\non = {on}\n' + "".join(f"{name} = {value}\n" for name, value in more.items())


def kinds(told: list[dict[str, Any]]) -> list[str]:
    return [each["event"] for each in told]


def assert_lines_are_whole(running: Running) -> None:
    lines = [line for line in running.events if line["event"].startswith("notification")]
    assert lines
    complaints = [log_lines.complaint(json.dumps(line)) for line in lines]
    assert not any(complaints), [each for each in complaints if each][:3]


def test_each_turn_is_told_once_with_its_commits(repo: Repo, daemon: Daemon) -> None:
    command, told = recorder(daemon.folder)
    first = repo.commit(page(1))
    with webhook() as server:
        path = config(daemon, repo.path, to(command), f'url = "{server.url}"\non = {ALL}', interval=0.2)
        with daemon.running("--config", path, "--log-level", "debug") as running:
            eventually(lambda: kinds(told()) == ["changed"])
            second = repo.commit({**page(2), "bad.md": '```json-ld\n{"@type": "Class",\n```\n'})
            eventually(lambda: kinds(told()) == ["changed", "changed"])
            repo.path.rename(daemon.folder / "away")
            for _ in range(5):
                running.until("pass failed")
            (daemon.folder / "away").rename(repo.path)
            eventually(lambda: kinds(told()) == ["changed", "changed", "failing", "recovered"])
            assert running.end() == 0
        assert_lines_are_whole(running)
        assert [each.json["event"] for each in server.got] == kinds(told())
    one, two, failing, recovered = told()
    assert (one["changes"]["from_commit"], one["commit"]) == (None, first)
    assert (two["changes"]["from_commit"], two["commit"]) == (first, second)
    assert {key: two["changes"][key] for key in ("saved", "failed", "ledger")} == {"saved": 1, "failed": 1, "ledger": 1}
    assert str(repo.path) in failing["trouble"]["reason"]
    assert recovered["commit"] == second
    assert recovered["trouble"]["failures"] >= 5
    assert list((daemon.folder / "home").rglob("notifications/*")) == []


def test_held_deletions_are_told_once_also_over_restarts(repo: Repo, daemon: Daemon) -> None:
    command, told = recorder(daemon.folder)
    full = repo.commit({path: text for number in range(60) for path, text in page(number).items()})
    path = config(daemon, repo.path, to(command, '["held", "recovered"]'), interval=0.2)
    with daemon.running("--config", path) as running:
        running.until("pass finished")
        repo.commit({f"p{number}.md": None for number in range(40)})
        running.until("pass held")
        assert running.end() == 0
    assert kinds(told()) == ["held"]
    assert told()[0]["trouble"]["exit_code"] == 5
    with daemon.running("--config", path) as running:
        running.until("pass held")
        repo.commit({"p41.md": None})
        running.until("pass held")
        eventually(lambda: kinds(told()) == ["held", "held"])
        repo.set_tip(full)
        eventually(lambda: kinds(told()) == ["held", "held", "recovered"])
        assert running.end() == 0


def test_a_restart_while_it_fails_tells_nothing_new(daemon: Daemon, repo: Repo) -> None:
    command, told = recorder(daemon.folder)
    repo.commit(page(1))
    port = free_port()
    path = config(daemon, f"http://127.0.0.1:{port}/r.git", to(command))
    for _ in range(2):
        with daemon.running("--config", path) as running:
            running.until("pass failed", timeout=60)
            eventually(lambda: kinds(told()) == ["failing"])
            assert running.end() == 0
    assert kinds(told()) == ["failing"]
    with daemon.running("--config", config(daemon, repo.path, to(command))) as running:
        eventually(lambda: sorted(kinds(told())[1:]) == ["changed", "recovered"])
        assert running.end() == 0


def latencies(daemon: Daemon, repo: Repo, path: Path, count: int) -> list[float]:
    """Measure the seconds from a commit to its row."""
    found = []
    with daemon.running("--config", path) as running:
        running.until("pass finished")
        for number in range(count):
            repo.commit({"p1.md": class_page("urn:t:1", f"N{number}")})
            started = time.monotonic()
            eventually(lambda number=number: daemon.query("SELECT label FROM owl_classes") == [(f"N{number}",)])
            found.append(time.monotonic() - started)
        running.process.kill()
    return found


def test_a_hook_that_hangs_delays_no_pass(repo: Repo, daemon: Daemon) -> None:
    repo.commit(page(1))
    stuck = program(daemon.folder, "time.sleep(60)")
    with webhook() as server:
        server.then = [hangs] * 100
        hooks = (to(stuck, timeout=600), f'url = "{server.url}"\non = {ALL}\ntimeout = 600')
        slowest = max(latencies(daemon, repo, config(daemon, repo.path, *hooks), 5))
        assert len(server.got) == 1
    assert slowest < 2


def test_sigterm_ends_it_in_the_middle_of_deliveries_that_hang(repo: Repo, daemon: Daemon) -> None:
    repo.commit(page(1))
    started = daemon.folder / "started"
    stuck = program(daemon.folder, f"open({str(started)!r}, 'w').write(str(os.getpid()))\ntime.sleep(600)")
    command, told = recorder(daemon.folder, "later")
    with webhook() as server:
        server.then = [hangs]
        hooks = (to(stuck, timeout=600), f'url = "{server.url}"\non = {ALL}\ntimeout = 600')
        with daemon.running("--config", config(daemon, repo.path, *hooks)) as running:
            server.until(1)
            eventually(lambda: started.exists() and started.read_text() != "")
            asked = time.monotonic()
            assert running.end() == 0
            assert time.monotonic() - asked < 6
        eventually(lambda: not Path(f"/proc/{started.read_text()}").exists())
        # What was told nobody is told after the restart.
        Path(stuck).write_text(Path(command).read_text())
        with daemon.running("--config", config(daemon, repo.path, *hooks)) as running:
            server.until(2)
            eventually(lambda: kinds(told()) == ["changed"])
            assert running.end() == 0
        assert server.got[0].json["id"] == server.got[1].json["id"]


def test_what_a_killed_daemon_was_telling_is_told_by_the_next(repo: Repo, daemon: Daemon) -> None:
    repo.commit(page(1))
    with webhook() as server:
        server.then = [hangs]
        path = config(daemon, repo.path, f'url = "{server.url}"\non = {ALL}')
        with daemon.running("--config", path) as running:
            server.until(1)
            running.end(signal.SIGKILL)
        with daemon.running("--config", path) as running:
            running.until("notification sent")
            assert running.end() == 0
        assert len({each.json["id"] for each in server.got}) == 1


def test_that_the_daemon_ends_is_no_failure(daemon: Daemon) -> None:
    command, told = recorder(daemon.folder)
    with silent_server() as url:
        asked = ("--config", config(daemon, url, to(command)), "--log-level", "debug")
        with daemon.running(*asked) as running:
            running.until("pass asked for")
            assert running.end() == 0
            running.until("pass stopped")
    assert told() == []


def test_sighup_changes_who_is_told(repo: Repo, daemon: Daemon) -> None:
    first, told_first = recorder(daemon.folder, "first")
    second, told_second = recorder(daemon.folder, "second")
    repo.commit(page(1))
    with daemon.running("--config", config(daemon, repo.path, to(first))) as running:
        eventually(lambda: len(told_first()) == 1)
        config(daemon, repo.path, to(second))
        running.process.send_signal(signal.SIGHUP)
        running.until("configuration read anew")
        repo.commit(page(2))
        eventually(lambda: len(told_second()) == 1)
        assert running.end() == 0
    assert len(told_first()) == 1


def test_what_fails_is_tried_again_and_counted(repo: Repo, daemon: Daemon) -> None:
    repo.commit(page(1))
    port = free_port()
    daemon.environment["VISIONFLOW_HTTP__PORT"] = str(port)
    with webhook() as server:
        server.then = [answers(500), answers(503), answers(204), answers(400)]
        with daemon.running("--config", config(daemon, repo.path, f'url = "{server.url}"\non = {ALL}')) as running:
            assert running.until("notification not sent")["reason"] == "it answers 500 Internal Server Error"
            assert running.until("notification sent")["attempt"] == 3
            repo.commit(page(2))
            assert running.until("notification given up")["reason"] == "it answers 400 Bad Request"
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                figures = answer.read().decode()
            assert running.end() == 0
        assert len({each.json["id"] for each in server.got[:3]}) == 1
    for outcome, count in (("sent", 1), ("failed", 2), ("given_up", 1)):
        assert f'visionflow_notifications_total{{outcome="{outcome}"}} {count}.0' in figures


def test_a_hook_may_run_this_program(repo: Repo, daemon: Daemon) -> None:
    repo.commit(page(1))
    out = daemon.folder / "out"
    hook = daemon.folder / "hook.sh"
    given = "".join(
        f"export {name}={shlex.quote(value)}\n" for name, value in engines.environment(daemon.folder).items()
    )
    hook.write_text(
        f"#!/bin/sh\n{given}cd {PROJECT} && {sys.executable} -m visionflow_daemon status --json"
        f" --database {daemon.database()} > {out}.new 2>&1; mv {out}.new {out}\n"
    )
    hook.chmod(0o755)
    with daemon.running("--config", config(daemon, repo.path, to(str(hook)))) as running:
        eventually(out.exists, 60)
        assert running.end() == 0
    assert json.loads(out.read_text())[0]["ontology_id"] == "kg"


@pytest.mark.parametrize("kind", ["program", "webhook"])
def test_no_secret_is_in_the_log_the_state_or_what_a_program_sees(repo: Repo, daemon: Daemon, kind: str) -> None:
    repo.commit(page(1))
    (daemon.folder / "secret").write_text(HUSH)
    seen = daemon.folder / "seen"
    note = f"open({str(seen)!r}, 'w').write(repr(dict(os.environ)) + sys.stdin.read())"
    hook = program(daemon.folder, f"{note}\nsys.exit(1)")
    daemon.environment |= {
        "VISIONFLOW_GIT_PASSWORD": HUSH,
        "CREDENTIALS_DIRECTORY": f"/{HUSH}",
        "VISIONFLOW_SOURCES__0__USERNAME": HUSH,
    }
    with webhook() as server:
        server.then = [answers(500), answers(302, Location=f"https://{HUSH}.example.org/"), answers(401)]
        url = server.url.replace("secret-path", HUSH).replace("://", f"://{HUSH}:{HUSH}@")
        keys = to(hook) if kind == "program" else f'url = "{url}"\non = {ALL}\nsecret_file = "secret"'
        with daemon.running("--config", config(daemon, repo.path, keys), "--log-level", "debug") as running:
            running.until("notification not sent")
            if kind == "webhook":
                running.until("notification given up")
            assert running.end() == 0
    assert HUSH not in json.dumps(running.events)
    assert not seen.exists() or HUSH not in seen.read_text()
    for folder in (daemon.folder / "home").rglob("*"):
        assert not folder.is_file() or HUSH.encode() not in folder.read_bytes()
    assert HUSH not in repr(engines.state(daemon.folder / "kg.db"))


def threads(running: Running) -> int:
    return len(list(Path(f"/proc/{running.process.pid}/task").iterdir()))


def threads_at_rest(running: Running) -> int:
    """Count the threads when those of passes are gone: it stays the same for a while."""
    seen: list[int] = []

    def is_at_rest() -> bool:
        seen.append(threads(running))
        return len(seen) > 30 and len(set(seen[-30:])) == 1

    eventually(is_at_rest)
    return seen[-1]


def test_without_hooks_there_is_no_thread_and_once_tells_nobody(repo: Repo, daemon: Daemon) -> None:
    command, told = recorder(daemon.folder)
    repo.commit(page(1))
    with daemon.running("--config", config(daemon, repo.path)) as running:
        running.until("pass finished")
        bare = threads_at_rest(running)
        assert running.end() == 0
    with daemon.running("--config", config(daemon, repo.path, to(command))) as running:
        running.until("nothing to do")
        assert threads_at_rest(running) == bare + 1
        assert running.end() == 0
    repo.commit(page(2))
    assert daemon.run("--once", "--config", daemon.folder / "config.toml").code == 0
    assert told() == []
