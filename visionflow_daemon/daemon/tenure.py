"""Which sources are this daemon's to work on: all of them beside a file, its share of them on a server.

There, the daemon holds the leases of its share between passes, too, and gives up what is another's to hold. One thread
renews them all. A lease that was not renewed in time counts as lost, by this machine's steady clock: no pass begins
under it. A pass that is under way learns it from the server, whose word alone counts (storage/lease.py).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection

import peewee
import structlog

from visionflow_daemon.config.secrets import server_of
from visionflow_daemon.config.values import Config
from visionflow_daemon.daemon.spread import spread
from visionflow_daemon.errors import VisionflowError
from visionflow_daemon.passes import open_to_write
from visionflow_daemon.storage import daemons, lease, trouble
from visionflow_daemon.storage.holders import leases
from visionflow_daemon.storage.lease import RENEWALS, US
from visionflow_daemon.storage.postgresql import PostgresDatabase, open_postgresql

log = structlog.get_logger()


class Tenure:
    """Keeps this daemon's leases; `holds` and `alive` may be looked at from any thread.

    `ask` asks for a pass of a source that has become ours, `busy` names the passes under way.
    """

    def __init__(
        self,
        config: Config,
        ask: Callable[[str, str], None],
        busy: Callable[[], Collection[str]],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config = config
        self._ask = ask
        self._busy = busy
        self._monotonic = monotonic
        self._valid_until: dict[str, float] = {}
        self._tokens: dict[str, int] = {}
        self._alive: list[str] = []
        self._database: PostgresDatabase | None = None
        self._is_over = threading.Event()
        self._nudge = threading.Event()
        self._thread = threading.Thread(target=self._work, name="tenure", daemon=True)
        self._thread.start()

    def holds(self, ontology_id: str) -> bool:
        """Tell whether a source is this daemon's to work on."""
        return self._monotonic() < self._valid_until.get(ontology_id, 0.0)

    def is_for(self, config: Config) -> bool:
        """Tell whether a configuration is about the same database, dealt with in the same way."""
        mine = self._config
        return (config.database, config.postgresql) == (mine.database, mine.postgresql)

    def use(self, config: Config) -> None:
        """Go by this configuration, from a look on that comes at once."""
        self._config = config
        self._nudge.set()

    @property
    def alive(self) -> list[str]:
        """The daemons that are alive, this one among them, as they were last seen."""
        return self._alive

    def close(self) -> None:
        """Give all leases up; to be called when no pass is under way any more."""
        self._is_over.set()
        self._nudge.set()
        self._thread.join()

    @property
    def _patience(self) -> float:
        """Seconds that a statement waits for a lease's row: a fraction of the time between two renewals."""
        return self._config.postgresql.lease / RENEWALS / 4

    def _work(self) -> None:
        every = self._config.postgresql.lease / RENEWALS
        while not self._is_over.is_set():
            began = self._monotonic()
            try:
                self._look()
            except (VisionflowError, peewee.DatabaseError, peewee.InterfaceError) as error:
                log.warning("leases not renewed", reason=str(error), held=len(self._tokens))
                self._let_go_of_connection()
            self._nudge.wait(max(0.0, every - (self._monotonic() - began)))
            self._nudge.clear()
        self._leave()

    def _look(self) -> None:
        """Renew what is ours, give up what is to be another's, and take what is to be ours."""
        database = self._connected()
        known = {source.ontology_id for source in self._config.sources}
        for ontology_id in list(self._tokens):
            self._unless_locked(self._renew, database, ontology_id)
        daemons.seen(database, known)
        alive = daemons.alive(database)
        alive.setdefault(US.name, known)
        self._alive = daemons.names(alive)
        ours = {ontology_id for ontology_id, name in spread(alive).items() if name == US.name}
        wanted = {ontology_id for ontology_id, each in leases(database).items() if each.is_wanted}
        for ontology_id in (self._tokens.keys() - ours) | (self._tokens.keys() & wanted):
            if ontology_id not in self._busy():
                self._unless_locked(self._give_up, database, ontology_id)
        for ontology_id in sorted(ours - self._tokens.keys() - wanted):
            self._unless_locked(self._take, database, ontology_id)

    def _unless_locked(
        self, act: Callable[[PostgresDatabase, str], None], database: PostgresDatabase, ontology_id: str
    ) -> None:
        """Do something with a lease, unless a transaction holds its row: none other is to wait for that."""
        with structlog.contextvars.bound_contextvars(ontology_id=ontology_id):
            try:
                act(database, ontology_id)
            except peewee.DatabaseError as error:
                if not trouble.is_busy(error) or trouble.is_lost(error):
                    raise
                log.debug("lease locked")

    def _renew(self, database: PostgresDatabase, ontology_id: str) -> None:
        began = self._monotonic()
        if lease.renew(database, ontology_id, self._tokens[ontology_id]):
            self._valid_until[ontology_id] = began + self._config.postgresql.lease
        else:
            self._drop(ontology_id)
            log.warning("lease lost")

    def _take(self, database: PostgresDatabase, ontology_id: str) -> None:
        began = self._monotonic()
        token = lease.take(database, ontology_id)
        if token is None:
            return
        self._tokens[ontology_id] = token
        US.keep(database, ontology_id, token)
        self._valid_until[ontology_id] = began + self._config.postgresql.lease
        log.info("lease taken", token=token, daemons=len(self._alive))
        self._ask(ontology_id, "lease taken")

    def _give_up(self, database: PostgresDatabase, ontology_id: str) -> None:
        token = self._tokens[ontology_id]
        lease.give_up(database, ontology_id, token)
        self._drop(ontology_id)
        log.info("lease given up", daemons=len(self._alive))

    def _drop(self, ontology_id: str) -> None:
        self._valid_until.pop(ontology_id, None)
        self._tokens.pop(ontology_id, None)
        if self._database is not None:
            US.let_go(self._database, ontology_id)

    def _connected(self) -> PostgresDatabase:
        if self._database is None:
            made, applied = open_to_write(self._config)  # the schema is due before the leases are
            made.close()
            made.end()
            for migration in applied:
                log.info("migration applied", version=migration.version, name=migration.name)
            self._database = open_postgresql(
                self._config.database, server_of(self._config, os.environ), busy_timeout=self._patience
            )
        return self._database

    def _let_go_of_connection(self) -> None:
        if self._database is not None:
            self._database.refresh()

    def _leave(self) -> None:
        if self._database is None:
            return
        try:
            for ontology_id in list(self._tokens):
                self._unless_locked(self._give_up, self._database, ontology_id)
            daemons.gone(self._database)
        except (VisionflowError, peewee.DatabaseError, peewee.InterfaceError) as error:
            log.warning("leases not given up", reason=str(error), held=len(self._tokens))
        finally:
            for ontology_id in list(self._tokens):
                self._drop(ontology_id)
            self._database.close()
            self._database.end()
