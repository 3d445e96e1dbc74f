"""A database on a PostgreSQL server, through Peewee and psycopg 3: pooled connections, many writers at a time.

What holds SQLite's single writer together for nothing is kept by the row of a lease here (storage/lease.py): each
transaction that writes an ontology's facts holds it (ADR 0029).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from functools import cache
from typing import Any
from uuid import uuid4

import orjson
import peewee
import psycopg
from playhouse.pool import MaxConnectionsExceeded, PooledPostgresqlDatabase
from psycopg.pq import TransactionStatus
from psycopg.types.json import set_json_loads

from visionflow_daemon.errors import BusyError, DatabaseError
from visionflow_daemon.storage import trouble
from visionflow_daemon.storage.database import BUSY_TIMEOUT, EACH_OF, EACH_ROW_OF, POSTGRESQL, Database, Row
from visionflow_daemon.storage.server import Server, conninfo, server_address

STREAMED = 1_000
"""Rows that are fetched at once of a result that is streamed."""

STALE_SECONDS = 300
"""How long a connection that nobody uses is kept."""

MARKS = {
    EACH_ROW_OF: "(SELECT jsonb_array_elements(?::jsonb) AS value)",
    EACH_OF: '(SELECT jsonb_array_elements_text(?::jsonb) COLLATE "C" AS value)',
}
"""How this engine says what engines don't share."""


def unfenced() -> None:
    """Let every transaction begin."""


