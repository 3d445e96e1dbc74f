"""The running daemon, as a process: it follows its sources, outlives what fails, and ends when it is told to."""

from __future__ import annotations

import http.client
import json
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests import engines
from tests.engines import assert_sound
from tests.faults.support import remount, tmpfs
from tests.git.servers import free_port
from tests.support import Daemon, Repo, class_page, eventually


def config(daemon: Daemon, *sources: tuple[Path | str, str], extra: str = "", interval: float = 60) -> Path:
    """Write a configuration file."""
    text = f'database = "{daemon.folder / "kg.db"}"\n'
    for location, ontology_id in sources:
        text += f'[[sources]]\nlocation = "{location}"\nontology_id = "{ontology_id}"\n'
    path = daemon.folder / "config.toml"
    path.write_text(f"{text}[daemon]\ninterval = {interval}\n{extra}")
    return path


def page(number: int) -> dict[bytes | str, str]:
    return {f"p{number}.md": class_page(f"urn:t:{number}", f"P{number}")}


def many(count: int) -> dict[bytes | str, str]:
    return {path: text for number in range(count) for path, text in page(number).items()}


@contextmanager
def silent_server() -> Iterator[str]:
    """Listen, and answer nothing."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=16)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/r.git"


def test_it_runs_each_source_at_start_follows_commits_and_ends_on_sigterm(repo: Repo, daemon: Daemon) -> None:
    other = Repo(daemon.folder / "other.git")
    repo.commit(page(1))
    other.commit(page(2))
    with daemon.running("--config", config(daemon, (repo.path, "a"), (other.path, "b"))) as running:
        assert {running.until("pass finished")["ontology_id"] for _ in range(2)} == {"a", "b"}
        commit = other.commit(page(3))
        done = running.until("pass finished")
        assert (done["ontology_id"], done["commit"], done["saved"]) == ("b", commit, 1)
        assert running.end() == 0
    assert running.events[-1]["event"] == "daemon stopped"
    assert_sound(daemon.folder / "kg.db")
    assert daemon.query("SELECT COUNT(*) FROM owl_classes") == [(3,)]


def test_the_interval_finds_what_a_remote_has(repo: Repo, daemon: Daemon) -> None:
    repo.commit(page(1))
    with daemon.running("--config", config(daemon, (f"file://{repo.path}", "a"), interval=0.3)) as running:
        running.until("pass finished")
        commit = repo.commit(page(2))
        assert running.until("pass finished")["commit"] == commit
        assert running.end(signal.SIGINT) == 0


def test_sigterm_lets_the_files_in_hand_finish(repo: Repo, daemon: Daemon) -> None:
    repo.commit(many(3_000))
    with daemon.running("--source", repo.path, "--database", "kg.db") as running:
        running.until("pass started")
        eventually(lambda: daemon.query("SELECT COUNT(*) FROM source_files")[0][0] > 100)
        assert running.end() == 0
        assert running.until("pass finished")["is_whole"] is False
    assert daemon.query("SELECT status FROM sync_runs") == [("stopped",)]
    assert_sound(daemon.folder / "kg.db")
    held = daemon.query("SELECT COUNT(*) FROM source_files")[0][0]
    assert daemon.once(repo.path).event("pass finished")["saved"] == 3_000 - held


def test_sigterm_ends_it_in_the_middle_of_a_fetch_from_a_hung_server(daemon: Daemon) -> None:
    with silent_server() as url, daemon.running("--source", url, "--database", "kg.db") as running:
        running.until("migration applied")
        asked = time.monotonic()
        assert running.end() == 0
        assert time.monotonic() - asked < 10


def test_sigterm_ends_it_while_another_program_holds_the_database(repo: Repo, daemon: Daemon) -> None:
    repo.commit(page(1))
    with daemon.running("--source", repo.path, "--database", "kg.db", "--log-level", "debug") as running:
        running.until("pass finished")
        with engines.Connected(daemon.folder / "kg.db") as other:
            other.lock()
            repo.commit(page(2))
            running.until("pass asked for")
            assert running.end() == 0
    assert_sound(daemon.folder / "kg.db")
    assert daemon.once(repo.path).event("pass finished")["saved"] == 1


def test_sighup_takes_a_good_configuration_and_refuses_a_bad_one(repo: Repo, daemon: Daemon) -> None:
    other = Repo(daemon.folder / "other.git")
    repo.commit(page(1))
    other.commit(page(2))
    path = config(daemon, (repo.path, "a"))
    with daemon.running("--config", path) as running:
        running.until("pass finished", ontology_id="a")
        path.write_text(path.read_text() + "nonsense = 1\n")
        running.process.send_signal(signal.SIGHUP)
        assert "nonsense" in running.until("configuration refused")["reason"]
        repo.commit(page(3))
        running.until("pass finished", ontology_id="a")
        config(daemon, (other.path, "b"), extra='[log]\nlevel = "debug"\n')
        running.process.send_signal(signal.SIGHUP)
        running.until("configuration read anew", sources=1)
        assert running.until("pass asked for")["why"] in {"configuration read anew", "lease taken"}
        running.until("pass finished", ontology_id="b")
        repo.commit(page(4))
        commit = other.commit(page(5))
        assert running.until("pass finished")["commit"] == commit
        assert running.end() == 0
    assert {line.get("ontology_id") for line in running.events[-6:]} <= {"b", None}


@pytest.mark.parametrize("arguments", [(), ("--source", "r", "--database", "mysql://x"), ("--source", "r", "--full")])
def test_a_configuration_that_cant_be_worked_by_ends_it(daemon: Daemon, arguments: tuple[str, ...]) -> None:
    ran = daemon.run(*arguments, timeout=20)
    assert ran.code == 2, ran.err
    assert "Traceback" not in ran.err


def test_a_source_that_fails_ends_nothing_and_is_found_when_it_comes(daemon: Daemon) -> None:
    path = config(daemon, (daemon.folder / "source.git", "a"), interval=0.5, extra="poll = 0.1\n")
    with daemon.running("--config", path) as running:
        assert running.until("pass failed")["exit_code"] == 2
        running.until("pass failed")
        commit = Repo(daemon.folder / "source.git").commit(page(1))
        assert running.until("pass finished")["commit"] == commit
        assert running.end() == 0


def test_an_open_breaker_lets_no_pass_try_before_its_time(daemon: Daemon) -> None:
    extra = "[breaker]\nfailing_passes = 1\ncool_down = 3.0\n[network]\nfetch_timeout = 2.0\n"
    path = config(daemon, ("http://127.0.0.1:9/r.git", "a"), interval=0.2, extra=extra)
    with daemon.running("--config", path) as running:
        opened = running.until("breaker opened")
        assert running.until("pass postponed")["until"][:19] == opened["retry_at"][:19]
        running.until("breaker half-open")
        again = running.until("pass failed")
        assert again["timestamp"][:19] >= opened["retry_at"][:19]
        assert running.count("pass failed") == 2
        assert running.end() == 0


def test_held_deletions_are_held_once_for_each_commit(repo: Repo, daemon: Daemon) -> None:
    repo.commit(many(60))
    gone: dict[bytes | str, str | None] = {f"p{number}.md": None for number in range(50)}
    with daemon.running("--config", config(daemon, (repo.path, "a"), interval=0.2), "--log-level", "debug") as running:
        running.until("pass finished")
        repo.commit(gone)
        running.until("pass held")
        running.until("pass still held")
        running.until("pass still held")
        assert daemon.query("SELECT COUNT(*) FROM sync_runs WHERE status = 'held'") == [(1,)]
        commit = repo.commit(many(60))
        assert running.until("pass finished")["commit"] == commit
        assert running.end() == 0
    assert running.count("pass held") == 1


def test_what_held_deletions_wait_for_is_noticed(repo: Repo, daemon: Daemon) -> None:
    repo.commit(many(60))
    path = config(daemon, (repo.path, "a"), interval=0.2)
    with daemon.running("--config", path, "--log-level", "debug") as running:
        running.until("pass finished")
        commit = repo.commit({f"p{number}.md": None for number in range(50)})
        running.until("pass still held")
        assert daemon.run("--once", "--config", path, "--allow-mass-delete").code == 0
        assert running.until("nothing to do")["commit"] == commit
        assert running.end() == 0


@pytest.mark.sqlite
def test_a_database_that_is_full_completes_by_itself_when_there_is_room(repo: Repo, daemon: Daemon) -> None:
    repo.commit({path: text + "x" * 2_000 for path, text in many(400).items()})
    with tmpfs(daemon.folder / "small", "700k") as small:
        text = "[breaker]\ncool_down = 0.5\nlongest_cool_down = 1.0\n"
        path = config(daemon, (repo.path, "a"), interval=0.3, extra=text)
        path.write_text(path.read_text().replace(str(daemon.folder / "kg.db"), str(small / "kg.db")))
        with daemon.running("--config", path) as running:
            assert running.until("pass failed")["exit_code"] == 6
            running.until("pass failed")
            remount(small, "size=60m")
            running.until("pass finished", is_whole=True)
            assert running.end() == 0
        assert_sound(small / "kg.db")


@pytest.mark.sqlite
def test_a_database_that_cant_be_opened_is_tried_again(repo: Repo, daemon: Daemon) -> None:
    repo.commit(page(1))
    path = config(daemon, (repo.path, "a"), interval=0.3)
    path.write_text(path.read_text().replace("/kg.db", "/later/kg.db"))
    with daemon.running("--config", path) as running:
        assert "does not exist" in running.until("pass failed")["reason"]
        (daemon.folder / "later").mkdir()
        running.until("pass finished")
        (daemon.folder / "later" / "kg.db").unlink()
        running.until("database replaced")
        assert running.until("pass finished")["saved"] == 1
        assert running.end() == 0


@pytest.mark.parametrize("is_abstract", [False, True])
def test_systemd_is_told(repo: Repo, daemon: Daemon, *, is_abstract: bool) -> None:
    repo.commit(page(1))
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as line:
        line.bind(f"\0{daemon.folder}" if is_abstract else str(daemon.folder / "notify"))
        line.settimeout(10)
        name = f"@{daemon.folder}" if is_abstract else str(daemon.folder / "notify")
        daemon.environment |= {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "3000000"}
        told: list[str] = []

        def until(pattern: str) -> None:
            del told[:]
            while not told or not re.match(pattern, told[-1], re.DOTALL):
                told.append(line.recv(4096).decode())

        with daemon.running("--source", repo.path, "--database", "kg.db") as running:
            until("READY=1$")
            until("STATUS=waiting; default is at ")
            until("WATCHDOG=1$")
            until("WATCHDOG=1$")
            running.process.send_signal(signal.SIGHUP)
            until(r"RELOADING=1\nMONOTONIC_USEC=\d+$")
            until("READY=1$")
            running.process.send_signal(signal.SIGTERM)
            until("STOPPING=1$")
            assert running.process.wait(10) == 0


def test_a_fetch_that_hangs_gives_signs_of_life(daemon: Daemon) -> None:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as line, silent_server() as url:
        line.bind(str(daemon.folder / "notify"))
        line.settimeout(10)
        daemon.environment |= {"NOTIFY_SOCKET": str(daemon.folder / "notify"), "WATCHDOG_USEC": "3000000"}
        with daemon.running("--source", url, "--database", "kg.db") as running:
            running.until("migration applied")
            told = ""
            while told != "READY=1":
                told = line.recv(4096).decode()
            for _ in range(4):
                while told != "WATCHDOG=1":
                    told = line.recv(4096).decode()
                told = ""
            assert running.count("pass failed") == 0
            assert running.end() == 0


def asked(port: int, path: str) -> tuple[int, str]:
    """Ask the daemon over HTTP."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def test_it_shows_health_metrics_and_a_page_while_it_works(repo: Repo, daemon: Daemon) -> None:
    repo.commit(page(1) | {"bad.md": "```json-ld\n{\n```\n", "<script>alert(1)<": class_page("urn:t:s", "S")})
    port = free_port()
    daemon.environment["VISIONFLOW_HTTP__PORT"] = str(port)
    with daemon.running("--config", config(daemon, (repo.path, "default"))) as running:
        assert running.until("serving http")["port"] == port
        running.until("pass finished")
        eventually(lambda: asked(port, "/readyz")[0] == 200)
        assert asked(port, "/livez")[0] == 200
        (source,) = json.loads(asked(port, "/status")[1])["sources"]
        assert (source["ontology_id"], source["commit"]) == ("default", repo.tip())
        status, metrics = asked(port, "/metrics")
        assert status == 200
        assert re.search(r'^visionflow_ledger_files\{ontology_id="default"\} 1.0$', metrics, re.MULTILINE)
        assert 'visionflow_parse_duration_seconds_count{ontology_id="default"} 2.0' in metrics
        assert 'visionflow_lag_seconds{ontology_id="default"} 0.0' in metrics
        status, shown = asked(port, "/")
        assert status == 200
        assert "bad.md" in shown
        assert "<script>alert" not in shown
        assert asked(port, "/nowhere")[0] == 404
        repo.commit(page(2))
        running.until("pass finished")
        eventually(lambda: f'"{repo.tip()}"' in asked(port, "/status")[1])
        assert running.end() == 0


