"""Leases on a real server: one holder at a time, and nothing that an earlier one says comes through."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.postgresql import server
from tests.postgresql.server import PASSWORD
from tests.support import eventually
from visionflow_daemon.errors import LeaseError, LockedError
from visionflow_daemon.storage import lease
from visionflow_daemon.storage.database import Database
from visionflow_daemon.storage.heart import beating
from visionflow_daemon.storage.hold import held_by_us
from visionflow_daemon.storage.holders import alive, leases
from visionflow_daemon.storage.leaseholder import US, Leaseholder
from visionflow_daemon.storage.migrate import open_migrated
from visionflow_daemon.storage.postgresql import PostgresDatabase, open_postgresql
from visionflow_daemon.storage.server import Server, ServerRules

OVER = b"SELECT expires_at < clock_timestamp() FROM leases"
WAITS = b"SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
LOCK = "SELECT 1 FROM leases WHERE ontology_id = 'o' FOR UPDATE"


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A database with our schema, and a table to write into."""
    name = server.database_name(tmp_path)
    url = server.shared().new_database(name)
    made, _ = open_migrated(url, tmp_path, server=Server(ServerRules(), lambda: PASSWORD))
    made.run("CREATE TABLE said (words TEXT)")
    made.close()
    made.end()
    yield url
    server.shared().rows(f'DROP DATABASE "{name}" WITH (FORCE)')


Open = Callable[..., PostgresDatabase]


@pytest.fixture
def opened(url: str) -> Iterator[Open]:
    """Opens the database, with a lease of so many seconds."""
    with ExitStack() as held:

        def opened(seconds: float = 5.0, busy_timeout: float = 5.0, *, pgbouncer: bool = False) -> PostgresDatabase:
            rules = ServerRules(lease=seconds, pgbouncer=pgbouncer)
            database = open_postgresql(url, Server(rules, lambda: PASSWORD), busy_timeout=busy_timeout)
            held.callback(database.end)
            held.callback(database.close)
            return database

        yield opened


def say(database: Database, words: str) -> None:
    with database.transaction():
        database.run("INSERT INTO said VALUES (?)", (words,))


def said(database: PostgresDatabase) -> list[str]:
    return [words for (words,) in database.rows("SELECT words FROM said ORDER BY words")]


@contextmanager
def locked_row(url: str, statement: str = LOCK) -> Iterator[None]:
    """Hold a lease's row in a transaction of somebody's."""
    with psycopg.connect(url, password=PASSWORD) as other:
        other.execute(statement.encode())
        yield


class Other:
    """Another process, as the server sees it: one with another name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._patch = monkeypatch

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Run the block as that process."""
        with self._patch.context() as patch:
            patch.setattr(Leaseholder, "name", "elsewhere:7:abc")
            yield


@pytest.fixture
def another(monkeypatch: pytest.MonkeyPatch) -> Other:
    """Runs a block as another process would."""
    return Other(monkeypatch)


def test_a_lease_has_one_holder_and_a_token_that_grows(opened: Open, another: Other) -> None:
    database = opened()
    assert lease.take(database, "o") == 1
    with another():
        assert lease.take(database, "o") is None
        lease.give_up(database, "o", 1)  # not theirs to give
    assert leases(database)["o"].is_ours
    lease.give_up(database, "o", 1)
    assert leases(database) == {}
    with another():
        assert lease.take(database, "o") == 2
    assert (leases(database)["o"].holder, leases(database)["o"].is_ours) == ("elsewhere:7", False)


def test_what_an_earlier_holder_says_late_does_not_come_through(opened: Open, another: Other) -> None:
    database = opened(seconds=1)
    token = lease.take(database, "o")
    assert token
    ours = database.fenced(lease.fence_of("o", token))
    say(ours, "in time")
    eventually(lambda: not leases(database))
    say(ours, "over, but nobody else took it")
    with another():
        assert lease.take(database, "o") == token + 1
    with pytest.raises(LeaseError, match="another's by now"):
        say(ours, "late")
    with pytest.raises(LeaseError), ours.transaction(in_order=False):
        ours.run("INSERT INTO said VALUES ('late, and out of order')")
    assert said(database) == ["in time", "over, but nobody else took it"]


def test_a_token_that_a_crash_of_the_server_gave_twice_is_one_holders(opened: Open, another: Other) -> None:
    database = opened()
    with another():
        token = lease.take(database, "o")
    assert token
    with pytest.raises(LeaseError):
        say(database.fenced(lease.fence_of("o", token)), "under the same token")
    assert said(database) == []