class PostgresDatabase(Database):
    """A database of a server's; each thread takes a connection out of the pool, and gives it back by `close`.

    Its transactions don't wait for the disk: as with SQLite's log, a power cut may take the last ones, in the order of
    their commits, and `settle` waits for all before it. Settings hold for a transaction, not for a session, which a
    pgbouncer may share out.
    """

    peewee: PooledPostgresqlDatabase
    engine = POSTGRESQL
    takes_turns = False

    def __init__(
        self, url: str, server: Server, *, read_only: bool = False, busy_timeout: float = BUSY_TIMEOUT
    ) -> None:
        super().__init__()
        rules = server.rules
        self.address = server_address(url)
        self.server = server
        self.read_only = read_only
        secret = {"password": password} if (password := server.password()) is not None else {}
        self.peewee = PooledPostgresqlDatabase(
            conninfo(url),
            max_connections=rules.connections,
            stale_timeout=STALE_SECONDS,
            timeout=max(1, int(rules.patience)),
            prefer_psycopg3=True,
            connect_timeout=max(2, round(rules.connect_timeout)),  # libpq takes whole seconds, and 1 for 2
            prepare_threshold=5 if rules.prepare else None,
            application_name="visionflow-daemon",
            client_encoding="utf8",
            **secret,
        )
        self._fence: Callable[[], None] = unfenced
        settings = (
            f"SET LOCAL statement_timeout = {_milliseconds(rules.statement_timeout)};"
            f" SET LOCAL lock_timeout = {_milliseconds(busy_timeout)};"
            f" SET LOCAL idle_in_transaction_session_timeout = {_milliseconds(rules.idle_timeout)}"
        )
        self._begin = f"BEGIN; SET LOCAL synchronous_commit = off; {settings}"
        self._begin_snapshot = f"BEGIN ISOLATION LEVEL REPEATABLE READ; {settings.partition('; SET LOCAL idle')[0]}"

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> Any:  # noqa: ANN401 - a DB-API cursor has no type
        """Execute one statement and give its cursor."""
        return self.peewee.execute_sql(translated(sql), parameters)

    def run_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Execute one statement for each row of parameters, in one go."""
        if rows:
            with peewee.__exception_wrapper__:  # type: ignore[attr-defined]
                self.peewee.cursor().executemany(translated(sql), rows)

    def stream(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[Row]:
        """Execute a query, within a snapshot, and give its rows one by one."""
        with peewee.__exception_wrapper__, self.peewee.connection().cursor(uuid4().hex) as cursor:  # type: ignore[attr-defined]
            cursor.itersize = STREAMED
            cursor.execute(translated(sql), parameters)
            yield from cursor

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Write in one transaction."""
        asked = time.perf_counter()
        self._started(self._begin)
        try:
            self._fence()
            began = time.perf_counter()
            yield
            self.run("COMMIT")
        except BaseException:
            self._undone()
            raise
        self.observe(began - asked, time.perf_counter() - began)

    def fenced(self, fence: Callable[[], None]) -> PostgresDatabase:
        """Give the same database, whose transactions begin with a look that raises where they may not be."""
        other = copy(self)
        other._fence = fence
        return other

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read in one transaction, so that several queries see one state."""
        if self._is_within():
            yield
            return
        self._started(self._begin_snapshot)
        try:
            yield
            self.run("COMMIT")
        except BaseException:
            self._undone()
            raise

    def settle(self) -> None:
        """Wait until the server's disk has all that was committed."""
        self._started("BEGIN; SET LOCAL synchronous_commit = on")
        try:
            self.run("SELECT txid_current()")  # a transaction that writes nothing would wait for nothing
            self.run("COMMIT")
        except BaseException:
            self._undone()
            raise

    def tables(self) -> set[str]:
        """Name the tables that there are, in the schema where ours are made."""
        return {
            name
            for (name,) in self.rows("SELECT tablename FROM pg_catalog.pg_tables WHERE schemaname = current_schema()")
        }

    def connected(self) -> None:
        """Take a connection for this thread, if it has none. Raises BusyError where the pool has none left."""
        try:
            self.peewee.connect(reuse_if_open=True)
        except MaxConnectionsExceeded:
            raise BusyError(
                f"all {self.server.rules.connections} connections to {self.name} are taken: raise "
                "postgresql.connections, or lower sync.workers"
            ) from None

    def end(self) -> None:
        """Let go of all connections that no thread has."""
        self.peewee.close_idle()

    def _started(self, begin: str) -> None:
        """Begin a transaction; a connection that was lost since the last one is made anew."""
        self.connected()
        try:
            self.peewee.execute_sql(begin)
        except peewee.DatabaseError as error:
            is_lost = trouble.is_lost(error)
            self._undone()
            if not is_lost:
                raise
            self.connected()
            self.peewee.execute_sql(begin)

    def _undone(self) -> None:
        """Roll back; a connection on which that fails is thrown away, and so are those that wait in the pool."""
        with suppress(peewee.DatabaseError):
            if self.peewee.connection().info.transaction_status is not TransactionStatus.IDLE:
                self.run("ROLLBACK")
        if self.peewee.connection().broken or self.peewee.connection().closed:
            with suppress(peewee.DatabaseError, psycopg.Error):
                self.peewee.manual_close()
            self.peewee.close_idle()

    def _is_within(self) -> bool:
        return (
            not self.peewee.is_closed()
            and self.peewee.connection().info.transaction_status is not TransactionStatus.IDLE
        )


def open_postgresql(
    url: str, server: Server, *, read_only: bool = False, busy_timeout: float = BUSY_TIMEOUT
) -> PostgresDatabase:
    """Open a server's database. Raises ConfigError, DatabaseError, and BusyError where the server does not answer."""
    database = PostgresDatabase(url, server, read_only=read_only, busy_timeout=busy_timeout)
    try:
        database.connected()
        database.row("SELECT 1")
    except peewee.DatabaseError as error:
        database.close()
        words = trouble.in_words(error, database.name)
        raise (words or DatabaseError(f"can't open the database {database.name}: {error}")) from error
    return database


@cache
def translated(sql: str) -> str:
    """Give a statement as this engine's driver takes it."""
    for mark, ours in MARKS.items():
        sql = sql.replace(mark, ours)
    return sql.replace("%", "%%").replace("?", "%s")


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000)) if seconds else 0


def _canonical(data: str | bytes) -> str:
    """Give JSON as all engines do: in the one form in which it was written (formats/builder.py)."""
    return orjson.dumps(orjson.loads(data), option=orjson.OPT_SORT_KEYS).decode()


set_json_loads(_canonical)
