"""The lease of an ontology in a server's database: a row that says who may write it, and until when.

Its token grows with each holder. Every transaction of a holder's locks the row and looks whether the token is still
its own: so none of an earlier holder's, woken late, can commit, and those of one holder follow each other (ADR 0029).
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import peewee
import structlog

from visionflow_daemon.errors import DatabaseError, LockedError
from visionflow_daemon.storage.database import Database
from visionflow_daemon.storage.postgresql import Check, PostgresDatabase

log = structlog.get_logger()

POLL = 0.2
"""Seconds between two looks at a lease that another holds."""

TAKE = (
    "INSERT INTO leases (ontology_id, token, holder, since, expires_at)"
    " VALUES (?, 1, ?, clock_timestamp(), clock_timestamp() + make_interval(secs => ?))"
    " ON CONFLICT (ontology_id) DO UPDATE SET token = leases.token + 1, holder = excluded.holder,"
    " since = excluded.since, expires_at = excluded.expires_at"
    " WHERE leases.holder IS NULL OR leases.expires_at <= clock_timestamp() RETURNING token"
)
HOLDER = "SELECT holder FROM leases WHERE ontology_id = ?"
RENEW = (
    "UPDATE leases SET expires_at = clock_timestamp() + make_interval(secs => ?) WHERE ontology_id = ? AND token = ?"
    " AND holder IS NOT NULL"
)
GIVE_UP = "UPDATE leases SET holder = NULL, since = NULL, expires_at = NULL WHERE ontology_id = ? AND token = ?"
FENCE = "SELECT 1 FROM leases WHERE ontology_id = ? AND token = ? FOR UPDATE"


@contextmanager
def leased(
    database: PostgresDatabase, ontology_id: str, wait: float, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Database]:
    """Hold the lease of an ontology, renewed meanwhile, and give the database whose transactions check it."""
    seconds = database.server.rules.lease
    token = _taken(database, ontology_id, seconds, wait, sleep)

    def fence(database: PostgresDatabase) -> Check:
        found = database.run(FENCE, (ontology_id, token))

        def check() -> None:
            if found.fetchone() is None:
                raise DatabaseError(
                    f"the lease of ontology {ontology_id!r} is another's by now: this pass was silent for longer than "
                    f"{seconds:g} seconds (postgresql.lease). Nothing more is written; the next pass goes on from there"
                )

        return check

    is_over = threading.Event()
    heart = threading.Thread(
        target=_renewed, args=(database, ontology_id, token, seconds, is_over), name="lease", daemon=True
    )
    heart.start()
    try:
        yield database.fenced(fence)
    finally:
        is_over.set()
        heart.join()
        with suppress(peewee.DatabaseError):
            database.run(GIVE_UP, (ontology_id, token))


def _taken(
    database: PostgresDatabase, ontology_id: str, seconds: float, wait: float, sleep: Callable[[float], None]
) -> int:
    deadline = time.monotonic() + wait
    while True:
        if found := database.row(TAKE, (ontology_id, holder(), seconds)):
            return int(found[0])
        if time.monotonic() >= deadline:
            (other,) = database.row(HOLDER, (ontology_id,)) or ("nobody",)
            raise LockedError(
                f"another pass ({other}) is writing ontology {ontology_id!r} of {database.name}. "
                "Wait for it, or give --lock-timeout more seconds"
            )
        sleep(POLL)


def _renewed(
    database: PostgresDatabase, ontology_id: str, token: int, seconds: float, is_over: threading.Event
) -> None:
    """Renew a lease now and then, until it is over."""
    try:
        while not is_over.wait(seconds / 3):
            try:
                database.run(RENEW, (seconds, ontology_id, token))
            except peewee.DatabaseError as error:
                log.warning("lease not renewed", ontology_id=ontology_id, reason=str(error))
    finally:
        database.close()


def holder() -> str:
    """Name this process among all that may hold a lease."""
    return f"{socket.gethostname()}:{os.getpid()}"
