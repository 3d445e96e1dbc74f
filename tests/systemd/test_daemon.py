"""The daemon under a real systemd, by the unit that is shipped: start, follow, die, hang, reload, stop."""

from __future__ import annotations

import http.client
import json
import os
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from functools import partial

import pytest

from tests.faults.hostile import RDF_FILES
from tests.faults.samples import OWL
from tests.git.ailments import dripping, silent
from tests.git.servers import PASSWORD, USER, Ailment, GitHttp, git_http
from tests.support import PROJECT, Daemon, Repo, class_page, eventually
from tests.systemd.machine import Machine
from tests.systemd.service import SOON, Service

pytestmark = pytest.mark.sqlite

Note = Callable[[str, object], None]
PAGES = "/srv/pages.git"
BLANK_NODES = RDF_FILES["blank nodes"][1]
OTHER_USER = 61_999
SLOW = 40
"""Files of a pass that takes seconds, and leaves the database free for most of them."""

STUCK = f"{SOON}WatchdogSec=2s\n"


def page(number: int) -> dict[bytes | str, str]:
    return {f"p{number}.md": class_page(f"urn:t:{number}", f"P{number}")}


def slow(count: int = SLOW) -> dict[bytes | str, str]:
    """Make files that take long to read, for what they hold: a class each."""
    takes_long = BLANK_NODES(10_000)
    return {f"s{number}.ttl": f"{takes_long}<urn:s:{number}> a <{OWL}Class> .\n" for number in range(count)}


@contextmanager
def serving(machine: Machine, *, asks: bool = False, ail: Ailment | None = None) -> Iterator[GitHttp]:
    """Serve the machine's /srv to it, on its own loopback."""
    with ExitStack() as held:
        with machine.network():
            server = held.enter_context(git_http(machine.pages, asks=asks, ail=ail))
        yield server


def asked(machine: Machine, path: str) -> tuple[int, str]:
    """Ask the daemon over HTTP."""
    with closing(http.client.HTTPConnection("127.0.0.1", 9470, timeout=10)) as connection:
        with machine.network():
            connection.connect()
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


def seconds_to_stop(service: Service) -> float:
    """Stop it, and see that it ended by itself, well."""
    began = time.monotonic()
    service.stop()
    took = time.monotonic() - began
    assert (service.show("Result"), service.show("ExecMainStatus")) == ("success", "0")
    assert service.events()[-1]["event"] == "daemon stopped"
    return took


def test_it_starts_says_what_it_does_and_follows(
    service: Service, pages: Repo, machine: Machine, record_property: Note
) -> None:
    tip = pages.commit(page(0))
    service.configure(PAGES)
    began = time.monotonic()
    service.start()
    record_property("seconds to READY", round(time.monotonic() - began, 2))
    assert service.show("ActiveState") == "active"
    service.wait(lambda: service.show("StatusText") == f"waiting; default is at {tip[:12]}")
    assert asked(machine, "/readyz")[0] == 200
    took = []
    for number in range(1, 11):
        pages.commit(page(number))
        began = time.monotonic()
        row = f"SELECT 1 FROM owl_classes WHERE class_iri = 'urn:t:{number}'"
        eventually(partial(service.query, row))
        took.append(time.monotonic() - began)
    record_property("seconds from commit to row", f"median {sorted(took)[5]:.2f}, longest {max(took):.2f}")
    assert max(took) < 2
    assert machine.journal("SYSLOG_IDENTIFIER=visionflow-daemon"), "the journal has it by another name"
    status = (service.process / "status").read_text()
    memory, threads = (int(re.search(rf"^{name}:\s+(\d+)", status, re.MULTILINE)[1]) for name in ("VmRSS", "Threads"))  # type: ignore[index]
    record_property("MB and threads", f"{memory / 1_000:.0f} MB, {threads} threads")
    assert memory < 100_000
    assert threads < 32
    assert seconds_to_stop(service) < 10


def test_killed_in_the_middle_of_a_pass_it_is_restarted_and_ends_exact(
    service: Service, pages: Repo, daemon: Daemon
) -> None:
    pages.commit(slow())
    service.configure(PAGES)
    service.start()
    service.wait(lambda: service.saved() > 4)
    service.kill("SIGKILL")
    held = service.saved()
    assert held < SLOW
    service.wait(lambda: service.show("NRestarts") == "1" and service.show("ActiveState") == "active")
    done = service.until("pass finished", is_whole=True, timeout=120)
    assert done["saved"] <= SLOW - held
    assert service.query("SELECT status FROM sync_runs ORDER BY run_id") == [("cut off",), ("finished",)]
    service.assert_exact(pages.path, daemon)


