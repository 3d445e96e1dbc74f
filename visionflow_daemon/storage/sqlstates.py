"""What PostgreSQL's error codes mean for what comes next.

The codes are those of https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from __future__ import annotations

import re
from enum import StrEnum


class State(StrEnum):
    """What a code says of the database."""

    LOST = "lost"
    CROWDED = "crowded"
    BUSY = "busy"
    CORRUPT = "corrupt"
    NO_ROOM = "no room"
    UNUSABLE = "unusable"


CODES = {
    "57P01": State.LOST,  # admin_shutdown
    "57P02": State.LOST,  # crash_shutdown
    "57P03": State.LOST,  # cannot_connect_now
    "57P05": State.LOST,  # idle_session_timeout
    "25P03": State.LOST,  # idle_in_transaction_session_timeout
    "25P04": State.LOST,  # transaction_timeout
    "53300": State.CROWDED,  # too_many_connections
    "57014": State.BUSY,  # query_canceled, by statement_timeout
    "55P03": State.BUSY,  # lock_not_available
    "55006": State.BUSY,  # object_in_use
    "40001": State.BUSY,  # serialization_failure
    "40P01": State.BUSY,  # deadlock_detected
    "53100": State.NO_ROOM,  # disk_full
    "53200": State.UNUSABLE,  # out_of_memory
    "53400": State.UNUSABLE,  # configuration_limit_exceeded
    "25006": State.UNUSABLE,  # read_only_sql_transaction
    "57P04": State.UNUSABLE,  # database_dropped
    "3D000": State.UNUSABLE,  # invalid_catalog_name
    "3F000": State.UNUSABLE,  # invalid_schema_name
    "XX001": State.CORRUPT,  # data_corrupted
    "XX002": State.CORRUPT,  # index_corrupted
}
CLASSES = {
    "08": State.LOST,  # connection exception
    "42": State.UNUSABLE,  # a statement that this schema does not understand: not the file's fault
    "28": State.UNUSABLE,  # invalid authorization
    "58": State.UNUSABLE,  # system error, of the server's machine
    "F0": State.UNUSABLE,  # configuration file error
}


NO_ANSWER = frozenset({"OperationalError", "InterfaceError"})
"""The kinds of errors that say, without a code, that there is no connection, or no longer."""

REFUSED = re.compile(
    r"FATAL: |does not support SSL|certificate verify failed|does not match host name|root certificate"
)
FOR_A_MOMENT = re.compile(r"starting up|shutting down|recovery|not yet accepting")
CROWDED = re.compile(r"too many (clients|connections)|connection slots|no more connections|query_wait_timeout")
"""What a server that refuses a connection says of it; the client library passes on its words, not its code."""


def state_of(error: BaseException) -> State | None:
    """Say what an error of the driver's means, also where Peewee has wrapped it; None for one of a statement's."""
    link: BaseException | None = error
    while link is not None:
        if hasattr(link, "sqlstate"):
            code = link.sqlstate
            return _without_code(link) if code is None else CODES.get(code) or CLASSES.get(code[:2])
        link = link.__cause__ or link.__context__
    return None


def _without_code(error: BaseException) -> State | None:
    if not NO_ANSWER & {kind.__name__ for kind in type(error).__mro__}:
        return None
    text = str(error)
    if CROWDED.search(text):
        return State.CROWDED
    return State.UNUSABLE if REFUSED.search(text) and not FOR_A_MOMENT.search(text) else State.LOST
