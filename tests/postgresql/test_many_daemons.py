"""Several daemons on one server: sources are spread, and each has one writer, whoever dies, sleeps, or comes late."""

from __future__ import annotations

import json
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ops.inbound.support import SECRET, plain
from tests.ops.support import Web
from tests.postgresql import server
from tests.postgresql.fleet import LEASE, Fleet
from tests.postgresql.server import Server
from tests.support import Content, assert_documented, class_page, eventually
from visionflow_daemon.daemon.spread import spread

FREE = "SELECT 1 FROM leases WHERE ontology_id = 'o0' FOR UPDATE SKIP LOCKED"
WRITES = (
    "SELECT 1 FROM pg_locks WHERE relation = 'source_files'::regclass AND mode = 'RowExclusiveLock'"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
OF_O0 = "SELECT COUNT(*) FROM source_files WHERE ontology_id = 'o0'"


def many(edition: int = 0) -> dict[bytes | str, Content]:
    """Give 400 pages, which differ from those of other editions."""
    return {f"p{at}.md": class_page(f"urn:t:{at}", f"P{at} of {edition}") for at in range(400)}


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """A fleet that has no daemon yet."""
    one = Fleet(server.shared(), tmp_path)
    yield one
    one.close()
    for log in tmp_path.glob("daemon*.log"):
        lines = log.read_text().splitlines(keepends=True)
        assert_documented(line for line in lines if line.endswith("\n"))  # who was killed may have said half of one


def test_sources_are_spread_and_taken_over(fleet: Fleet) -> None:
    first = fleet.join()
    eventually(lambda: fleet.loads() == [10], 30)
    second = fleet.join()
    began = time.monotonic()
    eventually(lambda: fleet.loads() == [5, 5], 30)
    assert time.monotonic() - began < 2 * LEASE + 3  # with the time that a process takes to start
    third = fleet.join()
    eventually(lambda: len(fleet.loads()) == 3 and sum(fleet.loads()) == 10 and fleet.loads()[0] <= 4, 30)
    fleet.end(third, signal.SIGTERM)
    began = time.monotonic()
    eventually(lambda: fleet.loads() == [5, 5], 30)
    assert time.monotonic() - began < 2
    fleet.end(second, signal.SIGKILL)
    began = time.monotonic()
    eventually(lambda: fleet.loads() == [10], 30)
    assert time.monotonic() - began < LEASE + 2
    for repo in fleet.repos:
        repo.commit({"more.md": class_page("urn:t:more", "more")})
    eventually(lambda: fleet.count("SELECT COUNT(*) FROM owl_classes WHERE label = 'more'") == 10, 30)
    (shown,) = fleet.program(9).run("status", "--config", fleet.config, "--ontology-id", "o3", "--json").json
    pid = str(fleet.pid(first))
    assert (shown["lease"]["holder"].split(":")[1], shown["daemons"]) == (pid, [shown["lease"]["holder"]])
    table = fleet.program(9).run("status", "--config", fleet.config, "--ontology-id", "o3").out
    assert f"{shown['lease']['holder']}, since {shown['lease']['since']}" in table
    fleet.end(first, signal.SIGTERM)
    assert fleet.holders() == {}
    assert fleet.rows("SELECT * FROM daemons WHERE alive_until > clock_timestamp()") == []
    fleet.assert_one_writer()
    fleet.assert_whole()


def test_daemons_hold_what_their_own_configurations_name(fleet: Fleet) -> None:
    left = fleet.join(fleet.write_config("left.toml", range(6)))
    right = fleet.join(fleet.write_config("right.toml", range(4, 10)))

    def spread() -> dict[int, set[str]]:
        found: dict[int, set[str]] = {}
        for ontology_id, pid in fleet.holders().items():
            found.setdefault(pid, set()).add(ontology_id)
        return found

    eventually(lambda: sorted(map(len, spread().values())) == [5, 5], 30)
    assert spread()[fleet.pid(left)] >= {"o0", "o1", "o2", "o3"}
    assert spread()[fleet.pid(right)] >= {"o6", "o7", "o8", "o9"}
    fleet.end(left, signal.SIGTERM)
    eventually(lambda: spread() == {fleet.pid(right): {f"o{at}" for at in range(4, 10)}}, 30)


def test_daemons_that_start_at_once_set_up_one_database(tmp_path: Path) -> None:
    fleet = Fleet(server.shared(), tmp_path, prepared=False)
    try:
        numbers = [fleet.join() for _ in range(3)]
        eventually(lambda: fleet.server.rows("SELECT to_regclass('leases') IS NOT NULL", fleet.name) == [(True,)], 30)
        eventually(lambda: len(fleet.loads()) == 3 and sum(fleet.loads()) == 10, 30)
        eventually(lambda: fleet.count("SELECT COUNT(*) FROM owl_classes WHERE label = 'start'") == 10, 30)
        assert [line for each in numbers for line in fleet.logged(each) if line["level"] == "error"] == []
        fleet.assert_whole()
    finally:
        fleet.close()


@pytest.mark.parametrize("is_within", [True, False], ids=["within a transaction", "between passes"])
def test_a_daemon_that_slept_through_its_lease_writes_nothing(fleet: Fleet, *, is_within: bool) -> None:
    sleeper = fleet.join()
    eventually(lambda: fleet.loads() == [10], 30)
    pid = fleet.pid(sleeper)
    if is_within:
        stop_within_a_transaction(fleet, sleeper)
    else:
        fleet.send(sleeper, signal.SIGSTOP)
        fleet.repos[0].commit(many())
    other = fleet.join()
    began = time.monotonic()
    eventually(lambda: set(fleet.holders().values()) == {fleet.pid(other)} and len(fleet.holders()) == 10, 30)
    assert time.monotonic() - began < 10
    fleet.send(sleeper, signal.SIGCONT)
    eventually(lambda: fleet.count(OF_O0) == 401, 60)
    eventually(lambda: fleet.loads() == [5, 5] and pid in fleet.holders().values(), 30)
    fleet.assert_one_writer()
    if is_within:
        (said,) = [line for line in fleet.logged(sleeper) if line["event"] == "pass overtaken"]
        assert (said["level"], said["ontology_id"]) == ("warning", "o0")
    assert [line for line in fleet.logged(sleeper) if line["level"] == "error"] == []
    fleet.assert_whole()


def stop_within_a_transaction(fleet: Fleet, number: int) -> None:
    """Stop a daemon where it has a transaction open that writes files, and holds the row of the first lease."""
    for edition in range(20):  # a quick machine is through with one before it is met
        fleet.repos[0].commit(many(edition))
        for _ in range(400):
            fleet.send(number, signal.SIGSTOP)
            if fleet.rows(WRITES) and not fleet.rows(FREE):
                return
            fleet.send(number, signal.SIGCONT)
            threading.Event().wait(0.002)  # let it come a little further, wherever that is
    pytest.fail("the daemon was never met in a transaction")


def test_a_command_that_waits_gets_the_lease_of_an_idle_daemon(fleet: Fleet) -> None:
    number = fleet.join()
    eventually(lambda: fleet.loads() == [10], 30)
    once = ("--once", "--source", fleet.repos[2].path, "--ontology-id", "o2", "--database", fleet.url)
    refused = fleet.program(8).run(*once, "--lock-timeout", "0")
    assert (refused.code, f":{fleet.pid(number)}, since 2" in refused.err) == (6, True), refused.err
    began = time.monotonic()
    served = fleet.program(8).run(*once, "--lock-timeout", "20")
    assert served.code == 0, served.err
    repaired = fleet.program(8).run("verify", "--repair", *once[1:], "--lock-timeout", "20")
    assert repaired.code == 0, repaired.err
    assert time.monotonic() - began < 15
    eventually(lambda: fleet.loads() == [10], 30)
    fleet.assert_one_writer()


def test_commands_that_wait_get_their_turns_while_a_daemon_is_always_busy(fleet: Fleet) -> None:
    fleet.join()
    eventually(lambda: fleet.loads() == [10], 30)
    once = ("--once", "--source", fleet.repos[2].path, "--ontology-id", "o2", "--database", fleet.url)
    waiting = [fleet.program(20 + at).start(*once, "--lock-timeout", "25") for at in range(2)]
    number = 0
    while any(each.poll() is None for each in waiting):
        number += 1
        fleet.repos[2].commit({f"busy{number % 9}.md": class_page("urn:t:busy", f"busy {number}")})
    assert [each.wait() for each in waiting] == [0, 0], [each.communicate() for each in waiting]
    for each in waiting:
        each.communicate()
    fleet.repos[2].commit({"last.md": class_page("urn:t:last", "last")})
    eventually(lambda: fleet.count("SELECT COUNT(*) FROM owl_classes WHERE label = 'last'") == 1, 30)
    fleet.assert_one_writer()


def test_a_waiter_that_died_keeps_a_source_from_its_daemon_for_a_lease_at_most(fleet: Fleet) -> None:
    fleet.join()
    eventually(lambda: fleet.loads() == [10], 30)
    fleet.rows("UPDATE leases SET wanted_until = clock_timestamp() + interval '3 seconds' WHERE ontology_id = 'o2'")
    eventually(lambda: fleet.loads() == [9], 30)
    eventually(lambda: fleet.loads() == [10], 30)


@pytest.fixture
def own() -> Iterator[Server]:
    """A server that no other test has."""
    folder = Path(tempfile.mkdtemp(prefix="postgresql-", dir="/tmp"))
    one = server.started(folder, fsync="off")
    yield one
    one.stop()
    shutil.rmtree(folder, ignore_errors=True)


def test_daemons_outlive_a_restart_of_their_server(own: Server, tmp_path: Path) -> None:
    fleet = Fleet(own, tmp_path)
    try:
        fleet.join()
        fleet.join()
        eventually(lambda: fleet.loads() == [5, 5], 30)
        own.stop("immediate")
        for repo in fleet.repos:
            repo.commit({"more.md": class_page("urn:t:more", "more")})
        eventually(
            lambda: all(any(line["event"] == "leases not renewed" for line in fleet.logged(at)) for at in (0, 1))
        )
        own.start()
        eventually(lambda: fleet.loads() == [5, 5], 30)
        eventually(lambda: fleet.count("SELECT COUNT(*) FROM owl_classes WHERE label = 'more'") == 10, 60)
        fleet.assert_one_writer()
        fleet.assert_whole()
    finally:
        fleet.close()


def settled(fleet: Fleet, daemons: int) -> int:
    """Wait until so many daemons know of each other, and o0 is held by the one that is to hold it; give its process."""

    def is_settled() -> bool:
        alive = [name for (name,) in fleet.rows("SELECT daemon_id FROM daemons WHERE alive_until > clock_timestamp()")]
        meant = spread({name: {"o0"} for name in alive}).get("o0", "").split(":")
        return len(alive) == daemons and [str(pid) for pid in fleet.holders().values()] == meant[1:2]

    eventually(lambda: is_settled() and fleet.count(OF_O0) == 1, 30)
    return fleet.holders()["o0"]


def get(port: int, path: str) -> tuple[int, str]:
    response = Web(port).get(path)
    return response.status, response.body


def test_a_daemon_in_reserve_is_ready_and_says_who_holds_what(fleet: Fleet) -> None:
    ports = [server.free_port(), server.free_port()]
    config = fleet.write_config("one.toml", [0])
    numbers = [fleet.join(config, environment={"VISIONFLOW_HTTP__PORT": str(port)}) for port in ports]
    pids = [fleet.pid(number) for number in numbers]
    at = pids.index(settled(fleet, 2))
    holding, reserve = ports[at], ports[1 - at]
    eventually(lambda: get(reserve, "/readyz")[0] == 200 and "held by" in get(reserve, "/readyz")[1])
    eventually(lambda: get(holding, "/readyz")[0] == 200)
    eventually(lambda: 'visionflow_daemons{ontology_id="o0"} 2.0' in get(holding, "/metrics")[1])
    assert 'visionflow_lease_held{ontology_id="o0"} 1.0' in get(holding, "/metrics")[1]
    metrics = get(reserve, "/metrics")[1]
    assert 'visionflow_lease_held{ontology_id="o0"} 0.0' in metrics
    assert 'visionflow_ready{ontology_id="o0"} 1.0' in metrics
    for name in ("last_success_timestamp_seconds", "lag_seconds", "consecutive_failures", "held"):
        assert f'visionflow_{name}{{ontology_id="o0"}}' in get(holding, "/metrics")[1]
        assert f'visionflow_{name}{{ontology_id="o0"}}' not in metrics
    (here,) = json.loads(get(holding, "/status")[1])["sources"]
    (there,) = json.loads(get(reserve, "/status")[1])["sources"]
    assert (here["is_held_here"], there["is_held_here"]) == (True, False)
    assert (
        here["held_by"] == there["held_by"] == here["daemons"][at if here["daemons"] == sorted(here["daemons"]) else 0]
    )
    assert "this daemon" in get(holding, "/")[1]
    assert here["held_by"] in get(reserve, "/")[1]
    fleet.end(numbers[at], signal.SIGKILL)
    eventually(lambda: json.loads(get(reserve, "/status")[1])["sources"][0]["is_held_here"], 15)


def test_a_webhook_reaches_whoever_holds_its_source(fleet: Fleet) -> None:
    (fleet.folder / "secret").write_text(SECRET)
    config = fleet.folder / "hooked.toml"
    config.write_text(
        f'database = "{fleet.url}"\n[daemon]\ninterval = 3600.0\n[postgresql]\nlease = {LEASE}\n[[sources]]\n'
        f'ontology_id = "o0"\nlocation = "file://{fleet.repos[0].path}"\nwebhook_secret_file = "secret"\n'
    )
    ports = [server.free_port(), server.free_port()]
    numbers = [fleet.join(config, environment={"VISIONFLOW_HTTP__PORT": str(port)}) for port in ports]
    reserve = ports[1 - [fleet.pid(number) for number in numbers].index(settled(fleet, 2))]
    fleet.repos[0].commit({"pushed.md": class_page("urn:t:pushed", "pushed")})
    assert Web(reserve).post("/hooks/o0", b"", plain()).status == 202
    eventually(lambda: fleet.count(OF_O0) == 2, 2 * LEASE)
    fleet.assert_one_writer()
