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
from dataclasses import replace

import peewee
import structlog

from visionflow_daemon.config.secrets import server_of
from visionflow_daemon.config.values import Config
from visionflow_daemon.daemon.spread import spread
from visionflow_daemon.errors import VisionflowError
from visionflow_daemon.passes import open_to_write
from visionflow_daemon.storage import daemons, lease
from visionflow_daemon.storage.holders import Lease, alive, leases
from visionflow_daemon.storage.lease import RENEWALS, unless_locked
from visionflow_daemon.storage.leaseholder import US
from visionflow_daemon.storage.postgresql import PostgresDatabase, open_postgresql
from visionflow_daemon.storage.server import never

log = structlog.get_logger()


class Tenure:
    """Keeps this daemon's leases, in a thread of its own; what it offers may be called from any.

    `ask` asks for a pass of a source that has become ours, or is no longer; `busy` names the passes under way;
    `is_over` tells whether the daemon is to end.
    """

    def __init__(
        self,
        config: Config,
        ask: Callable[[str, str], None],
        busy: Callable[[], Collection[str]],
        monotonic: Callable[[], float] = time.monotonic,
        is_over: Callable[[], bool] = never,
    ) -> None:
        self._daemon_is_over = is_over
        self._config = config
        self._ask = ask
        self._busy = busy
        self._monotonic = monotonic
        self._valid_until: dict[str, float] = {}
        self._tokens: dict[str, int] = {}
        self._leaving: set[str] = set()
        """Leases that are given up as soon as no pass is under way; none begins any more."""
        self._asked_at: dict[str, str | None] = {}
        self._to_pass_on: set[str] = set()
        self._lock = threading.Lock()
        self._database: PostgresDatabase | None = None
        self._is_over = threading.Event()
        self._nudge = threading.Event()
        self._thread = threading.Thread(target=self._work, name="tenure", daemon=True)
        self._thread.start()

    def holds(self, ontology_id: str) -> bool:
        """Tell whether a pass of a source may begin here."""
        return ontology_id not in self._leaving and self._monotonic() < self._valid_until.get(ontology_id, 0.0)

    def pass_over(self, ontology_id: str) -> None:
        """Note that a pass is over: a lease that is to be given up need not wait any longer."""
        if ontology_id in self._leaving:
            self._nudge.set()

    def pass_on(self, ontology_id: str) -> None:
        """Have whoever holds a source be asked for a pass of it."""
        with self._lock:
            self._to_pass_on.add(ontology_id)
        self._nudge.set()

    def is_for(self, config: Config) -> bool:
        """Tell whether a configuration is about the same database, dealt with in the same way."""
        mine = self._config
        return (config.database, config.postgresql) == (mine.database, mine.postgresql)

    def use(self, config: Config) -> None:
        """Go by this configuration, from a look on that comes at once."""
        self._config = config
        self._nudge.set()

    def close(self) -> None:
        """Give all leases up. A pass that is still under way writes nothing more."""
        self._is_over.set()
        self._nudge.set()
        self._thread.join()

    def _work(self) -> None:
        every = self._config.postgresql.lease / RENEWALS
        while not self._is_over.is_set():
            began = self._monotonic()
            try:
                self._look()
            except (VisionflowError, peewee.DatabaseError, peewee.InterfaceError) as error:
                log.warning("leases not renewed", reason=str(error), held=len(self._tokens))
                if self._database is not None:
                    self._database.refresh()
            self._nudge.wait(max(0.0, every - (self._monotonic() - began)))
            self._nudge.clear()
        self._leave()

    def _look(self) -> None:
        """Renew what is ours, give up what is to be another's, and take what is to be ours."""
        database = self._connected()
        self._renew(database)
        known = {source.ontology_id for source in self._config.sources}
        daemons.seen(database, known)
        there = {US.name: known, **alive(database)}
        held = leases(database)
        ours = {ontology_id for ontology_id, name in spread(there).items() if name == US.name}
        self._leave_some({each for each in self._tokens if each not in ours or (each in held and held[each].is_wanted)})
        for ontology_id in [each for each in self._leaving if each not in self._busy()]:
            with unless_locked(ontology_id):
                self._give_up(database, ontology_id, len(there))
        for ontology_id in sorted(ours - held.keys() - self._tokens.keys()):
            with unless_locked(ontology_id):
                self._take(database, ontology_id, len(there))
        self._pass_on(database)
        self._heed(held)

    def _renew(self, database: PostgresDatabase) -> None:
        began = self._monotonic()
        renewed = lease.renew(database, self._tokens)
        for ontology_id in renewed.ours:
            is_back = began >= self._valid_until[ontology_id]
            self._valid_until[ontology_id] = began + self._config.postgresql.lease
            if is_back:  # what was asked for meanwhile was not heard
                self._ask(ontology_id, "lease renewed")
        for ontology_id in renewed.lost:
            self._drop(ontology_id)
            with structlog.contextvars.bound_contextvars(ontology_id=ontology_id):
                log.warning("lease lost")
            self._ask(ontology_id, "lease lost")

    def _leave_some(self, leaving: set[str]) -> None:
        """Let no pass of these begin any more; those that stay after all are asked for what was not heard meanwhile."""
        staying = (self._leaving - leaving) & self._tokens.keys()
        self._leaving = leaving
        for ontology_id in staying:
            self._ask(ontology_id, "lease kept")

    def _take(self, database: PostgresDatabase, ontology_id: str, count: int) -> None:
        began = self._monotonic()
        token = lease.take(database, ontology_id)
        if token is None:
            return
        self._tokens[ontology_id] = token
        US.keep(database, ontology_id, token)
        self._valid_until[ontology_id] = began + self._config.postgresql.lease
        log.info("lease taken", token=token, daemons=count)
        self._ask(ontology_id, "lease taken")

    def _give_up(self, database: PostgresDatabase, ontology_id: str, count: int) -> None:
        lease.give_up(database, ontology_id, self._tokens[ontology_id])
        self._drop(ontology_id)
        log.info("lease given up", daemons=count)
        self._ask(ontology_id, "lease given up")

    def _pass_on(self, database: PostgresDatabase) -> None:
        with self._lock:
            asked, self._to_pass_on = self._to_pass_on, set()
        for ontology_id in asked - self._tokens.keys():
            with unless_locked(ontology_id):
                lease.ask(database, ontology_id)

    def _heed(self, held: dict[str, Lease]) -> None:
        """Ask for the passes that other daemons were asked for."""
        for ontology_id in self._tokens.keys() & held.keys():
            asked_at = held[ontology_id].asked_at
            if asked_at != self._asked_at.get(ontology_id):
                self._asked_at[ontology_id] = asked_at
                self._ask(ontology_id, "asked of another daemon")

    def _drop(self, ontology_id: str) -> None:
        self._valid_until.pop(ontology_id, None)
        self._tokens.pop(ontology_id, None)
        self._leaving.discard(ontology_id)
        if self._database is not None:
            US.let_go(self._database, ontology_id)

    def _connected(self) -> PostgresDatabase:
        if self._database is None:
            # The schema is due before the leases are.
            made, applied = open_to_write(self._config, is_over=self._daemon_is_over)
            made.close()
            made.end()
            for migration in applied:
                log.info("migration applied", version=migration.version, name=migration.name)
            patience = self._config.postgresql.lease / RENEWALS / 4
            server = replace(server_of(self._config, os.environ), is_over=self._daemon_is_over)
            self._database = open_postgresql(self._config.database, server, busy_timeout=patience)
            US.keeps_leases(self._database)
            daemons.forget_long_gone(self._database)
        return self._database

    def _leave(self) -> None:
        if self._database is None:
            return
        held = len(self._tokens)
        try:
            for ontology_id in list(self._tokens):
                with unless_locked(ontology_id):
                    lease.give_up(self._database, ontology_id, self._tokens[ontology_id])
            daemons.gone(self._database)
        except (VisionflowError, peewee.DatabaseError, peewee.InterfaceError) as error:
            log.warning("leases not given up", reason=str(error), held=held)
        finally:
            for ontology_id in list(self._tokens):
                self._drop(ontology_id)
            US.keeps_none(self._database)
            self._database.close()
            self._database.end()