def test_the_lag_grows_while_deletions_are_held_and_ends_when_the_pages_are_back(repo: Repo, daemon: Daemon) -> None:
    def lag() -> float:
        (source,) = json.loads(asked(port, "/status")[1])["sources"]
        return float(source["head"]["lag_seconds"])

    port = free_port()
    daemon.environment["VISIONFLOW_HTTP__PORT"] = str(port)
    good = repo.commit(many(40))
    with daemon.running("--config", config(daemon, (repo.path, "a"))) as running:
        running.until("pass finished")
        repo.commit(dict.fromkeys(many(30)))
        running.until("pass held")
        eventually(lambda: (first := lag()) > 0 and lag() > first)
        assert 'visionflow_held{ontology_id="a"} 1.0' in asked(port, "/metrics")[1]
        repo.set_tip(good)
        running.until("pass finished")
        eventually(lambda: lag() == 0)
        assert running.end() == 0


def test_a_port_that_is_taken_is_a_mistake_of_the_configuration(repo: Repo, daemon: Daemon) -> None:
    repo.commit(page(1))
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        daemon.environment["VISIONFLOW_HTTP__PORT"] = str(port)
        ran = daemon.run("--config", config(daemon, (repo.path, "default")))
    assert ran.code == 2
    assert f"can't serve HTTP on 127.0.0.1:{port}" in ran.err
