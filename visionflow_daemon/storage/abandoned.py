"""Ends what a process that fell silent has left open in the server: its transactions keep rows locked.

The server does that by itself for a client that idles within a transaction, but not for one whose statements come in a
pipeline: between two of them, the server waits for more, however long, and no timeout of PostgreSQL's before version 17
counts there. A paused process would keep the row of its lease locked until somebody woke it.
"""

from __future__ import annotations

from contextlib import suppress

import peewee
import structlog

from visionflow_daemon.storage.holders import NOT_TO_COME
from visionflow_daemon.storage.leaseholder import shown
from visionflow_daemon.storage.pool import session_name
from visionflow_daemon.storage.postgresql import PostgresDatabase

log = structlog.get_logger()

# A process that lives is heard of: by what renews its leases, however long a transaction of its own takes.
END = (
    "SELECT COUNT(pg_terminate_backend(a.pid)) FROM pg_stat_activity a"
    " WHERE a.datname = current_database() AND a.application_name = ? AND a.xact_start IS NOT NULL"
    " AND NOT EXISTS (SELECT 1 FROM pg_stat_activity b WHERE b.datname = a.datname"
    f" AND b.application_name = a.application_name AND b.query_start <= {NOT_TO_COME}"
    " AND b.query_start > clock_timestamp() - make_interval(secs => ?))"
)


def end_abandoned(database: PostgresDatabase, holder: str, seconds: float) -> None:
    """End the transactions of a holder from whom nothing was heard for so many seconds, in any of its sessions.

    Where the server doesn't tell who they are, or lets nobody end them, they end when the connection does.
    """
    with suppress(peewee.DatabaseError, peewee.InterfaceError):
        (ended,) = database.row(END, (session_name(shown(holder)), seconds)) or (0,)
        if ended:
            log.warning("silent sessions ended", holder=shown(holder), sessions=ended)
