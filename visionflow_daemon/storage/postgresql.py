"""A database on a PostgreSQL server, through Peewee and psycopg 3: pooled connections, many writers at a time.

What holds SQLite's single writer together for nothing is kept by the row of a lease here (storage/lease.py): each
transaction that writes an ontology's facts holds it (ADR 0029).
"""

from __future__ import annotations

import itertools
import logging
import select
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from copy import copy
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import orjson
import peewee
import psycopg
from playhouse.pool import MaxConnectionsExceeded, PooledPostgresqlDatabase
from psycopg.pq import TransactionStatus
from psycopg.types.json import set_json_loads

from visionflow_daemon import lean
from visionflow_daemon.errors import BusyError, DatabaseError
from visionflow_daemon.storage import statistics, trouble
from visionflow_daemon.storage.database import BUSY_TIMEOUT, POSTGRESQL, Database, Row
from visionflow_daemon.storage.dialect import TYPES, Insert, translated
from visionflow_daemon.storage.pipeline import Pipeline
from visionflow_daemon.storage.pool import beginning, open_pool, session_settings
from visionflow_daemon.storage.server import Server, server_address
from visionflow_daemon.storage.silence import Connection

lean.let_peewee_have_psycopg()
logging.getLogger("psycopg").setLevel(logging.CRITICAL)  # what it complains of, it also raises

STREAMED = 1_000
"""Rows that are fetched at once of a result that is streamed."""

WAKEFUL_SECONDS = 1.0
"""After so long it is looked whether a connection still stands, before it is used."""

SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL idle_in_transaction_session_timeout = 0"
"""Begins a snapshot, whose reader may take its time."""

NOTE_RUN = (
    "INSERT INTO passes_under_way (ontology_id, run_id) VALUES (?, ?)"
    " ON CONFLICT (ontology_id) DO UPDATE SET run_id = excluded.run_id"
)
FIND_RUN = "SELECT 1 FROM passes_under_way WHERE ontology_id = ? AND run_id = ?"

AtEnd = Callable[[], None]
Fence = Callable[["PostgresDatabase"], AtEnd]
"""Asks the server for a transaction's turn, with a demand that it has one; gives what is called before the commit."""


def nothing() -> None:
    """Do nothing."""


def unfenced(_: PostgresDatabase) -> AtEnd:
    """Let transactions come through as they please."""
    return nothing


@contextmanager
def as_peewees() -> Iterator[None]:
    """Raise psycopg's errors as peewee's. Its own wrapper goes by names alone, and would take some of ours along."""
    try:
        yield
    except psycopg.Error:
        with peewee.__exception_wrapper__:  # type: ignore[attr-defined]
            raise


@dataclass(slots=True)
class _Here:
    """The transaction of a thread: its statements on their way to the server, and what its end wants."""

    pipeline: Pipeline
    at_end: AtEnd | None = None
    """Given by the fence, once it was asked."""


