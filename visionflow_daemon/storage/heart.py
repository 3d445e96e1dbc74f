"""Renews the leases that passes of this process took for themselves: by one thread for all of a database.

It has a connection of its own: passes that wait for theirs keep no lease from being renewed.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import peewee
import structlog

from visionflow_daemon.errors import ThreadError, VisionflowError
from visionflow_daemon.storage.lease import RENEWALS, renew
from visionflow_daemon.storage.postgresql import PostgresDatabase

log = structlog.get_logger()

_hearts: dict[str, _Heart] = {}
_lock = threading.Lock()


class _Heart:
    """The thread, and what it renews."""

    def __init__(self, database: PostgresDatabase) -> None:
        self.tokens: dict[str, int] = {}
        self._every = database.server.rules.lease / RENEWALS
        self._database = database.another(busy_timeout=self._every / 4)
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._work, name="lease", daemon=True)
        try:
            self._thread.start()
        except (RuntimeError, MemoryError) as error:
            raise ThreadError.of("thread that renews leases", error) from error

    def end(self) -> None:
        """Renew nothing more."""
        self._is_over.set()
        self._thread.join()

    def _work(self) -> None:
        try:
            while not self._is_over.wait(self._every):
                with _lock:
                    tokens = dict(self.tokens)
                try:
                    renew(self._database, tokens)  # what is lost, its pass learns from the fence
                except (VisionflowError, peewee.DatabaseError, peewee.InterfaceError) as error:
                    self._database.refresh()
                    log.warning("leases not renewed", reason=str(error), held=len(tokens))
        finally:
            self._database.close()
            self._database.end()


@contextmanager
def beating(database: PostgresDatabase, ontology_id: str, token: int) -> Iterator[None]:
    """Renew a lease now and then while the block runs."""
    identity = database.address.identity
    with _lock:
        heart = _hearts.get(identity)
        if heart is None:
            heart = _hearts[identity] = _Heart(database)
        heart.tokens[ontology_id] = token
    try:
        yield
    finally:
        with _lock:
            heart.tokens.pop(ontology_id, None)
            is_last = not heart.tokens
            if is_last:
                del _hearts[identity]
        if is_last:
            heart.end()
