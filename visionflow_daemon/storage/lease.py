"""The lease of an ontology in a server's database: a row that says who may write it, and until when.

Its token grows with each holder. Every transaction of a holder's locks the row and looks whether the token is still
its own: so none of an earlier holder's, woken late, can commit, and those of one holder follow each other (ADR 0029,
ADR 0031). Times are the server's: no clock of another machine's counts.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import peewee
import structlog

from visionflow_daemon.errors import LeaseError, LockedError
from visionflow_daemon.storage.database import Database
from visionflow_daemon.storage.holders import leases
from visionflow_daemon.storage.postgresql import Check, Fence, PostgresDatabase

log = structlog.get_logger()

POLL = 0.2
"""Seconds between two looks at a lease that another holds."""

RENEWALS = 3
"""How often a lease is renewed before it would end."""

UNTIL = "clock_timestamp() + make_interval(secs => ?)"
TAKE = (
    f"INSERT INTO leases (ontology_id, token, holder, since, expires_at) VALUES (?, 1, ?, clock_timestamp(), {UNTIL})"
    " ON CONFLICT (ontology_id) DO UPDATE SET token = leases.token + 1, holder = excluded.holder,"
    " since = excluded.since, expires_at = excluded.expires_at, wanted_until = NULL"
    " WHERE (leases.holder IS NULL OR leases.expires_at <= clock_timestamp())"
)
TAKE_NOW = f"{TAKE} RETURNING token"
TAKE_UNWANTED = f"{TAKE} AND (leases.wanted_until IS NULL OR leases.wanted_until <= clock_timestamp()) RETURNING token"
WANT = f"UPDATE leases SET wanted_until = {UNTIL} WHERE ontology_id = ?"
RENEW = f"UPDATE leases SET expires_at = {UNTIL} WHERE ontology_id = ? AND token = ? AND holder = ?"
GIVE_UP = (
    "UPDATE leases SET holder = NULL, since = NULL, expires_at = NULL"
    " WHERE ontology_id = ? AND token = ? AND holder = ?"
)
# Of a server that crashed, the last taking may be lost, and its token given once more: only with the holder it tells.
FENCE = "SELECT 1 FROM leases WHERE ontology_id = ? AND token = ? AND holder = ? FOR UPDATE"


class Holder:
    """This process, among all that may hold leases: its name, and the leases that it keeps between passes."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()
        self._mark = secrets.token_hex(3)

    @property
    def name(self) -> str:
        """Host, process, and a mark that no later process of the same number has."""
        return f"{socket.gethostname()}:{os.getpid()}:{self._mark}"

    def kept(self, database: Database, ontology_id: str) -> int | None:
        """Give the token of a lease that is kept; None where it isn't."""
        with self._lock:
            return self._kept.get((database.address.identity, ontology_id))

    def keep(self, database: Database, ontology_id: str, token: int) -> None:
        """Keep a lease that was taken; from now on passes of this process work under it."""
        with self._lock:
            self._kept[database.address.identity, ontology_id] = token

    def let_go(self, database: Database, ontology_id: str) -> None:
        """Keep a lease no more."""
        with self._lock:
            self._kept.pop((database.address.identity, ontology_id), None)


US = Holder()


@contextmanager
def leased(
    database: PostgresDatabase, ontology_id: str, wait: float, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Database]:
    """Work under the lease of an ontology, and give the database whose transactions check it.

    One that this process keeps is worked under; else it is taken, renewed meanwhile, and given up. Waits up to `wait`
    seconds for who holds it. Raises LockedError when they still do then.
    """
    if (token := US.kept(database, ontology_id)) is not None:
        yield database.fenced(fence_of(ontology_id, token))
        return
    token = _taken(database, ontology_id, wait, sleep)
    is_over = threading.Event()
    heart = threading.Thread(target=_beat, args=(database, ontology_id, token, is_over), name="lease", daemon=True)
    heart.start()
    try:
        yield database.fenced(fence_of(ontology_id, token))
    finally:
        is_over.set()
        heart.join()
        with suppress(peewee.DatabaseError, peewee.InterfaceError):
            give_up(database, ontology_id, token)


def fence_of(ontology_id: str, token: int) -> Fence:
    """Make the fence that lets transactions through while a token is the newest."""

    def fence(database: PostgresDatabase) -> Check:
        began, seconds = time.monotonic(), database.server.rules.lease
        found = database.run(FENCE, (ontology_id, token, US.name))

        def check() -> None:
            if found.fetchone() is None:
                raise LeaseError(
                    f"the lease of ontology {ontology_id!r} is another's by now: this process was silent for longer "
                    f"than {seconds:g} seconds (postgresql.lease). Nothing more is written by this pass; whoever holds "
                    "the lease goes on from what is saved"
                )
            if time.monotonic() - began > seconds / RENEWALS:  # renewals wait for the row that this transaction holds
                database.run(RENEW, (seconds, ontology_id, token, US.name))

        return check

    return fence


def take(database: PostgresDatabase, ontology_id: str, *, though_wanted: bool = False) -> int | None:
    """Take a lease that is free or over, unless somebody waits for it; give its token, None where it can't be had."""
    found = database.row(
        TAKE_NOW if though_wanted else TAKE_UNWANTED, (ontology_id, US.name, database.server.rules.lease)
    )
    return int(found[0]) if found else None


def renew(database: PostgresDatabase, ontology_id: str, token: int) -> bool:
    """Renew a lease; tell whether it is still ours."""
    return bool(database.run(RENEW, (database.server.rules.lease, ontology_id, token, US.name)).rowcount)


def give_up(database: Database, ontology_id: str, token: int) -> None:
    """Give a lease up, if it is still ours."""
    database.run(GIVE_UP, (ontology_id, token, US.name))


def _taken(database: PostgresDatabase, ontology_id: str, wait: float, sleep: Callable[[float], None]) -> int:
    deadline = time.monotonic() + wait
    is_said = False
    while (token := take(database, ontology_id, though_wanted=True)) is None:
        left = deadline - time.monotonic()
        if left <= 0:
            held = leases(database).get(ontology_id)
            who = f"{held.holder}, since {held.since}" if held else "who has just given it up"
            raise LockedError(
                f"another pass ({who}) is writing ontology {ontology_id!r} of {database.name}. "
                "Wait for it, or give --lock-timeout more seconds"
            )
        if not is_said:
            database.run(WANT, (left, ontology_id))
            is_said = True
        sleep(min(POLL, left))
    return token


def _beat(database: PostgresDatabase, ontology_id: str, token: int, is_over: threading.Event) -> None:
    """Renew a lease now and then, until it is over."""
    structlog.contextvars.bind_contextvars(ontology_id=ontology_id)
    try:
        while not is_over.wait(database.server.rules.lease / RENEWALS):
            try:
                renew(database, ontology_id, token)
            except (peewee.DatabaseError, peewee.InterfaceError) as error:
                database.refresh()
                log.warning("lease not renewed", reason=str(error))
    finally:
        database.close()
