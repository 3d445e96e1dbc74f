"""Who holds which ontology of a server's database, and which daemons are alive, for whoever asks."""

from __future__ import annotations

from dataclasses import dataclass

from visionflow_daemon.storage.database import POSTGRESQL, Database
from visionflow_daemon.storage.leaseholder import US, shown


def _text(column: str) -> str:
    """Give SQL for a time as the other tables have it."""
    return f"to_char({column} AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"


NOT_TO_COME = "clock_timestamp() + interval '1 second'"
"""What was noted at a later time than that was noted before the server's clock was set back, and tells nothing."""

WANTED_SECONDS = 3.0
"""For how long whoever waits for a lease is known to wait, unless they say so again."""

IS_HELD = f"leases.holder IS NOT NULL AND leases.expires_at > clock_timestamp() AND leases.renewed_at <= {NOT_TO_COME}"
IS_WANTED = (
    "COALESCE(leases.wanted_until > clock_timestamp()"
    f" AND leases.wanted_until <= {NOT_TO_COME} + make_interval(secs => {WANTED_SECONDS}), FALSE)"
)
SHOWN = (
    f"SELECT ontology_id, holder, {_text('since')}, {_text('expires_at')}, {IS_WANTED}, asked_at::text"
    f" FROM leases WHERE {IS_HELD}"
)
ALIVE = (
    "SELECT daemon_id, o.value FROM daemons, jsonb_array_elements_text(ontologies) AS o (value)"
    f" WHERE alive_until > clock_timestamp() AND seen_at <= {NOT_TO_COME}"
)


@dataclass(frozen=True, slots=True)
class Lease:
    """Who holds an ontology, since when, and until when unless they renew it.

    `is_ours` tells whether this process does, `is_wanted` whether another one waits for it, `asked_at` when another one
    was last asked for a pass of it.
    """

    holder: str
    since: str
    until: str
    is_wanted: bool = False
    is_ours: bool = False
    asked_at: str | None = None


def leases(database: Database) -> dict[str, Lease]:
    """Say who holds what; nothing is held so where a file's locks do that."""
    if database.engine != POSTGRESQL:
        return {}
    return {
        ontology_id: Lease(shown(holder), since, until, is_wanted, holder == US.name, asked_at)
        for ontology_id, holder, since, until, is_wanted, asked_at in database.rows(SHOWN)
    }


def alive(database: Database) -> dict[str, set[str]]:
    """Give the daemons that are alive, each with the ontologies of its configuration."""
    found: dict[str, set[str]] = {}
    if database.engine == POSTGRESQL:
        for daemon_id, ontology_id in database.rows(ALIVE):
            found.setdefault(daemon_id, set()).add(ontology_id)
    return found


def able(database: Database, ontology_id: str) -> tuple[str, ...] | None:
    """Name the daemons that are alive and have an ontology in their configuration; None where a file tells of none."""
    if database.engine != POSTGRESQL:
        return None
    return tuple(sorted(shown(name) for name, known in alive(database).items() if ontology_id in known))
