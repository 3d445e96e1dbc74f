"""Statements go to the server together: what they hold arrives as it is, and what fails leaves nothing behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import peewee
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.postgresql.server import PASSWORD, database_name, shared
from visionflow_daemon.errors import DatabaseError
from visionflow_daemon.storage.postgresql import PostgresDatabase, open_postgresql
from visionflow_daemon.storage.server import Server, ServerRules

INSERT = "INSERT INTO things (id, text, bytes, number) VALUES (?, ?, ?, ?)"
ALL = "SELECT id, text, bytes, number FROM things ORDER BY id"
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
rows = st.tuples(st.none() | texts, st.none() | st.binary(max_size=20), st.none() | st.integers(-(2**53), 2**53))
settings_ = settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(params=[False, True], ids=["prepared", "for a pooler"])
def database(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[PostgresDatabase]:
    """A database with a table of things, of either way to have statements executed."""
    rules = ServerRules(pgbouncer=request.param)
    opened = open_postgresql(shared().new_database(database_name(tmp_path)), Server(rules, lambda: PASSWORD))
    opened.run("CREATE TABLE things (id BIGINT PRIMARY KEY, text TEXT, bytes BYTEA, number BIGINT)")
    yield opened
    opened.close()
    opened.end()


@settings_
@given(st.lists(rows, max_size=5))
def test_whatever_a_row_holds_arrives_as_it_is(
    database: PostgresDatabase, given_rows: list[tuple[str | None, bytes | None, int | None]]
) -> None:
    due = [(at, *row) for at, row in enumerate(given_rows)]
    with database.transaction():
        database.run("DELETE FROM things")
        database.run_many(INSERT, due)
        together = database.rows(ALL)
        database.run("DELETE FROM things")
        for row in due:
            database.run(INSERT, row)
        assert database.rows(ALL) == together == due
    assert database.rows(ALL) == due


def test_a_cursor_gives_its_rows_bit_by_bit(database: PostgresDatabase) -> None:
    with database.transaction():
        database.run_many(INSERT, [(at, None, None, at * at) for at in range(5)])
        found = database.run("SELECT number FROM things ORDER BY id")
        assert found.fetchone() == (0,)
        assert found.fetchmany(2) == [(1,), (4,)]
        assert list(found) == [(9,), (16,)]
        assert found.fetchone() is None
        assert database.run("UPDATE things SET number = 0 WHERE id > ?", (2,)).rowcount == 2


def write(database: PostgresDatabase, *statements: tuple[str, tuple[Any, ...]]) -> None:
    """Execute statements in one transaction."""
    with database.transaction():
        for sql, parameters in statements:
            database.run(sql, parameters)


def ids(database: PostgresDatabase) -> list[int]:
    """Name the things that there are."""
    return [row[0] for row in database.rows(ALL)]


ONE, TWO, THREE = ((INSERT, (at, "x", None, None)) for at in (1, 2, 3))


def test_a_text_with_a_nul_is_refused_and_nothing_is_left(database: PostgresDatabase) -> None:
    def write_many() -> None:
        with database.transaction():
            database.run_many(INSERT, [(1, "a", None, None), (2, "b\0c", None, None)])

    with pytest.raises(peewee.DataError, match="NUL"):
        write(database, ONE, (INSERT, (2, "b\0c", None, None)))
    with pytest.raises(peewee.DataError, match="NUL"):
        write_many()
    assert ids(database) == []


def test_the_first_failure_is_told_and_what_comes_after_it_is_not_done(database: PostgresDatabase) -> None:
    for _ in range(2):  # the second time on the connection that has met it
        with pytest.raises(peewee.IntegrityError, match="things_pkey"):
            write(database, ONE, ONE, ("SELECT 1 / ?::int", (0,)))
        assert ids(database) == []
    write(database, ONE)
    assert ids(database) == [1]


def test_a_statement_that_was_refused_is_no_obstacle_to_it_later(database: PostgresDatabase) -> None:
    later = ("INSERT INTO others VALUES (?)", (1,))
    for _ in range(2):
        with pytest.raises(peewee.ProgrammingError, match="others"):
            write(database, later, ONE)
    write(database, ("CREATE TABLE others (id BIGINT)", ()), later, ONE)
    assert database.rows("SELECT things.id, others.id FROM things, others") == [(1, 1)]


def test_a_demand_that_is_not_met_undoes_all_with_its_own_error(database: PostgresDatabase) -> None:
    def demand(thing: int) -> None:
        with database.transaction():
            database.run(*ONE)
            database.demand("SELECT 1 / COUNT(*) FROM things WHERE id = ?", (thing,), DatabaseError("not so"))
            database.run(*TWO)

    with pytest.raises(DatabaseError, match="not so"):
        demand(3)
    assert ids(database) == []
    demand(1)
    assert ids(database) == [1, 2]


def test_what_is_raised_within_undoes_all(database: PostgresDatabase) -> None:
    def fail() -> None:
        with database.transaction():
            database.run(*ONE)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert ids(database) == []


def test_a_connection_that_is_cut_is_told_once_and_replaced(database: PostgresDatabase) -> None:
    def be_cut() -> None:
        with database.transaction():
            database.run(*ONE)
            (pid,) = database.row("SELECT pg_backend_pid()") or (0,)
            shared().rows("SELECT pg_terminate_backend(%s, 5000)", parameters=(pid,))
            database.run(*TWO)

    with pytest.raises((peewee.OperationalError, peewee.InterfaceError)):
        be_cut()
    write(database, THREE)
    assert ids(database) == [3]


def test_much_is_sent_and_much_comes_back_at_once(database: PostgresDatabase) -> None:
    """More than the buffers of both sides hold: who only sent would wait for ever for a server that only answers."""
    text = "x" * 100_000
    with database.transaction():
        asked = [database.ask("SELECT ?::text, ?::text", (f"{at}{text}", text)) for at in range(200)]
        assert [len(rows()[0][0]) for rows in asked] == [len(f"{at}{text}") for at in range(200)]