def test_a_process_that_stands_still_is_ended_by_the_watchdog_and_restarted(
    service: Service, pages: Repo, daemon: Daemon
) -> None:
    pages.commit(page(1))
    service.configure(PAGES)
    service.change(STUCK)
    service.start()
    service.until("pass finished")
    service.kill("SIGSTOP")
    pages.commit(page(2))
    service.wait(lambda: service.show("NRestarts") == "1" and service.show("ActiveState") == "active")
    service.until("pass finished", 2)
    service.assert_exact(pages.path, daemon)


@pytest.mark.parametrize("when", ["before", "amid"])
def test_a_pass_that_hangs_is_ended_by_the_watchdog_though_all_else_lives(
    service: Service, pages: Repo, machine: Machine, daemon: Daemon, when: str
) -> None:
    pages.commit(page(0))
    service.configure(PAGES, extra="[sync]\nbusy_timeout = 600.0\n")
    service.change(STUCK)
    service.start()
    service.until("pass finished")
    with closing(sqlite3.connect(service.database, isolation_level=None, timeout=30)) as other:
        if when == "before":  # the loop's own thread waits for the lock
            other.execute("BEGIN IMMEDIATE")
            pages.commit(page(1))
            eventually(lambda: '"running"' in asked(machine, "/status")[1])
        else:  # a worker waits for it, and the loop for the worker
            pages.commit(slow())
            service.wait(lambda: service.saved() > 4)
            other.execute("BEGIN IMMEDIATE")
        assert asked(machine, "/status")[0] == 200
        service.wait(lambda: service.show("NRestarts") == "1")
        assert "watchdog" in json.dumps(machine.journal("UNIT=visionflow-daemon.service")[-8:]).lower()
    service.until("pass finished", 2, timeout=120)
    service.assert_exact(pages.path, daemon)


def test_a_page_that_takes_for_ever_is_met_by_the_watchdog_once(service: Service, pages: Repo) -> None:
    pages.commit(page(0))
    service.configure(PAGES, extra="[reading.apart]\nfrom_bytes = 50000000\nseconds = 3.0\n")
    service.change(STUCK)
    service.start()
    service.until("pass finished")
    pages.commit({"endless.ttl": BLANK_NODES(8_000_000), **page(1)})
    service.wait(lambda: service.show("NRestarts") == "1")
    done = service.until("pass finished", 2)  # which reads with care: apart, and no longer than it may take
    assert (done["saved"], done["failed"]) == (1, 1)
    assert "takes longer than 3 seconds" in service.until("file failed", path="endless.ttl")["reason"]
    assert service.show("NRestarts") == "1"


def test_it_stops_in_time_in_the_middle_of_a_pass(service: Service, pages: Repo, record_property: Note) -> None:
    pages.commit(slow())
    service.configure(PAGES)
    service.start()
    service.wait(lambda: service.saved() > 4)
    took = seconds_to_stop(service)
    record_property("seconds to stop", round(took, 2))
    assert took < 10
    assert service.query("SELECT status FROM sync_runs") == [("stopped",)]


@pytest.mark.parametrize("ail", [silent, dripping])
def test_it_stops_in_time_in_the_middle_of_a_fetch(
    service: Service, pages: Repo, machine: Machine, ail: Ailment, record_property: Note
) -> None:
    pages.commit(page(1))
    with serving(machine, ail=ail) as server:
        service.configure(f"http://{server.address}/pages.git")
        service.start()
        assert server.asked.wait(20)
        took = seconds_to_stop(service)
    record_property("seconds to stop", round(took, 2))
    assert took < 10


def test_it_reads_its_configuration_anew_and_refuses_a_bad_one(service: Service, pages: Repo, machine: Machine) -> None:
    other = Repo(machine.pages / "other.git")
    pages.commit(page(1))
    other.commit(page(2))
    service.configure(PAGES)
    service.start()
    service.until("pass finished")
    service.configure(PAGES, before="nonsense = 1\n")
    machine.ask("systemctl", "reload", service.name)
    assert "nonsense" in service.until("configuration refused")["reason"]
    pages.commit(page(3))
    service.until("pass finished", 2)
    service.configure(PAGES, "/srv/other.git")
    machine.ask("systemctl", "reload", service.name)
    service.until("pass finished", ontology_id="o1")
    assert service.show("NRestarts") == "0"


