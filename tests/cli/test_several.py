"""`--once` over several sources: side by side, and told in the order of the configuration."""

from __future__ import annotations

import signal
import socket
import threading
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from tests import engines
from tests.cli.terminal import on_a_terminal
from tests.support import Daemon, Repo, class_page, eventually
from visionflow_daemon.cli.side_by_side import side_by_side


def config(daemon: Daemon, sources: dict[str, Path | str], extra: str = "") -> Path:
    path = daemon.folder / "several.toml"
    text = 'database = "kg.db"\n'
    for ontology_id, location in sources.items():
        text += f'[[sources]]\nlocation = "{location}"\nontology_id = "{ontology_id}"\n'
    path.write_text(f"{text}{extra}")
    return path


def test_a_source_that_says_nothing_keeps_no_other_waiting(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": class_page("urn:t:a", "A")})
    with closing(socket.create_server(("127.0.0.1", 0), backlog=16)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/r.git"
        path = config(daemon, {"silent": url, "good": repo.path, "mute": url}, "[network]\nfetch_timeout = 3.0\n")
        began = time.monotonic()
        ran = daemon.run("--once", "--config", path)
        took = time.monotonic() - began
    assert ran.code == 4
    assert took < 5.9, "one deadline came after the other"
    ends = [
        (line["event"], line["ontology_id"]) for line in ran.events if line["event"] in {"pass finished", "pass failed"}
    ]
    assert ends[0] == ("pass finished", "good")
    assert sorted(ends[1:]) == [("pass failed", "mute"), ("pass failed", "silent")]
    assert [line.split(":")[1] for line in ran.err.splitlines()] == [" silent", " mute"]


def test_a_stop_is_for_all(repo: Repo, daemon: Daemon) -> None:
    other = Repo(daemon.folder / "other.git")
    for each in (repo, other):
        each.commit({f"{name}.md": class_page(f"urn:t:{name}", f"P{name}") for name in range(3_000)})
    path = config(daemon, {"one": repo.path, "two": other.path})
    process = daemon.start("--once", "--config", path)
    running = "SELECT COUNT(*) FROM (SELECT ontology_id FROM source_files GROUP BY 1 HAVING COUNT(*) > 50) s"
    tables = partial(engines.tables, daemon.folder / "kg.db")
    eventually(lambda: "source_files" in tables() and daemon.query(running) == [(2,)])
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 1, err
    assert daemon.query("SELECT status FROM sync_runs") == [("stopped",), ("stopped",)]
    assert daemon.run("--once", "--config", path).code == 0


def test_on_a_terminal_each_source_has_a_bar_and_a_table_of_its_own(repo: Repo, daemon: Daemon) -> None:
    other = Repo(daemon.folder / "other.git")
    for number, each in enumerate((repo, other)):
        each.commit({f"{name}.md": class_page(f"urn:t:{number}:{name}", f"P{name}") for name in range(200)})
    path = config(daemon, {"[red]one": repo.path, "two": other.path, "gone": daemon.folder / "gone.git"})
    daemon.environment["TERM"] = "xterm"
    code, shown = on_a_terminal(daemon, "--once", "--config", path, "--log-level", "error")
    assert code == 2
    assert "syncing [red]one" in shown
    assert "syncing two" in shown
    tables = shown[shown.rindex("syncing") :]
    assert (
        tables.index("ontology    [red]one")
        < tables.index("ontology    two")
        < tables.index("visionflow-daemon: gone: ")
    )
    assert tables.count("saved") == 2


def test_results_come_in_order_and_the_first_error_is_raised() -> None:
    gate = threading.Event()
    assert side_by_side([lambda: gate.wait(20), lambda: gate.set() or 2]) == [True, 2]
    assert side_by_side([lambda: 1]) == [1]

    def fail() -> int:
        raise LookupError("no")

    with pytest.raises(LookupError):
        side_by_side([lambda: 1, fail, lambda: 3])


def test_where_no_thread_can_be_had_one_comes_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refused)
    assert side_by_side([lambda: 1, lambda: 2, lambda: 3]) == [1, 2, 3]
