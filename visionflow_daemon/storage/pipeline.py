"""The statements of a transaction on their way to a PostgreSQL server: they go in one go, when a result is asked for.

psycopg sends each statement of a pipeline by itself, and takes its time for each; a file has a dozen. So this speaks
to psycopg's own layer over libpq, on the connection that Peewee has opened, with each statement prepared once and all
parameters as text, whose types the server knows from where they stand (ADR 0029).
"""

from __future__ import annotations

import itertools
import re
import time
from binascii import hexlify
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import nullcontext, suppress
from types import TracebackType
from typing import Any, Self
from weakref import WeakKeyDictionary

import orjson
import psycopg
from psycopg.adapt import Transformer
from psycopg.errors import DivisionByZero, error_from_result
from psycopg.pq import ExecStatus
from psycopg.pq.abc import PGresult
from psycopg.waiting import Ready, Wait

from visionflow_daemon.errors import VisionflowError
from visionflow_daemon.storage.database import Row
from visionflow_daemon.storage.silence import Connection

_names = itertools.count(1)
_prepared: WeakKeyDictionary[psycopg.Connection[Any], dict[str, bytes]] = WeakKeyDictionary()
"""By connection, the names that the server knows statements by."""

DONE = frozenset({ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK, ExecStatus.PIPELINE_SYNC})
ESCAPE = re.compile(rb"\\(?:u[0-9a-f]{4}|.)")


class Statement:
    """A statement that is on its way: a cursor, for whose result is waited when it is asked for."""

    __slots__ = ("_at", "_pipeline", "result", "unmet")

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._at = 0
        self.result: PGresult | None = None
        self.unmet: Exception | None = None
        """What is raised instead where it divides by zero: so the server itself can end a transaction."""

    @property
    def rowcount(self) -> int:
        """How many rows it changed, or found."""
        return self._here().command_tuples or 0

    def fetchmany(self, size: int) -> list[Row]:
        """Give so many more of its rows."""
        result = self._here()
        first, self._at = self._at, min(self._at + size, result.ntuples)
        return self._pipeline.rows(result, first, self._at)

    def fetchall(self) -> list[Row]:
        """Give all rows that are left."""
        return self.fetchmany(self._here().ntuples)

    def fetchone(self) -> Row | None:
        """Give the next row; None when there is none."""
        found = self.fetchmany(1)
        return found[0] if found else None

    def __iter__(self) -> Iterator[Row]:
        return iter(self.fetchall())

    def _here(self) -> PGresult:
        if self.result is None:
            self._pipeline.wait()
        if self.result is None:
            raise psycopg.InterfaceError("the statement was given up before its result came")
        return self.result


class Pipeline:
    """The way to the server of one connection, between two of its other uses. Raises psycopg's errors.

    After an error nothing more is executed. `prepares` is off where a pooler hands the connections of the server
    around.
    """

    def __init__(self, connection: Connection, *, prepares: bool) -> None:
        self._connection = connection
        self._pgconn = connection.pgconn
        self._prepares = prepares
        self._known = _prepared.setdefault(connection, {})
        self._being_prepared: dict[str, bytes] = {}
        self._due: deque[Statement | str | None] = deque()
        """What the server's results are for: a statement, one that it has prepared, or None for the end."""
        self._transformer = Transformer(connection)

    def execute(self, sql: str, parameters: Sequence[Any]) -> Statement:
        """Have a statement executed, whose parameters are `$1`, `$2` and so on."""
        given = [as_text(each) for each in parameters] if parameters else None
        if given is None or not self._prepares:
            self._pgconn.send_query_params(sql.encode(), given)
        else:
            self._pgconn.send_query_prepared(self._name(sql), given)
        statement = Statement(self)
        self._due.append(statement)
        return statement

    def wait(self) -> None:
        """Wait for all results. Raises what the first statement that failed raises."""
        if self._due:
            self._pgconn.send_flush_request()
            self._connection.wait_by(self._exchanged())

    def __enter__(self) -> Self:
        self._pgconn.enter_pipeline_mode()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(psycopg.Error, VisionflowError) if error is not None else nullcontext():
            self._end()

    def _end(self) -> None:
        """Wait for all that is due, and let the connection have other uses. Raises what the first failure raises."""
        failure: Exception | None = None
        self._due.append(None)
        self._pgconn.pipeline_sync()
        while self._due:
            try:
                self._connection.wait_by(self._exchanged())
            except (psycopg.Error, VisionflowError) as error:  # those after the first are but its consequences
                failure = failure or error
                if self._connection.closed:
                    break
        if not self._connection.closed:
            self._pgconn.exit_pipeline_mode()
        if failure is not None:
            raise failure

    def rows(self, result: PGresult, first: int, end: int) -> list[Row]:
        """Load rows of a result."""
        self._transformer.set_pgresult(result)
        return self._transformer.load_rows(first, end, tuple)

    def _name(self, sql: str) -> bytes:
        if name := self._known.get(sql) or self._being_prepared.get(sql):
            return name
        name = self._being_prepared[sql] = b"visionflow_%d" % next(_names)
        self._pgconn.send_prepare(name, sql.encode())
        self._due.append(sql)
        return name

    def _exchanged(self) -> Generator[Wait, Ready | int, None]:
        """Send what is still to be sent, and take in what comes, until all that is due is here."""
        heard_at = time.monotonic()
        is_unsent = self._pgconn.flush()
        is_between = False
        while self._due:
            if self._pgconn.is_busy() or is_unsent:
                ready = yield Wait.RW if is_unsent else Wait.R
                if ready & Ready.R:
                    self._pgconn.consume_input()
                    heard_at = time.monotonic()
                elif not ready:
                    self._connection.bear(heard_at)
                is_unsent = is_unsent and self._pgconn.flush()
            elif (result := self._pgconn.get_result()) is not None:
                is_between = False
                self._take(self._due.popleft(), result)
            elif is_between:
                raise psycopg.OperationalError("the server has answered less than it was asked")
            else:
                is_between = True  # one None stands between the results of two statements

    def _take(self, due: Statement | str | None, result: PGresult) -> None:
        if result.status not in DONE:
            error = error_from_result(result, self._connection.info.encoding)
            if isinstance(due, Statement) and due.unmet is not None and isinstance(error, DivisionByZero):
                raise due.unmet
            raise error
        if isinstance(due, Statement):
            due.result = result
        elif due is not None:
            self._known[due] = self._being_prepared.pop(due)


def as_text(value: object) -> bytes | None:
    """Give a parameter as the server reads it. Raises psycopg's DataError for a text that no server can hold."""
    if isinstance(value, str):
        if "\0" in value:
            raise psycopg.DataError("PostgreSQL's texts can't hold a NUL (0x00)")
        return value.encode()
    if value is None:
        return None
    if isinstance(value, bytes):
        return b"\\x" + hexlify(value)
    if isinstance(value, list):
        return _as_array(value)
    return str(value).encode()


def _as_array(values: list[Any]) -> bytes:
    """Give a column as an array's text: that is JSON's, but for the brackets, and for escapes of what needs none."""
    json = orjson.dumps([f"\\x{each.hex()}" if isinstance(each, bytes) else each for each in values])
    inner = json[1:-1]
    return b"{%s}" % (ESCAPE.sub(_unescaped, inner) if b"\\" in inner else inner)


def _unescaped(found: re.Match[bytes]) -> bytes:
    if found[0] in {b'\\"', b"\\\\"}:
        return found[0]
    return as_text(orjson.loads(b'"%s"' % found[0])) or b""
