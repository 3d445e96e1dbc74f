"""The one place where a failure's class is decided, and with it what happens next."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar

import peewee

from visionflow_daemon.errors import (
    DamageError,
    DatabaseError,
    FailingError,
    FatalError,
    PageError,
    RemoteError,
    StateError,
    SystemicError,
    TransientError,
    UnreachableError,
)
from visionflow_daemon.sync.breaker import Guarded

Result = TypeVar("Result")

ATTEMPTS = 3
FIRST_DELAY = 0.1
"""Seconds before the second attempt; the delay doubles, with jitter."""

LONGEST_DELAY = 2.0
LEDGER_FIRST_DELAY = timedelta(minutes=1)
LEDGER_LONGEST_DELAY = timedelta(hours=1)


class FailureClass(StrEnum):
    """What a failure means for what comes next (docs/failures.md)."""

    TRANSIENT = "transient"
    PAGE = "page"
    SYSTEMIC = "systemic"
    FATAL = "fatal"


IN_LEDGER = (FailureClass.PAGE, FailureClass.TRANSIENT)
"""What costs one file alone: it goes into the ledger, and the pass goes on."""


# SQLite's primary result codes, https://www.sqlite.org/rescode.html
TRANSIENT_CODES = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_SCHEMA})
SYSTEMIC_CODES = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_PROTOCOL,
    }
)
PRIMARY = 0xFF


@dataclass(frozen=True, slots=True)
class Verdict:
    """A failure's class, and the reason in words."""

    failure_class: FailureClass
    reason: str
    line: int | None = None
    is_ours: bool = False
    """Whether it is a fault of this program: its traceback belongs in the log."""


def judge(error: BaseException) -> Verdict:  # noqa: PLR0911 - one line a class of failure
    """Decide what a failure means."""
    match error:
        case PageError():
            return Verdict(FailureClass.PAGE, error.reason, error.line)
        case TransientError():
            return Verdict(FailureClass.TRANSIENT, str(error))
        case SystemicError():
            return Verdict(FailureClass.SYSTEMIC, str(error))
        case FatalError():
            return Verdict(FailureClass.FATAL, str(error))
        case MemoryError():
            return Verdict(FailureClass.PAGE, "the file needs more memory than there is")
        case RecursionError():
            return Verdict(FailureClass.PAGE, "the file is nested too deeply")
        case peewee.DatabaseError() | sqlite3.DatabaseError():
            return _judge_database(error)
        case OSError():
            return Verdict(FailureClass.SYSTEMIC, f"the operating system refuses: {error}")
        case _:
            return Verdict(FailureClass.PAGE, f"internal error: {type(error).__name__}: {error}", is_ours=True)


def guarded_by(error: BaseException) -> tuple[Guarded | None, str]:
    """Say which circuit breaker counts what a pass failed with, None for none, and the reason in words."""
    match error:
        case FailingError():
            return Guarded.FILES, str(error)
        case RemoteError() | UnreachableError() | StateError() | DamageError():
            return Guarded.REMOTE, str(error)
        case DatabaseError():
            return Guarded.DATABASE, str(error)
        case peewee.DatabaseError() | sqlite3.DatabaseError():
            verdict = _judge_database(error)
            is_guarded = verdict.failure_class in {FailureClass.TRANSIENT, FailureClass.SYSTEMIC}
            return Guarded.DATABASE if is_guarded else None, verdict.reason
        case _:
            return None, str(error)


def _judge_database(error: BaseException) -> Verdict:
    code = next((found for link in _chain(error) if (found := getattr(link, "sqlite_errorcode", None))), None)
    primary = None if code is None else code & PRIMARY
    if primary in TRANSIENT_CODES:
        return Verdict(FailureClass.TRANSIENT, f"the database is busy: {error}")
    if primary in SYSTEMIC_CODES:
        return Verdict(FailureClass.SYSTEMIC, f"the database can't be written: {error}")
    return Verdict(FailureClass.PAGE, f"internal error: the database refuses a row: {error}", is_ours=True)


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Give an error and what it came from: Peewee wraps the driver's once or twice."""
    link: BaseException | None = error
    while link is not None:
        yield link
        link = link.__cause__ or link.__context__


def persistently(action: Callable[[], Result], sleep: Callable[[float], None]) -> Result:
    """Do something that may meet a transient fault: up to 3 attempts, with exponential backoff and jitter."""
    try:
        return action()
    except Exception as error:
        if judge(error).failure_class is not FailureClass.TRANSIENT:
            raise
        first = [error]
    import tenacity  # noqa: PLC0415 - costs start-up time, and most passes meet no fault

    def attempt() -> Result:
        if first:
            raise first.pop()
        return action()

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(lambda error: judge(error).failure_class is FailureClass.TRANSIENT),
        stop=tenacity.stop_after_attempt(ATTEMPTS),
        wait=tenacity.wait_exponential_jitter(multiplier=FIRST_DELAY, max=LONGEST_DELAY, jitter=FIRST_DELAY),
        sleep=sleep,
        reraise=True,
    )
    return retrying(attempt)


def next_attempt(attempts: int, now: datetime) -> datetime:
    """Say when a file that failed transiently is due again: the delay doubles from a minute to an hour."""
    doublings = min(max(attempts // ATTEMPTS - 1, 0), 10)
    delay = LEDGER_FIRST_DELAY * (1 << doublings)
    return now + min(delay, LEDGER_LONGEST_DELAY)