def test_nobody_takes_a_lease_over_while_its_holder_commits(opened: Open, url: str, another: Other) -> None:
    database = opened(seconds=1)
    token = lease.take(database, "o")
    assert token
    ours, taken = database.fenced(lease.fence_of("o", token)), threading.Event()
    found: list[int | None] = []

    def take() -> None:
        other = opened(seconds=1)
        found.append(lease.take(other, "o"))
        taken.set()
        other.close()

    with beating(database, "o", token), ours.transaction():
        ours.run("INSERT INTO said VALUES ('long')")
        ours.rows("SELECT 1")
        with psycopg.connect(url, password=PASSWORD, autocommit=True) as asker, another():
            eventually(lambda: asker.execute(OVER).fetchall() == [(True,)])
            thread = threading.Thread(target=take)
            thread.start()
            eventually(lambda: bool(asker.execute(WAITS).fetchall()))
            assert not taken.is_set()
    thread.join()
    assert (found, said(database)) == ([None], ["long"])  # a long transaction renews the lease at its end
    say(ours, "still ours")


def test_a_row_that_is_locked_delays_no_other_renewal(opened: Open, url: str) -> None:
    database = opened(seconds=5, busy_timeout=0.2)
    tokens = {each: lease.take(database, each) or 0 for each in ("o", "p", "q")}
    with locked_row(url):
        began = time.monotonic()
        found = lease.renew(database, tokens)
        assert time.monotonic() - began < 1
    assert (found.ours, found.lost) == ({"p", "q"}, set())
    assert lease.renew(database, tokens).ours == tokens.keys()


def test_what_another_took_counts_as_lost(opened: Open, another: Other) -> None:
    database = opened(seconds=1)
    tokens = {each: lease.take(database, each) or 0 for each in ("o", "p")}
    eventually(lambda: not leases(database))
    with another():
        assert lease.take(database, "o")
    found = lease.renew(database, tokens)
    assert (found.ours, found.lost) == ({"p"}, {"o"})


def test_who_looks_at_a_lease_waits_for_nobody(opened: Open, url: str, another: Other) -> None:
    database = opened(busy_timeout=30)
    with another():
        assert lease.take(database, "o")
    with locked_row(url):
        began = time.monotonic()
        assert lease.take(database, "o") is None
        assert time.monotonic() - began < 1


def test_who_waits_is_told_who_holds_it_and_until_when(opened: Open, another: Other) -> None:
    database = opened()
    with another():
        assert lease.take(database, "o")
    held = leases(database)["o"]
    with pytest.raises(LockedError) as caught, held_by_us(database, "o", 0.3):
        pass
    for words in ("elsewhere:7", held.since, held.until, "--lock-timeout"):
        assert words in str(caught.value)


def test_who_waits_says_so_again_and_again_and_takes_what_is_free(opened: Open, another: Other) -> None:
    database = opened(seconds=1)
    with another():
        token = lease.take(database, "o")
    assert token
    looks = 0

    def sleep(_seconds: float) -> None:
        nonlocal looks
        looks += 1
        if looks == 1:  # somebody else who waited had it in between, and it is wanted no more
            assert leases(database)["o"].is_wanted
            database.run("UPDATE leases SET wanted_until = NULL, expires_at = clock_timestamp() + interval '1 minute'")
        elif looks > 3 and leases(database)["o"].is_wanted:
            with another():
                assert lease.take(database, "o") is None
                lease.give_up(database, "o", token)
                assert lease.take(database, "o") is None  # a daemon leaves it to who waits
        else:
            threading.Event().wait(0.05)

    with held_by_us(database, "o", 20, sleep) as ours:
        say(ours, "after the wait")
        assert not leases(database)["o"].is_wanted
    assert leases(database) == {}


def test_a_wait_outlasts_a_transaction_that_keeps_the_row_locked(opened: Open, url: str, another: Other) -> None:
    database = opened(seconds=1, busy_timeout=0.1)
    with another():
        assert lease.take(database, "o")
    eventually(lambda: not leases(database))
    waited = threading.Event()
    held = ExitStack()
    held.enter_context(locked_row(url))

    def sleep(_seconds: float) -> None:
        if waited.is_set():
            held.close()
        waited.set()

    with held_by_us(database, "o", 20, sleep) as ours:
        say(ours, "patience")
    assert said(database) == ["patience"]


