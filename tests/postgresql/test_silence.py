"""A server that says nothing: no wait is without an end, and the program's end does not wait for it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import peewee
import pytest

from tests.postgresql.server import PASSWORD, Server
from tests.support import Daemon, Repo, class_page, eventually
from visionflow_daemon.storage import server, silence, trouble
from visionflow_daemon.storage.postgresql import PostgresDatabase, open_postgresql
from visionflow_daemon.storage.server import ServerRules
from visionflow_daemon.sync.job import Services


@contextmanager
def stopped(*pids: int) -> Iterator[None]:
    """Let processes do nothing meanwhile."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def opened(shared: Server, name: str, is_over: threading.Event, timeout: float) -> PostgresDatabase:
    rules = ServerRules(statement_timeout=timeout, connect_timeout=2)
    return open_postgresql(shared.url(name), server.Server(rules, lambda: PASSWORD, is_over.is_set))


def backend(database: PostgresDatabase) -> int:
    """Give the process that serves this thread's connection."""
    ((pid,),) = database.rows("SELECT pg_backend_pid()")
    return int(pid)


def test_a_server_that_says_nothing_counts_as_lost(
    shared: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "BEYOND", 0.2)
    with closing(opened(shared, database, threading.Event(), 0.5)) as ours:
        with stopped(backend(ours)):
            with pytest.raises(peewee.OperationalError, match="has been silent for") as caught:
                ours.row("SELECT 1")
            assert trouble.is_lost(caught.value)
            assert ours.row("SELECT 1") == (1,), "another connection is taken"
        ours.end()


def test_nothing_of_a_transaction_comes_through_whose_server_says_nothing(
    shared: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "BEYOND", 0.2)
    with closing(opened(shared, database, threading.Event(), 0.5)) as ours:
        ours.run("CREATE TABLE said (what TEXT)")
        pid = backend(ours)
        with pytest.raises(peewee.OperationalError), ours.transaction():  # noqa: PT012 - it is about what comes between
            ours.run("INSERT INTO said VALUES ('before')")
            with stopped(pid), suppress(peewee.OperationalError):
                ours.row("SELECT 1")
            ours.run("INSERT INTO said VALUES ('behind')")
        assert ours.rows("SELECT what FROM said") == []
        ours.end()


def test_an_answer_within_the_time_limit_is_waited_for(
    shared: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(silence, "BEYOND", 0.2)
    with closing(opened(shared, database, threading.Event(), 0.5)) as ours:
        assert ours.row("SELECT pg_sleep(0.3)") is not None
        with pytest.raises(peewee.OperationalError, match="statement timeout"):
            ours.row("SELECT pg_sleep(5)")
        with ours.transaction():
            ours.prepare_to_alter()  # a migration takes its time
            ours.run("SELECT pg_sleep(1)")
        with pytest.raises(peewee.OperationalError, match="statement timeout"):
            ours.row("SELECT pg_sleep(5)")
        ours.end()


def test_at_the_end_a_server_that_says_nothing_is_waited_for_once(shared: Server, database: str) -> None:
    is_over = threading.Event()
    with closing(opened(shared, database, is_over, 60)) as ours:
        with stopped(shared.pid, backend(ours)):
            threading.Timer(0.1, is_over.set).start()
            began = time.monotonic()
            for _ in range(3):
                with pytest.raises(peewee.OperationalError, match="the program is to end"):
                    ours.row("SELECT 1")
            assert time.monotonic() - began < silence.AT_THE_END + 2
        ours.end()


def pages(count: int) -> dict[bytes | str, str]:
    return {f"p{at:04}.md": class_page(f"urn:t:{at}", f"P{at}", subClassOf={"@id": "urn:t:0"}) for at in range(count)}


def processes(shared: Server, name: str) -> list[int]:
    """Give the processes that serve the program."""
    found = shared.rows(
        f"SELECT pid FROM pg_stat_activity WHERE datname = '{name}' AND application_name LIKE 'visionflow-daemon%'"
    )
    return [int(pid) for (pid,) in found]


@pytest.mark.parametrize("arguments", [["--once"], []], ids=["once", "daemon"])
def test_sigterm_ends_the_program_while_the_server_hangs(
    shared: Server, database: str, repo: Repo, client: Daemon, arguments: list[str]
) -> None:
    repo.commit(pages(600))
    with client.running(*arguments, "--source", repo.path, "--database", shared.url(database)) as running:
        running.until("pass started")
        count = "SELECT COUNT(*) FROM source_files"
        eventually(lambda: shared.rows(count, database)[0][0] > 20)
        with stopped(shared.pid, *processes(shared, database)):
            threading.Event().wait(0.5)
            began = time.monotonic()
            running.end()
            assert time.monotonic() - began < 10
    client.once(repo.path, database=shared.url(database))
    assert shared.rows("SELECT COUNT(*) FROM source_files WHERE status = 'saved'", database) == [(600,)]


def test_a_snapshot_that_is_lost_is_asked_for_anew_as_a_whole(shared: Server, database: str) -> None:
    """What asks within it does not wait for a server that can't give the snapshot back."""
    with closing(opened(shared, database, threading.Event(), 5.0)) as ours:
        slept: list[float] = []
        services = Services(ours, sleep=slept.append)
        asked: list[int] = []

        def ask() -> object:
            with ours.snapshot():
                asked.append(backend(ours))
                if len(asked) == 1:
                    shared.rows(f"SELECT pg_terminate_backend({asked[0]}, 5000)")
                return services.asked(lambda: ours.row("SELECT 1"))

        assert services.asked(ask) == (1,)
        assert (len(asked), len(slept)) == (2, 1)
        ours.end()
