"""Who holds which ontology of a server's database, and which daemons are alive, for whoever asks."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass

from visionflow_daemon.storage.database import POSTGRESQL, Database

SHOWN = (
    "SELECT ontology_id, holder, to_char(since AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'),"
    " GREATEST(0, extract(epoch FROM expires_at - clock_timestamp()))::float,"
    " wanted_until IS NOT NULL AND wanted_until > clock_timestamp()"
    " FROM leases WHERE holder IS NOT NULL AND expires_at > clock_timestamp()"
)


@dataclass(frozen=True, slots=True)
class Lease:
    """Who holds an ontology, since when, for how many seconds at least, and whether another waits for it."""

    holder: str
    since: str
    seconds_left: float
    is_wanted: bool = False

    @property
    def is_ours(self) -> bool:
        """Whether this process holds it."""
        return self.holder == f"{socket.gethostname()}:{os.getpid()}"


def leases(database: Database) -> dict[str, Lease]:
    """Say who holds what; nothing is held so where a file's locks do that."""
    if database.engine != POSTGRESQL:
        return {}
    return {ontology_id: Lease(shown(holder), *rest) for ontology_id, holder, *rest in database.rows(SHOWN)}


def shown(holder: str) -> str:
    """Name a holder for people, without its mark."""
    return holder.rpartition(":")[0]
