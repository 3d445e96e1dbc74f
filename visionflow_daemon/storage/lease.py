"""The lease of an ontology in a server's database: a row that says who may write it, and until when.

Its token grows with each holder. Every transaction of a holder's locks the row and looks whether the token is still
its own: so none of an earlier holder's, woken late, can commit, and those of one holder follow each other (ADR 0029,
ADR 0031). Times are the server's: no clock of another machine's counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import peewee
import structlog

from visionflow_daemon.errors import LeaseError, LockedError
from visionflow_daemon.storage import trouble
from visionflow_daemon.storage.abandoned import end_abandoned
from visionflow_daemon.storage.database import ANY_OF, Database, array
from visionflow_daemon.storage.holders import IS_HELD, IS_WANTED, WANTED_SECONDS, leases
from visionflow_daemon.storage.leaseholder import US
from visionflow_daemon.storage.postgresql import AtEnd, Fence, PostgresDatabase

log = structlog.get_logger()

POLL = 0.2
"""Seconds between two looks at a lease that another holds."""

POLL_AWAY = 1.0
"""Seconds between two attempts to reach a server that is away."""

RENEWALS = 3
"""How often a lease is renewed before it would end."""

SILENT = 1 - 1 / RENEWALS
"""The share of a lease's time for which its holder has been silent at least when it is over."""

UNTIL = "clock_timestamp() + make_interval(secs => ?)"
LOOK = f"SELECT COALESCE({IS_HELD}, FALSE), holder FROM leases WHERE ontology_id = ?"
TAKE = (
    "INSERT INTO leases (ontology_id, token, holder, since, renewed_at, expires_at)"
    f" VALUES (?, 1, ?, clock_timestamp(), clock_timestamp(), {UNTIL})"
    " ON CONFLICT (ontology_id) DO UPDATE SET token = leases.token + 1, holder = excluded.holder,"
    " since = excluded.since, renewed_at = excluded.renewed_at, expires_at = excluded.expires_at, wanted_until = NULL"
    f" WHERE NOT COALESCE({IS_HELD}, FALSE)"
)
TAKE_NOW = f"{TAKE} RETURNING token"
TAKE_UNWANTED = f"{TAKE} AND NOT {IS_WANTED} RETURNING token"
WANT = f"UPDATE leases SET wanted_until = {UNTIL} WHERE ontology_id = ?"
ASK = "UPDATE leases SET asked_at = clock_timestamp() WHERE ontology_id = ?"
RENEWED = f"renewed_at = clock_timestamp(), expires_at = {UNTIL}"
RENEW = f"UPDATE leases SET {RENEWED} WHERE ontology_id = ? AND token = ? AND holder = ? RETURNING 1"
RENEW_UNLOCKED = (
    f"UPDATE leases SET {RENEWED} WHERE ontology_id IN (SELECT ontology_id FROM leases"
    f" WHERE holder = ? AND ontology_id {ANY_OF} FOR UPDATE SKIP LOCKED) RETURNING ontology_id, token"
)
GIVE_UP = (
    "UPDATE leases SET holder = NULL, since = NULL, renewed_at = NULL, expires_at = NULL"
    " WHERE ontology_id = ? AND token = ? AND holder = ?"
)
# Of a server that crashed, the last taking may be lost, and its token given once more: only with the holder it tells.
FENCE = (
    "SELECT 1 / COUNT(*) FROM"
    " (SELECT 1 FROM leases WHERE ontology_id = ? AND token = ? AND holder = ? FOR UPDATE) AS held"
)


@dataclass(slots=True)
class Renewed:
    """The leases that are `ours` still, and those that are `lost`; what a transaction keeps locked is in neither."""

    ours: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)


@contextmanager
def leased(
    database: PostgresDatabase, ontology_id: str, wait: float, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Database]:
    """Work under the lease of an ontology, and give the database whose transactions check it.

    Where this process keeps leases between passes, it works under one of those alone, and raises LeaseError for an
    ontology that isn't its own. Else the lease is taken, renewed meanwhile, and given up: waits up to `wait` seconds
    for who holds it, and raises LockedError when they still do then.
    """
    if US.is_keeper(database):
        kept = US.kept(database, ontology_id)
        if kept is None:
            raise LeaseError(f"the lease of ontology {ontology_id!r} is another's: whoever holds it runs its passes")
        yield database.fenced(fence_of(ontology_id, kept))
        return
    from visionflow_daemon.storage.heart import beating  # noqa: PLC0415 - it renews by what stands here

    token = _taken(database, ontology_id, wait, sleep)
    try:
        with beating(database, ontology_id, token):
            yield database.fenced(fence_of(ontology_id, token))
    finally:
        with suppress(peewee.DatabaseError, peewee.InterfaceError):
            give_up(database, ontology_id, token)