def test_leases_of_commands_are_renewed_by_one_thread_while_they_work(opened: Open) -> None:
    database = opened(seconds=1)

    def hearts() -> int:
        return sum(thread.name == "lease" for thread in threading.enumerate())

    with ExitStack() as held:
        for each in ("o", "p", "q"):
            held.enter_context(held_by_us(database, each, 0))
        assert hearts() == 1
        before = {each: held_lease.until for each, held_lease in leases(database).items()}
        eventually(lambda: all(leases(database)[each].until > before[each] for each in before))
        eventually(lambda: all(leases(database)[each].until > before[each] for each in before))
    assert (hearts(), leases(database)) == (0, {})


def test_who_keeps_leases_works_under_no_other(opened: Open) -> None:
    database = opened()
    US.keeps_leases(database)
    try:
        with pytest.raises(LeaseError, match="is another's"), held_by_us(database, "o", 0):
            pass
        assert leases(database) == {}
        US.keep(database, "o", lease.take(database, "o") or 0)
        with held_by_us(database, "o", 0) as ours:
            say(ours, "kept")
        assert leases(database)["o"].is_ours
    finally:
        US.keeps_none(database)
    assert said(database) == ["kept"]


def test_statements_for_leases_have_their_timeouts_behind_pgbouncer_too(opened: Open, url: str) -> None:
    database = opened(busy_timeout=0.2, pgbouncer=True)
    token = lease.take(database, "o") or 0
    with locked_row(url):
        began = time.monotonic()
        assert lease.renew(database, {"o": token}) == lease.Renewed()
        assert time.monotonic() - began < 2


def test_a_servers_clock_that_was_set_back_keeps_nothing_held(opened: Open, another: Other) -> None:
    database = opened()
    with another():
        token = lease.take(database, "o") or 0
    database.run(
        "UPDATE leases SET renewed_at = renewed_at + interval '1 hour', expires_at = expires_at + interval '1 hour',"
        " wanted_until = clock_timestamp() + interval '1 hour'"
    )
    database.run(
        "INSERT INTO daemons SELECT 'elsewhere:7:abc', now(), now() + interval '1 hour',"
        " now() + interval '1 hour 5 seconds', '[\"o\"]'"
    )
    assert (leases(database), alive(database)) == ({}, {})
    assert lease.take(database, "o") == token + 1


def test_its_holder_keeps_a_lease_over_a_clock_that_is_set_back(opened: Open) -> None:
    database = opened()
    tokens = {"o": lease.take(database, "o") or 0}
    database.run("UPDATE leases SET renewed_at = renewed_at + interval '1 hour'")
    say(database.fenced(lease.fence_of("o", tokens["o"])), "nobody took it")
    assert lease.renew(database, tokens).ours == {"o"}
    assert leases(database)["o"].is_ours


@contextmanager
def silent_holder(url: str, statement: str) -> Iterator[psycopg.Connection[Any]]:
    """Be a session of another holder's, which says something in a pipeline, and then no more."""
    name = "visionflow-daemon elsewhere:7"
    with psycopg.connect(url, password=PASSWORD, autocommit=True, application_name=name) as one:
        one.execute("SET idle_in_transaction_session_timeout = 200")
        one.execute("SET statement_timeout = 200")
        with suppress(psycopg.OperationalError), one.pipeline():
            one.execute("BEGIN")
            one.execute(statement.encode()).fetchall()
            yield one


def test_a_holder_that_fell_silent_in_a_transaction_is_ended(opened: Open, url: str, another: Other) -> None:
    database = opened(seconds=1, busy_timeout=0.3)
    with another():
        assert lease.take(database, "o")
    with silent_holder(url, LOCK) as silent:
        eventually(lambda: not leases(database))
        eventually(lambda: lease.take(database, "o") == 2, 10)
        with pytest.raises(psycopg.OperationalError):
            silent.execute("SELECT 1").fetchall()


def test_a_holder_that_is_heard_of_is_not_ended(opened: Open, url: str, another: Other) -> None:
    database = opened(seconds=1, busy_timeout=0.1)
    with another():
        assert lease.take(database, "o")
    name = "visionflow-daemon elsewhere:7"
    with silent_holder(url, LOCK) as busy, psycopg.connect(url, password=PASSWORD, application_name=name) as heart:
        heart.autocommit = True
        eventually(lambda: not leases(database))
        for _ in range(10):
            heart.execute("SELECT 1")
            with lease.unless_locked("o"):
                pytest.fail(f"taken: {lease.take(database, 'o')}")
        assert busy.execute("SELECT 7").fetchall() == [(7,)]
