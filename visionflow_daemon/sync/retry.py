"""The one place where a failure's class is decided, and with it what happens next."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from time import perf_counter
from typing import TYPE_CHECKING, TypeVar

import peewee

from visionflow_daemon.errors import (
    BusyError,
    DamageError,
    DatabaseError,
    FailingError,
    FatalError,
    LeaseError,
    PageError,
    RemoteError,
    StateError,
    StoppedError,
    SystemicError,
    TransientError,
    UnreachableError,
)
from visionflow_daemon.storage import trouble
from visionflow_daemon.sync.breaker import Guarded
from visionflow_daemon.sync.meter import UNMEASURED_STEP, StepMeter

if TYPE_CHECKING:
    from tenacity import RetryCallState

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
        case SystemicError() | StoppedError() | LeaseError():
            return Verdict(FailureClass.SYSTEMIC, str(error))
        case FatalError():
            return Verdict(FailureClass.FATAL, str(error))
        case MemoryError():
            # Not the page's fault alone: another time there may be memory enough, or fewer workers.
            return Verdict(FailureClass.TRANSIENT, "the file needs more memory than there is")
        case RecursionError():
            return Verdict(FailureClass.PAGE, "the file is nested too deeply")
        case peewee.DatabaseError() | peewee.InterfaceError() | sqlite3.DatabaseError():
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
        case DatabaseError() | BusyError():
            return Guarded.DATABASE, str(error)
        case peewee.DatabaseError() | peewee.InterfaceError() | sqlite3.DatabaseError():
            verdict = _judge_database(error)
            is_guarded = verdict.failure_class in {FailureClass.TRANSIENT, FailureClass.SYSTEMIC}
            return Guarded.DATABASE if is_guarded else None, verdict.reason
        case _:
            return None, str(error)


def _judge_database(error: BaseException) -> Verdict:
    if trouble.is_busy(error):
        return Verdict(FailureClass.TRANSIENT, f"the database is busy: {error}")
    if trouble.is_corrupt(error):
        return Verdict(FailureClass.FATAL, f"the database is corrupt: {error}")
    if trouble.is_unusable(error):
        return Verdict(FailureClass.SYSTEMIC, f"the database can't be written: {error}")
    return Verdict(FailureClass.PAGE, f"internal error: the database refuses a row: {error}", is_ours=True)


def persistently(
    action: Callable[[], Result],
    sleep: Callable[[float], None],
    meter: StepMeter = UNMEASURED_STEP,
    patience: float = 0.0,
) -> Result:
    """Do something that may meet a transient fault: up to 3 attempts, with exponential backoff and jitter.

    A database server that is away is waited for until the waits add up to `patience` seconds.
    """
    try:
        return _measured(action, meter)
    except Exception as error:
        if not _is_worth_another_attempt(error):
            raise
        first = [error]
    import tenacity  # noqa: PLC0415 - costs start-up time, and most passes meet no fault

    def attempt() -> Result:
        if first:
            raise first.pop()
        meter.again()
        return _measured(action, meter)

    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(_is_worth_another_attempt),
        stop=lambda state: _is_enough(state, patience),
        wait=tenacity.wait_exponential_jitter(multiplier=FIRST_DELAY, max=LONGEST_DELAY, jitter=FIRST_DELAY),
        sleep=sleep,
        reraise=True,
    )
    return retrying(attempt)


def _is_enough(state: RetryCallState, patience: float) -> bool:
    error = state.outcome.exception() if state.outcome else None
    if error is not None and trouble.is_lost(error) and state.idle_for < patience:
        return False
    return state.attempt_number >= ATTEMPTS


def _measured(action: Callable[[], Result], meter: StepMeter) -> Result:
    began = perf_counter()
    try:
        return action()
    finally:
        meter.took(perf_counter() - began)


def _is_worth_another_attempt(error: BaseException) -> bool:
    """Tell whether a failure may be over in a moment: memory that ran out will not be back so soon."""
    return judge(error).failure_class is FailureClass.TRANSIENT and not isinstance(error, MemoryError)


def next_attempt(attempts: int, now: datetime) -> datetime:
    """Say when a file that failed transiently is due again: the delay doubles from a minute to an hour."""
    doublings = min(max(attempts // ATTEMPTS - 1, 0), 10)
    delay = LEDGER_FIRST_DELAY * (1 << doublings)
    return now + min(delay, LEDGER_LONGEST_DELAY)