def fence_of(ontology_id: str, token: int) -> Fence:
    """Make the fence that lets transactions through while a token is the newest."""

    def fence(database: PostgresDatabase) -> AtEnd:
        began, seconds = time.monotonic(), database.server.rules.lease
        lost = LeaseError(
            f"the lease of ontology {ontology_id!r} is another's by now: this process was silent for longer "
            f"than {seconds:g} seconds (postgresql.lease). Nothing more is written by this pass; whoever holds "
            "the lease goes on from what is saved"
        )
        database.demand(FENCE, (ontology_id, token, US.name), lost)

        def renewal() -> None:
            if time.monotonic() - began > seconds / RENEWALS:  # renewals wait for the row that this transaction holds
                database.run(RENEW, (seconds, ontology_id, token, US.name))

        return renewal

    return fence


def take(database: PostgresDatabase, ontology_id: str, *, though_wanted: bool = False) -> int | None:
    """Take a lease that is free or over, unless somebody waits for it; give its token, None where it can't be had.

    A look comes first, for taking waits for whoever has the row locked. Who let a lease run out may keep it so.
    """
    is_held, before = database.row(LOOK, (ontology_id,)) or (False, None)
    if is_held:
        return None
    if before is not None:
        end_abandoned(database, before, database.server.rules.lease * SILENT)
    with database.transaction():
        found = database.row(
            TAKE_NOW if though_wanted else TAKE_UNWANTED, (ontology_id, US.name, database.server.rules.lease)
        )
    return int(found[0]) if found else None


def renew(database: PostgresDatabase, tokens: Mapping[str, int]) -> Renewed:
    """Renew leases: in one statement all those that no transaction has locked, the others one by one behind it."""
    found = Renewed()
    if not tokens:
        return found
    seconds = database.server.rules.lease
    with database.transaction():
        rows = database.rows(RENEW_UNLOCKED, (seconds, US.name, array(sorted(tokens))))
    found.ours = {ontology_id for ontology_id, token in rows if tokens[ontology_id] == token}
    for ontology_id in sorted(tokens.keys() - found.ours):
        with unless_locked(ontology_id), database.transaction():
            is_ours = database.row(RENEW, (seconds, ontology_id, tokens[ontology_id], US.name))
            (found.ours if is_ours else found.lost).add(ontology_id)
    return found


def give_up(database: PostgresDatabase, ontology_id: str, token: int) -> None:
    """Give a lease up, if it is still ours."""
    with database.transaction():
        database.run(GIVE_UP, (ontology_id, token, US.name))


def ask(database: PostgresDatabase, ontology_id: str) -> None:
    """Ask whoever holds an ontology for a pass of it."""
    with database.transaction():
        database.run(ASK, (ontology_id,))


@contextmanager
def unless_locked(ontology_id: str) -> Iterator[None]:
    """Do something with a lease, unless a transaction holds its row for long: nothing else is to wait for that."""
    with structlog.contextvars.bound_contextvars(ontology_id=ontology_id):
        try:
            yield
        except peewee.DatabaseError as error:
            if not trouble.is_busy(error) or trouble.is_lost(error):
                raise
            log.debug("lease locked")


def _taken(database: PostgresDatabase, ontology_id: str, wait: float, sleep: Callable[[float], None]) -> int:
    """Take a lease, though others may want it, and tell its holder again and again that it is waited for."""
    deadline = time.monotonic() + wait
    told_until = float("-inf")
    while True:
        with unless_locked(ontology_id):
            token = _asked(database, ontology_id, sleep)
            if token is not None:
                return token
        now = time.monotonic()
        if now >= deadline:
            raise LockedError(_who_holds(database, ontology_id))
        if now >= told_until:
            with unless_locked(ontology_id), database.transaction():
                database.run(WANT, (min(WANTED_SECONDS, deadline - now), ontology_id))
            told_until = now + WANTED_SECONDS / RENEWALS
        sleep(max(0.0, min(POLL, deadline - now)))


def _asked(database: PostgresDatabase, ontology_id: str, sleep: Callable[[float], None]) -> int | None:
    """Try to take a lease, and wait for a server that is away; None where it is another's."""
    deadline = time.monotonic() + database.patience
    while True:
        try:
            return take(database, ontology_id, though_wanted=True)
        except (peewee.DatabaseError, peewee.InterfaceError) as error:
            if not trouble.is_lost(error) or time.monotonic() > deadline:
                raise
        sleep(POLL_AWAY)


def _who_holds(database: Database, ontology_id: str) -> str:
    held = leases(database).get(ontology_id)
    who = f"{held.holder}, since {held.since}, until {held.until} at least" if held else "its transaction goes on"
    return (
        f"another pass ({who}) is writing ontology {ontology_id!r} of {database.name}. "
        "Wait for it, or give --lock-timeout more seconds"
    )
