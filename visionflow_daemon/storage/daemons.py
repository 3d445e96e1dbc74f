"""The daemons of a server's database that are alive, each with the ontologies that it could work on."""

from __future__ import annotations

from collections.abc import Iterable

from visionflow_daemon.storage.database import array
from visionflow_daemon.storage.holders import shown
from visionflow_daemon.storage.lease import US
from visionflow_daemon.storage.postgresql import PostgresDatabase

SEEN = (
    "INSERT INTO daemons (daemon_id, started_at, seen_at, ontologies)"
    " VALUES (?, clock_timestamp(), clock_timestamp(), ?)"
    " ON CONFLICT (daemon_id) DO UPDATE SET seen_at = excluded.seen_at, ontologies = excluded.ontologies"
)
GONE = "DELETE FROM daemons WHERE daemon_id = ?"
LONG_GONE = "DELETE FROM daemons WHERE seen_at < clock_timestamp() - make_interval(secs => ?)"
ALIVE = (
    "SELECT daemon_id, o.value FROM daemons, jsonb_array_elements_text(ontologies) AS o (value)"
    " WHERE seen_at > clock_timestamp() - make_interval(secs => ?)"
)
FORGOTTEN_AFTER = 3_600.0
"""Seconds after which a daemon that gave no sign of life is no longer remembered."""


def seen(database: PostgresDatabase, ontologies: Iterable[str]) -> None:
    """Give a sign of life of this daemon, with the ontologies of its configuration."""
    database.run(SEEN, (US.name, array(sorted(ontologies))))


def gone(database: PostgresDatabase) -> None:
    """Take this daemon out, and those that are long gone."""
    database.run(GONE, (US.name,))
    database.run(LONG_GONE, (FORGOTTEN_AFTER,))


def alive(database: PostgresDatabase) -> dict[str, set[str]]:
    """Give the daemons that gave a sign of life within the time of a lease, with their ontologies."""
    found: dict[str, set[str]] = {}
    for daemon_id, ontology_id in database.rows(ALIVE, (database.server.rules.lease,)):
        found.setdefault(daemon_id, set()).add(ontology_id)
    return found


def names(daemons: Iterable[str]) -> list[str]:
    """Name daemons for people."""
    return sorted(map(shown, daemons))
