"""The class of every failure, by errors of real databases."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import peewee
import pytest

from visionflow_daemon.errors import (
    BusyError,
    ConfigError,
    CorruptError,
    DatabaseError,
    LockedError,
    PageError,
    SystemicError,
    TransientError,
)
from visionflow_daemon.sync.retry import FailureClass, judge

Execute = Callable[[str], object]
Opened = Callable[[str], Execute]


@pytest.fixture(params=["sqlite3", "peewee"])
def opened(request: pytest.FixtureRequest) -> Iterator[Opened]:
    """Open databases with the driver alone, or through Peewee, which wraps its errors."""
    closers: list[Callable[[], object]] = []

    def connect(url: str) -> Execute:
        if request.param == "peewee":
            database = peewee.SqliteDatabase(url, uri=True, timeout=0)
            closers.append(database.close)
            return database.execute_sql
        connection = sqlite3.connect(url, uri=True, timeout=0, isolation_level=None)
        closers.append(connection.close)
        return connection.execute

    yield connect
    for close in closers:
        close()


def filled(path: Path) -> str:
    """Make a database of some fifty pages, and give its URL."""
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (x TEXT UNIQUE NOT NULL)")
    connection.executemany("INSERT INTO t VALUES (?)", [(f"{number:04}" + "y" * 900,) for number in range(100)])
    connection.commit()
    connection.close()
    return f"file:{path}"


def locked(url: str, opened: Opened) -> None:
    opened(url)("BEGIN IMMEDIATE")
    opened(url)("INSERT INTO t VALUES ('z')")


def table_in_use(url: str, opened: Opened) -> None:
    execute = opened(url)
    cursor = execute("SELECT x FROM t")
    assert next(iter(cursor))  # type: ignore[call-overload]
    execute("DROP TABLE t")


def read_only(url: str, opened: Opened) -> None:
    opened(f"{url}?mode=ro")("INSERT INTO t VALUES ('z')")


def full(url: str, opened: Opened) -> None:
    execute = opened(url)
    execute("PRAGMA max_page_count = 1")
    for number in range(100):
        execute(f"INSERT INTO t VALUES ('{number}' || hex(zeroblob(20000)))")


def corrupt(url: str, opened: Opened) -> None:
    path = Path(url.removeprefix("file:"))
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xee" * (len(data) - 4096))
    opened(url)("SELECT COUNT(*), MAX(x) FROM t")


def not_a_database(url: str, opened: Opened) -> None:
    Path(url.removeprefix("file:")).write_bytes(b"this is a text " * 1_000)
    opened(url)("SELECT * FROM t")


def not_unique(url: str, opened: Opened) -> None:
    opened(url)("INSERT INTO t SELECT x FROM t LIMIT 1")


def no_such_table(url: str, opened: Opened) -> None:
    opened(url)("INSERT INTO missing VALUES (1)")


@pytest.mark.parametrize(
    ("provoke", "expected", "says", "is_ours"),
    [
        (locked, FailureClass.TRANSIENT, "the database is busy: database is locked", False),
        (table_in_use, FailureClass.TRANSIENT, "the database is busy: database table is locked", False),
        (read_only, FailureClass.SYSTEMIC, "attempt to write a readonly database", False),
        (full, FailureClass.SYSTEMIC, "database or disk is full", False),
        (corrupt, FailureClass.FATAL, "malformed", False),
        (not_a_database, FailureClass.FATAL, "file is not a database", False),
        (not_unique, FailureClass.PAGE, "the database refuses a row: UNIQUE constraint failed: t.x", True),
        (no_such_table, FailureClass.PAGE, "no such table: missing", True),
    ],
)
def test_an_error_of_a_real_database_has_its_class(
    tmp_path: Path,
    opened: Opened,
    provoke: Callable[[str, Opened], None],
    expected: FailureClass,
    says: str,
    *,
    is_ours: bool,
) -> None:
    with pytest.raises((sqlite3.DatabaseError, peewee.DatabaseError)) as caught:
        provoke(filled(tmp_path / "x.db"), opened)
    verdict = judge(caught.value)
    assert (verdict.failure_class, verdict.is_ours) == (expected, is_ours)
    assert says in verdict.reason


@pytest.mark.parametrize(
    ("error", "expected", "reason", "line"),
    [
        (PageError("bad JSON", 7), FailureClass.PAGE, "bad JSON", 7),
        (TransientError("blob gone"), FailureClass.TRANSIENT, "blob gone", None),
        (SystemicError("all fail"), FailureClass.SYSTEMIC, "all fail", None),
        (DatabaseError("not ours"), FailureClass.SYSTEMIC, "not ours", None),
        (BusyError("in use"), FailureClass.TRANSIENT, "in use", None),
        (CorruptError("damaged"), FailureClass.FATAL, "damaged", None),
        (ConfigError("a", "b"), FailureClass.FATAL, "a\nb", None),
        (LockedError("held"), FailureClass.FATAL, "held", None),
        (MemoryError(), FailureClass.TRANSIENT, "the file needs more memory than there is", None),
        (RecursionError(), FailureClass.PAGE, "the file is nested too deeply", None),
        (OSError(28, "No space left"), FailureClass.SYSTEMIC, "refuses: [Errno 28] No space left", None),
    ],
)
def test_an_error_that_has_words_has_its_class(
    error: Exception, expected: FailureClass, reason: str, line: int | None
) -> None:
    verdict = judge(error)
    assert (verdict.failure_class, verdict.line, verdict.is_ours) == (expected, line, False)
    assert verdict.reason.endswith(reason)


def test_an_error_without_words_is_our_own_fault_and_costs_one_page() -> None:
    verdict = judge(ZeroDivisionError("division by zero"))
    assert (verdict.failure_class, verdict.is_ours) == (FailureClass.PAGE, True)
    assert verdict.reason == "internal error: ZeroDivisionError: division by zero"


def connect_alone(url: str) -> None:
    sqlite3.connect(url, uri=True)


def connect_through_peewee(url: str) -> None:
    peewee.SqliteDatabase(url, uri=True).connect()


def query_through_peewee(url: str) -> None:
    peewee.SqliteDatabase(url, uri=True).execute_sql("SELECT 1")


@pytest.mark.parametrize(
    "connect",
    [connect_alone, connect_through_peewee, query_through_peewee],
)
def test_a_database_that_cannot_be_opened_is_systemic(tmp_path: Path, connect: Callable[[str], None]) -> None:
    with pytest.raises((sqlite3.DatabaseError, peewee.DatabaseError)) as caught:
        connect(f"file:{tmp_path}/none/x.db")
    assert judge(caught.value).failure_class is FailureClass.SYSTEMIC