def test_a_configuration_with_mistakes_is_not_tried_again(service: Service, machine: Machine) -> None:
    service.configure(PAGES, before="nonsense = 1\n")
    service.change(SOON)
    assert machine.run("systemctl", "start", service.name).returncode != 0
    assert (service.show("Result"), service.show("ExecMainStatus")) == ("exit-code", "2")
    assert (service.show("NRestarts"), service.show("SubState")) == ("0", "failed")
    assert "nonsense" in "".join(service.lines())


def test_a_password_comes_by_a_credential_and_shows_nowhere(service: Service, pages: Repo, machine: Machine) -> None:
    tip = pages.commit(page(1))
    token = machine.path("/etc/visionflow/token")
    token.write_text(f"{PASSWORD}\n")
    token.chmod(0o600)
    with serving(machine, asks=True) as server:
        service.configure(f'http://{server.address}/pages.git\nusername = "{USER}"', extra='[log]\nlevel = "debug"\n')
        service.change(line_of_the_unit("LoadCredential=git-password"))
        service.start()
        assert service.until("pass finished")["commit"] == tip
        assert set(server.proofs) == {f"{USER}:{PASSWORD}"}
        process = [(service.process / name).read_bytes().decode() for name in ("environ", "cmdline")]
        status = asked(machine, "/status")[1] + asked(machine, "/metrics")[1] + asked(machine, "/")[1]
    journal = machine.ask("journalctl", "--output=export", "--all", "--no-pager")
    shown = machine.ask("systemctl", "show", service.name)
    kept = [path.read_bytes().decode("latin-1") for path in machine.state.rglob("*") if path.is_file()]
    for text in (*process, status, journal, shown, *kept):
        assert PASSWORD not in text
    token.unlink()


def line_of_the_unit(begins: str) -> str:
    """Give a line that is commented out in the unit, as who follows the comment would write it."""
    text = (PROJECT / "systemd" / "visionflow-daemon.service").read_text()
    (line,) = re.findall(rf"^# ({begins}:.*)$", text, re.MULTILINE)
    return f"[Service]\n{line}\n"


def test_its_state_is_there_again_for_another_user(service: Service, pages: Repo, daemon: Daemon) -> None:
    pages.commit(page(1))
    service.configure(PAGES)
    service.start()
    service.until("pass finished")
    first = service.database.stat()
    assert first.st_uid > 60_000, "no user of systemd's making"
    assert first.st_mode & 0o007 == 0, "others may read the database"
    service.stop()
    for path in (service.database.parent, *service.database.parent.rglob("*")):
        os.chown(path, OTHER_USER, OTHER_USER)  # as from a backup of another machine: systemd takes who owns it
    pages.commit(page(2))
    service.start()
    assert service.until("pass finished", 2)["plan"] == "diff"
    assert service.database.stat().st_uid == OTHER_USER != first.st_uid
    assert f"\nUid:\t{OTHER_USER}\t" in (service.process / "status").read_text()
    service.assert_exact(pages.path, daemon)


def test_shut_in_it_fetches_and_reads_apart_within_limits(service: Service, pages: Repo, machine: Machine) -> None:
    large = {"large.ttl": BLANK_NODES(100_000)}
    pages.commit({**page(1), **large})
    with serving(machine) as server:
        service.configure(f"http://{server.address}/pages.git", PAGES, extra="[reading.apart]\nfrom_bytes = 50000\n")
        service.start()
        service.wait(lambda: "2147483648" in limits_of_children(service))
        for ontology_id in ("default", "o1"):
            done = service.until("pass finished", ontology_id=ontology_id, timeout=60)
            assert (done["saved"], done["failed"]) == (2, 0)
    assert {event["level"] for event in service.events()} <= {"debug", "info"}, "something was refused"


def limits_of_children(service: Service) -> str:
    """Give how much the processes that the daemon has started may map, as the system holds it."""
    main = service.process
    found = ""
    for started in main.glob("task/*/children"):
        with suppress(OSError):
            found += "".join((main.parent / child / "limits").read_text() for child in started.read_text().split())
    return "".join(line for line in found.splitlines() if line.startswith("Max address space"))