class PostgresDatabase(Database):
    """A database of a server's. Each thread takes a connection out of the pool while it asks or writes something.

    One that has much to write keeps it, from `connected` to `close`. Who waits for others is not to have one meanwhile.
    Its transactions don't wait for the disk: as with SQLite's log, a power cut may take the last ones, in the order of
    their commits, and `settle` waits for all before it.
    """

    peewee: PooledPostgresqlDatabase
    engine = POSTGRESQL
    at_once = None
    is_ordered = True

    def __init__(
        self, url: str, server: Server, *, read_only: bool = False, busy_timeout: float = BUSY_TIMEOUT
    ) -> None:
        super().__init__()
        rules = server.rules
        self.address = server_address(url)
        self.server = server
        self._url = url
        self.patience = rules.patience
        self.read_only = read_only
        settings = session_settings(rules, busy_timeout)
        self.peewee = open_pool(url, server, settings)
        self._begin = beginning(rules, settings)
        self._fence: Fence = unfenced
        self._threads = threading.local()
        self._commits = itertools.count(1)
        self._types: dict[str, dict[str, str]] = {}

    @property
    def is_within(self) -> bool:
        """Whether this thread is in a transaction, even on a lost connection: no statement of it may come through."""
        return getattr(self._threads, "is_within", False)

    @is_within.setter
    def is_within(self, is_within: bool) -> None:
        self._threads.is_within = is_within

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> Any:  # noqa: ANN401 - a DB-API cursor has no type
        """Execute one statement and give its cursor."""
        if (here := self._here) is not None:
            return here.pipeline.execute(translated(sql), parameters)
        with nullcontext() if self.is_within else self._lent(), as_peewees():
            return psycopg.RawCursor(self._connection).execute(translated(sql), parameters)

    def ask(self, sql: str, parameters: Sequence[Any] = ()) -> Callable[[], list[Row]]:
        """Execute a query, and give what gives its rows."""
        asked: Callable[[], list[Row]] = self.run(sql, parameters).fetchall
        return asked

    def demand(self, sql: str, parameters: Sequence[Any], unmet: Exception) -> None:
        """Execute a query that divides by zero where this transaction can't go on: then `unmet` is raised."""
        self.run(sql, parameters).unmet = unmet

    def run_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Execute one statement for each row of parameters, in one go; rows that are inserted go as columns."""
        if len(rows) == 1:
            self.run(sql, rows[0])
        elif rows and (insert := Insert.of(sql)):
            self.run(self._of_columns(insert), [list(column) for column in zip(*rows, strict=True)])
        else:
            for row in rows:
                self.run(sql, row)

    def load(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Insert many rows in a transaction of their own, by COPY, which no pipeline takes."""
        with self._undone_if_it_fails(), as_peewees():
            with self._pipeline() as here:
                self.in_order()
            self._threads.here = None
            with psycopg.Cursor(self._connection).copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copying:
                for row in rows:
                    copying.write_row(row)
            (here.at_end or nothing)()
            self.run("COMMIT")

    def stream(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[Row]:
        """Execute a query, within a snapshot, and give its rows one by one, however long it takes to sort them."""
        self._take_time()
        with as_peewees(), psycopg.RawServerCursor(self._connection, uuid4().hex) as cursor:
            cursor.itersize = STREAMED
            cursor.execute(translated(sql), parameters)
            yield from cursor

    @contextmanager
    def transaction(self, *, in_order: bool = True) -> Iterator[None]:
        """Write in one transaction, whose statements go to the server together until a result is asked for."""
        asked = time.perf_counter()
        with self._undone_if_it_fails(), as_peewees(), self._pipeline() as here:
            if in_order:
                self.in_order()
            began = time.perf_counter()
            yield
            if here.at_end is None:
                self.in_order()
            (here.at_end or nothing)()
            self.run("COMMIT")
        self.observe(began - asked, time.perf_counter() - began)
        if self._fence is not unfenced and next(self._commits) in statistics.LOOKED_AT:
            with suppress(peewee.DatabaseError):  # what was committed stands, whatever comes of this
                self.look_at_tables()

    def in_order(self) -> None:
        """Let the rest of this transaction follow those of the same ontology before it, and precede others."""
        if (here := self._here) is not None:
            here.at_end = self._fence(self)

    def fenced(self, fence: Fence) -> PostgresDatabase:
        """Give the same database, whose transactions come through one by one, while the fence lets them."""
        other = copy(self)
        other._fence = fence  # noqa: SLF001 - it is one of ours
        return other

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read in one transaction, so that several queries see one state."""
        if self.is_within:
            yield
            return
        with self._undone_if_it_fails():
            self.peewee.execute_sql(SNAPSHOT, None)
            yield
            self.run("COMMIT")

    def settle(self) -> None:
        """Wait until the server's disk has all that was committed."""
        with self._undone_if_it_fails():
            self.peewee.execute_sql("BEGIN; SET LOCAL synchronous_commit = on", None)
            self.run("SELECT txid_current()")  # a transaction that writes nothing would wait for nothing
            self.run("COMMIT")

    def begin_pass(self, ontology_id: str, run_id: str) -> None:
        """Note, within a transaction, that a pass begins: in a table that a crash of the server empties."""
        self.run(NOTE_RUN, (ontology_id, run_id))

    def has_pass(self, ontology_id: str, run_id: str) -> bool:
        """Tell, within a transaction, whether the server has stood since a pass began, and lost none of its commits."""
        return self.row(FIND_RUN, (ontology_id, run_id)) is not None

    def tables(self) -> set[str]:
        """Name the tables that there are, in the schema where ours are made."""
        return {
            name
            for (name,) in self.rows("SELECT tablename FROM pg_catalog.pg_tables WHERE schemaname = current_schema()")
        }

    def prepare_to_alter(self) -> None:
        """Give statements that change tables all the time that they need."""
        self._take_time()

    def connected(self) -> None:
        """Keep a connection for this thread until it is closed. Raises BusyError where the pool has none left."""
        self._take()
        self._threads.keeps = True  # not where it got none: what it takes later is given back

    def close(self) -> None:
        """Give this thread's connection back."""
        self._threads.keeps = False
        super().close()

    def _take(self) -> None:
        try:
            self.peewee.connect(reuse_if_open=True)
        except MaxConnectionsExceeded:
            raise BusyError(
                f"all {self.server.rules.connections} connections to {self.name} are taken: raise "
                "postgresql.connections, or lower sync.workers"
            ) from None

    def another(self, *, busy_timeout: float) -> PostgresDatabase:
        """Give the same database with connections of its own, for what is not to wait for those that passes have."""
        return PostgresDatabase(self._url, self.server, busy_timeout=busy_timeout)

    def refresh(self) -> None:
        """Let go of this thread's connection after a failure; the next statement gets another one."""
        self._undone()
        if not self.peewee.is_closed():
            self._thrown_away()

    def end(self) -> None:
        """Let go of all connections that no thread has."""
        self.peewee.close_idle()

    def look_at_tables(self) -> None:
        """Let the server look at tables that have grown since it last did."""
        statistics.renew(self)

    def _of_columns(self, insert: Insert) -> str:
        if insert.table not in self._types:
            self._types[insert.table] = dict(self.rows(TYPES, (insert.table,)))
        return insert.of_columns(self._types[insert.table])

    @property
    def _here(self) -> _Here | None:
        """This thread's transaction, if it is in one."""
        here: _Here | None = getattr(self._threads, "here", None)
        return here

    @contextmanager
    def _lent(self) -> Iterator[None]:
        """Have a connection that works; a thread that keeps none gives it back."""
        try:
            self._awake()
            yield
        finally:
            if not getattr(self._threads, "keeps", False):
                self.close()

    def _awake(self) -> None:
        """See that this thread has a connection, and none that the server has closed since it was last used."""
        self._take()
        connection = self._connection
        connection.is_patient = False
        # A look at the socket lets another thread have the interpreter: too dear between two files.
        of, at = getattr(self._threads, "looked", (0, 0.0))
        if connection.closed or of != id(connection) or time.monotonic() - at > WAKEFUL_SECONDS:
            # Nothing is due from the server: what there is to read is its farewell.
            if connection.closed or select.select([connection.pgconn.socket], [], [], 0)[0]:
                self._thrown_away()
                self._take()
            self._threads.looked = id(self._connection), time.monotonic()

    @contextmanager
    def _undone_if_it_fails(self) -> Iterator[None]:
        """Be within a transaction, which is rolled back when something is raised."""
        with self._lent():
            self.is_within = True
            try:
                yield
            except BaseException:
                self._threads.here = None  # what undoes it goes no pipeline's way
                self._undone()
                raise
            finally:
                self._threads.here = None
                self.is_within = False

    @contextmanager
    def _pipeline(self) -> Iterator[_Here]:
        """Begin a transaction, whose statements go through a pipeline."""
        with Pipeline(self._connection, prepares=not self.server.rules.pgbouncer) as pipeline:
            here = self._threads.here = _Here(pipeline)
            for statement in self._begin:
                self.run(statement)
            yield here

    def _take_time(self) -> None:
        """Give the statements of this transaction all the time that they need."""
        self._connection.is_patient = True
        self.run("SELECT set_config('statement_timeout', '0', true)")

    def _undone(self) -> None:
        """Roll back; a connection on which that fails is thrown away, and so are those that wait in the pool."""
        if self.peewee.is_closed():
            return
        connection = self.peewee.connection()
        with suppress(peewee.DatabaseError, peewee.InterfaceError):
            if connection.info.transaction_status is not TransactionStatus.IDLE:
                self.peewee.execute_sql("ROLLBACK")
        if connection.closed:
            self._thrown_away()

    def _thrown_away(self) -> None:
        with suppress(peewee.DatabaseError, peewee.InterfaceError, psycopg.Error):
            self.peewee.manual_close()
        self.peewee.close_idle()

    @property
    def _connection(self) -> Connection:
        connection: Connection = self.peewee.connection()
        return connection


def open_postgresql(
    url: str, server: Server, *, read_only: bool = False, busy_timeout: float = BUSY_TIMEOUT
) -> PostgresDatabase:
    """Open a server's database. Raises ConfigError, DatabaseError, and BusyError where the server does not answer."""
    database = PostgresDatabase(url, server, read_only=read_only, busy_timeout=busy_timeout)
    try:
        database.row("SELECT 1")
    except peewee.DatabaseError as error:
        database.close()
        words = trouble.in_words(error, database.name)
        raise (words or DatabaseError(f"can't open the database {database.name}: {error}")) from error
    return database


def _canonical(data: str | bytes) -> str:
    """Give JSON as all engines do: in the one form in which it was written (formats/builder.py)."""
    return orjson.dumps(orjson.loads(data), option=orjson.OPT_SORT_KEYS).decode()


set_json_loads(_canonical)
