"""This process as one that may hold leases: its name, and the leases that its daemon keeps between passes."""

from __future__ import annotations

import os
import secrets
import socket
import threading

from visionflow_daemon.storage.database import Database


def shown(holder: str) -> str:
    """Name a holder for people, without its mark."""
    return holder.rpartition(":")[0]


class Leaseholder:
    """This process, among all that may hold leases; safe to use from many threads."""

    def __init__(self) -> None:
        self._kept: dict[str, dict[str, int]] = {}
        self._lock = threading.Lock()
        self._mark = secrets.token_hex(3)

    @property
    def name(self) -> str:
        """Host, process, and a mark that no later process of the same number has."""
        return f"{socket.gethostname()}:{os.getpid()}:{self._mark}"

    @property
    def is_known_as(self) -> str:
        """The name for people, as sessions in the server show it."""
        return shown(self.name)

    def keeps_leases(self, database: Database) -> None:
        """Note that leases of a database are kept between passes: from now on, none works without one."""
        with self._lock:
            self._kept.setdefault(database.address.identity, {})

    def keeps_none(self, database: Database) -> None:
        """Note that no leases of a database are kept any more: who works there takes one for its work."""
        with self._lock:
            self._kept.pop(database.address.identity, None)

    def is_keeper(self, database: Database) -> bool:
        """Tell whether leases of a database are kept between passes."""
        with self._lock:
            return database.address.identity in self._kept

    def kept(self, database: Database, ontology_id: str) -> int | None:
        """Give the token of a lease that is kept; None where it isn't."""
        with self._lock:
            return self._kept.get(database.address.identity, {}).get(ontology_id)

    def keep(self, database: Database, ontology_id: str, token: int) -> None:
        """Keep a lease that was taken; from now on passes of this process work under it."""
        with self._lock:
            self._kept.setdefault(database.address.identity, {})[ontology_id] = token

    def let_go(self, database: Database, ontology_id: str) -> None:
        """Keep a lease no more."""
        with self._lock:
            self._kept.get(database.address.identity, {}).pop(ontology_id, None)


US = Leaseholder()
