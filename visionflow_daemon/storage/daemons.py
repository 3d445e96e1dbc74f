"""Signs of life of this daemon, for the others of a server's database."""

from __future__ import annotations

from collections.abc import Iterable

from visionflow_daemon.storage.database import array
from visionflow_daemon.storage.leaseholder import US
from visionflow_daemon.storage.postgresql import PostgresDatabase

SEEN = (
    "INSERT INTO daemons (daemon_id, started_at, seen_at, alive_until, ontologies)"
    " VALUES (?, clock_timestamp(), clock_timestamp(), clock_timestamp() + make_interval(secs => ?), ?)"
    " ON CONFLICT (daemon_id) DO UPDATE SET seen_at = excluded.seen_at, alive_until = excluded.alive_until,"
    " ontologies = excluded.ontologies"
)
GONE = "DELETE FROM daemons WHERE daemon_id = ?"
LONG_GONE = "DELETE FROM daemons WHERE alive_until < clock_timestamp() - make_interval(secs => ?)"
FORGOTTEN_AFTER = 3_600.0
"""Seconds after which a daemon that gave no sign of life is no longer remembered."""


def seen(database: PostgresDatabase, ontologies: Iterable[str]) -> None:
    """Give a sign of life of this daemon, good for the time of a lease, with the ontologies of its configuration."""
    database.run(SEEN, (US.name, database.server.rules.lease, array(sorted(ontologies))))


def forget_long_gone(database: PostgresDatabase) -> None:
    """Take those out that ended long ago without a word."""
    database.run(LONG_GONE, (FORGOTTEN_AFTER,))


def gone(database: PostgresDatabase) -> None:
    """Take this daemon out."""
    database.run(GONE, (US.name,))
