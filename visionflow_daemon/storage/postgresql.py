"""A database on a PostgreSQL server, through Peewee and psycopg 3: pooled connections, many writers at a time.

What holds SQLite's single writer together for nothing is kept by the row of a lease here (storage/lease.py): each
transaction that writes an ontology's facts holds it (ADR 0029).
"""

from __future__ import annotations

import itertools
import re
import select
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from dataclasses import dataclass
from functools import cache
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit
from uuid import uuid4

import orjson
import peewee
import psycopg
from playhouse.pool import MaxConnectionsExceeded, PooledPostgresqlDatabase
from psycopg.pq import TransactionStatus
from psycopg.types.json import set_json_loads

from visionflow_daemon.errors import BusyError, DatabaseError, VisionflowError
from visionflow_daemon.storage import trouble
from visionflow_daemon.storage.database import BUSY_TIMEOUT, EACH_OF, EACH_ROW_OF, POSTGRESQL, Database, Row
from visionflow_daemon.storage.server import Server, conninfo, server_address

STREAMED = 1_000
"""Rows that are fetched at once of a result that is streamed."""

TCP_TIMEOUT = 20.0
"""Seconds after which a server's machine that acknowledges nothing counts as gone."""

STALE_SECONDS = 300
"""How long a connection that nobody uses is kept."""

INSERT = re.compile(r"INSERT INTO (?P<table>\w+) \((?P<columns>[\w, ]+)\) VALUES \([?, ]+\)(?P<rest>.*)")
TYPES = (
    "SELECT attname, format_type(atttypid, NULL) FROM pg_catalog.pg_attribute"
    " WHERE attrelid = to_regclass(?) AND attnum > 0 AND NOT attisdropped"
)

SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ; SET LOCAL idle_in_transaction_session_timeout = 0"
"""Begins a snapshot, whose reader may take its time."""

LOOKED_AT = (50, 200, 800, 3_200, 12_800, 51_200)
"""After how many commits of this process the server is asked to look at the tables, if nobody did."""

GROWING = frozenset(
    {
        "class_facts",
        "links",
        "owl_axioms",
        "owl_class_hierarchy",
        "owl_classes",
        "owl_properties",
        "page_names",
        "page_warnings",
        "property_facts",
        "property_uses",
        "source_files",
    }
)

NOTE_RUN = (
    "INSERT INTO passes_under_way (ontology_id, run_id) VALUES (?, ?)"
    " ON CONFLICT (ontology_id) DO UPDATE SET run_id = excluded.run_id"
)
FIND_RUN = "SELECT 1 FROM passes_under_way WHERE ontology_id = ? AND run_id = ?"

NUMBERED = re.compile(r"\?(\d+)")

MARKS = {
    EACH_ROW_OF: "(SELECT jsonb_array_elements(?::jsonb) AS value)",
    EACH_OF: '(SELECT jsonb_array_elements_text(?::jsonb) COLLATE "C" AS value)',
}
"""How this engine says what engines don't share."""


Check = Callable[[], None]
Fence = Callable[["PostgresDatabase"], Check]
"""Asks the server for a transaction's turn, and gives the check, which raises where it has none."""


def unchecked() -> None:
    """Let a transaction be committed."""


def unfenced(_: PostgresDatabase) -> Check:
    """Let transactions come through as they please."""
    return unchecked


class _AsPeewee(peewee.ExceptionWrapper):
    """Raises the driver's errors as Peewee's, which tells them by their names; this program's own pass as they are."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and not issubclass(kind, VisionflowError):
            super().__exit__(kind, error, trace)


_AS_PEEWEE = _AsPeewee(peewee.__exception_wrapper__.exceptions)  # type: ignore[attr-defined]


@dataclass(slots=True)
class _Here:
    """The transaction of a thread: its statements on their way to the server, and what is to be checked at its end."""

    pipeline: psycopg.Pipeline
    is_in_order: bool = False
    check: Check = unchecked


class PostgresDatabase(Database):
    """A database of a server's; each thread takes a connection out of the pool, and gives it back by `close`.

    Its transactions don't wait for the disk: as with SQLite's log, a power cut may take the last ones, in the order of
    their commits, and `settle` waits for all before it.
    """

    peewee: PooledPostgresqlDatabase
    engine = POSTGRESQL
    at_once = None

    def __init__(
        self, url: str, server: Server, *, read_only: bool = False, busy_timeout: float = BUSY_TIMEOUT
    ) -> None:
        super().__init__()
        rules = server.rules
        self.address = server_address(url)
        self.server = server
        self.patience = rules.patience
        self.read_only = read_only
        settings = {
            "synchronous_commit": "off",
            "statement_timeout": _milliseconds(rules.statement_timeout),
            "lock_timeout": _milliseconds(busy_timeout),
            "idle_in_transaction_session_timeout": _milliseconds(rules.idle_timeout),
        }
        given: dict[str, Any] = {}
        self._begin = ["BEGIN"]
        if rules.pgbouncer:
            self._begin.append(
                "SELECT " + ", ".join(f"set_config('{name}', '{settings[name]}', true)" for name in settings)
            )
        else:
            given["options"] = " ".join([*_own_options(url), *(f"-c {name}={settings[name]}" for name in settings)])
        if (password := server.password()) is not None:
            given["password"] = password
        self.peewee = PooledPostgresqlDatabase(
            conninfo(url),
            max_connections=rules.connections,
            stale_timeout=STALE_SECONDS,
            timeout=max(1, int(rules.patience)),
            prefer_psycopg3=True,
            connect_timeout=max(2, round(rules.connect_timeout)),  # libpq takes whole seconds, and 1 for 2
            prepare_threshold=None if rules.pgbouncer else 5,
            application_name="visionflow-daemon",
            keepalives_idle=10,
            keepalives_interval=5,
            keepalives_count=3,
            tcp_user_timeout=_milliseconds(TCP_TIMEOUT),
            client_encoding="utf8",
            **given,
        )
        self._fence: Fence = unfenced
        self._threads = threading.local()
        self._commits = itertools.count(1)
        self._types: dict[str, dict[str, str]] = {}

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> Any:  # noqa: ANN401 - a DB-API cursor has no type
        """Execute one statement and give its cursor."""
        with peewee.__exception_wrapper__:  # type: ignore[attr-defined]
            cursor = self.peewee.cursor()
            text, order = translated(sql)
            cursor.execute(text, [parameters[at] for at in order] if order else parameters)
        return cursor

    def run_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Execute one statement for each row of parameters, in one go; rows that are inserted go as columns."""
        if len(rows) == 1:
            self.run(sql, rows[0])
        elif rows and (insert := INSERT.fullmatch(sql)):
            self.run(self._of_columns(insert), [list(column) for column in zip(*rows, strict=True)])
        elif rows:
            with peewee.__exception_wrapper__:  # type: ignore[attr-defined]
                self.peewee.cursor().executemany(translated(sql)[0], rows)

    def flush(self) -> None:
        """Wait for all statements of this transaction, so that their cursors tell how many rows they changed."""
        with peewee.__exception_wrapper__:  # type: ignore[attr-defined]
            self._here.pipeline.sync()

    def load(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Insert many rows in a transaction of their own, by COPY, which no pipeline takes."""
        self._awake()
        try:
            with _AS_PEEWEE:
                for statement in self._begin:
                    self.run(statement)
                check = self._fence(self)
                with self.peewee.cursor().copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copying:
                    for row in rows:
                        copying.write_row(row)
                check()
                self.run("COMMIT")
        except BaseException:
            self._undone()
            raise

    def stream(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[Row]:
        """Execute a query, within a snapshot, and give its rows one by one, however long it takes to sort them."""
        self.run("SELECT set_config('statement_timeout', '0', true)")
        with peewee.__exception_wrapper__, self.peewee.connection().cursor(uuid4().hex) as cursor:  # type: ignore[attr-defined]
            cursor.itersize = STREAMED
            cursor.execute(translated(sql)[0], parameters)
            yield from cursor

    @contextmanager
    def transaction(self, *, in_order: bool = True) -> Iterator[None]:
        """Write in one transaction, whose statements go to the server together until a result is asked for."""
        asked = time.perf_counter()
        self._awake()
        try:
            with _AS_PEEWEE, self.peewee.connection().pipeline() as pipeline:
                here = self._here = _Here(pipeline)
                for statement in self._begin:
                    self.run(statement)
                if in_order:
                    self.in_order()
                began = time.perf_counter()
                yield
                if not here.is_in_order:
                    self.in_order()
                here.check()
                self.run("COMMIT")
        except BaseException:
            self._undone()
            raise
        self.observe(began - asked, time.perf_counter() - began)
        if next(self._commits) in LOOKED_AT:
            with suppress(peewee.DatabaseError):  # what was committed stands, whatever comes of this
                self.look_at_tables()

    def in_order(self) -> None:
        """Let the rest of this transaction follow those of the same ontology before it, and precede others."""
        self._here.is_in_order = True
        self._here.check = self._fence(self)

    def fenced(self, fence: Fence) -> PostgresDatabase:
        """Give the same database, whose transactions come through one by one, while the fence lets them."""
        other = copy(self)
        other._fence = fence  # noqa: SLF001 - it is one of ours
        return other

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read in one transaction, so that several queries see one state."""
        if self._is_within():
            yield
            return
        self._awake()
        try:
            self.peewee.execute_sql(SNAPSHOT, None)
            yield
            self.run("COMMIT")
        except BaseException:
            self._undone()
            raise

    def settle(self) -> None:
        """Wait until the server's disk has all that was committed."""
        self._awake()
        try:
            self.peewee.execute_sql("BEGIN; SET LOCAL synchronous_commit = on", None)
            self.run("SELECT txid_current()")  # a transaction that writes nothing would wait for nothing
            self.run("COMMIT")
        except BaseException:
            self._undone()
            raise

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
        self.run("SELECT set_config('statement_timeout', '0', true)")

    def connected(self) -> None:
        """Take a connection for this thread, if it has none. Raises BusyError where the pool has none left."""
        try:
            self.peewee.connect(reuse_if_open=True)
        except MaxConnectionsExceeded:
            raise BusyError(
                f"all {self.server.rules.connections} connections to {self.name} are taken: raise "
                "postgresql.connections, or lower sync.workers"
            ) from None

    def refresh(self) -> None:
        """Let go of this thread's connection after a failure; the next statement gets another one."""
        self._undone()
        if not self.peewee.is_closed():
            self._thrown_away()

    def end(self) -> None:
        """Let go of all connections that no thread has."""
        self.peewee.close_idle()

    def look_at_tables(self) -> None:
        """Let the server look at tables that have grown since it last did: it takes ontology_id, the first column of
        every key, for selective until it knows better, and reads whole tables where an index would name a row.
        """
        (known,) = self.row("SELECT reltuples FROM pg_catalog.pg_class WHERE oid = to_regclass('source_files')") or (0,)
        (held,) = self.row("SELECT COUNT(*) FROM (SELECT 1 FROM source_files LIMIT ?) AS held", (LOOKED_AT[-1],)) or (
            0,
        )
        if held > 2 * max(known, 0):
            self.run(f"ANALYZE {', '.join(sorted(self.tables() & GROWING))}")

    def _of_columns(self, insert: re.Match[str]) -> str:
        """Give the statement that inserts rows given column by column: one text, however many they are."""
        table, columns = insert["table"], insert["columns"]
        if table not in self._types:
            self._types[table] = dict(self.rows(TYPES, (table,)))
        types = self._types[table]
        marks = ", ".join(f"?::{types[column]}[]" for column in columns.split(", "))
        return f"INSERT INTO {table} ({columns}) SELECT * FROM unnest({marks}){insert['rest']}"

    @property
    def _here(self) -> _Here:
        here: _Here = self._threads.here
        return here

    @_here.setter
    def _here(self, here: _Here) -> None:
        self._threads.here = here

    def _awake(self) -> None:
        """See that this thread has a connection, and none that the server has closed since it was last used."""
        self.connected()
        socket = self.peewee.connection().pgconn.socket
        if select.select([socket], [], [], 0)[0]:  # nothing is due from the server: this is its farewell
            self._thrown_away()
            self.connected()

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
def translated(sql: str) -> tuple[str, tuple[int, ...]]:
    """Give a statement as this engine's driver takes it, and which parameters it takes, where it says so by numbers."""
    for mark, ours in MARKS.items():
        sql = sql.replace(mark, ours)
    sql = sql.replace("%", "%%")
    order = tuple(int(number) - 1 for number in NUMBERED.findall(sql))
    return NUMBERED.sub("%s", sql) if order else sql.replace("?", "%s"), order


def _own_options(url: str) -> list[str]:
    """Give the settings that a URL asks for itself."""
    return [value for key, value in parse_qsl(urlsplit(url).query) if key == "options"]


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000)) if seconds else 0


def _canonical(data: str | bytes) -> str:
    """Give JSON as all engines do: in the one form in which it was written (formats/builder.py)."""
    return orjson.dumps(orjson.loads(data), option=orjson.OPT_SORT_KEYS).decode()


set_json_loads(_canonical)
