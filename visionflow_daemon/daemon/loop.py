"""`visionflow-daemon`: has passes run as they are asked for, one of each source at a time, until it is told to stop."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from visionflow_daemon import logs, passes
from visionflow_daemon.config.values import Config, SourceConfig
from visionflow_daemon.daemon.around import Around
from visionflow_daemon.daemon.memory import give_back
from visionflow_daemon.daemon.status import Status
from visionflow_daemon.daemon.store import Store
from visionflow_daemon.daemon.underway import Ended, Underway
from visionflow_daemon.daemon.vigil import Stop, Telling, Vigil
from visionflow_daemon.errors import ConfigError, ExitCode, HeldError, LeaseError, StoppedError, ThreadError
from visionflow_daemon.git import repository
from visionflow_daemon.ops.inbound.receiver import WEBHOOK, doors_of
from visionflow_daemon.storage.database import Database
from visionflow_daemon.storage.opening import address
from visionflow_daemon.sync.breakers import Breakers
from visionflow_daemon.sync.fetches import Fetches
from visionflow_daemon.sync.job import Services
from visionflow_daemon.sync.pool import Pool

if TYPE_CHECKING:
    from visionflow_daemon.daemon.tenure import Tenure

log = structlog.get_logger()

NO_SOURCE = "no source: give --source URL-OR-PATH, or a --config file with a [[sources]] section"


class Loop:
    """Begins the passes that `around.wake` is asked for, each in a thread of its own, and sees how they end.

    All else is the business of the one thread that made it: what is known of the sources needs no lock. `load` reads
    the configuration, and raises ConfigError. `stop` and `read_anew` may be called from any thread.
    """

    def __init__(self, load: Callable[[], Config], state: Path, around: Around) -> None:
        self._load = load
        self._state = state
        self._around = around
        self._is_over = threading.Event()
        self._is_changed = threading.Event()
        self._store = Store(self._is_over.is_set)
        self._pool = Pool(1)
        self._fetches = Fetches()
        self._status = Status(around.notify)
        self._vigil = Vigil(around.notify, around.lives)
        self._underway = Underway(self._vigil, around.wake.nudge)
        self._config = Config()
        self._sources: dict[str, SourceConfig] = {}
        self._held_at: dict[str, str | None] = {}
        self._waits_until: dict[str, datetime] = {}
        self._tenure: Tenure | None = None
        """Which sources are ours, where other daemons may share the database."""
        self._is_full = False
        """Whether the system lets no pass begin before another one is over."""

    def stop(self) -> None:
        """End: the files in hand are finished, the rest is left to the next start."""
        self._is_over.set()
        self._around.wake.nudge()

    def read_anew(self) -> None:
        """Let the configuration be read anew, before the next pass."""
        self._is_changed.set()
        self._around.wake.nudge()

    def run(self) -> None:
        """Work until the end. Raises ConfigError where there is nothing that could be worked on."""
        self._adopt(self._load(), "start")
        log.info("daemon started", sources=len(self._sources), process=os.getpid())
        try:
            while not self._is_over.is_set():
                self._turn()
        finally:
            log.info("daemon stopping")
            self._around.notify.stopping()
            for ended in self._underway.finish():
                self._note(ended)
            self._around.rota.close()
            self._around.keeper.close()
            self._pool.close()
            if self._tenure is not None:
                self._tenure.close()
            self._store.close()
        log.info("daemon stopped")

    def _turn(self) -> None:
        self._vigil.look()
        if self._is_changed.is_set():
            self._reload()
        for ended in self._underway.ended():
            self._is_full = False
            self._note(ended)
        besides = self._sources if self._is_full else self._underway.ontologies
        if asked := self._around.wake.take(self._around.notify.every, besides):
            self._serve(*asked)

    def _reload(self) -> None:
        self._is_changed.clear()
        self._around.notify.reloading()
        try:
            self._adopt(self._load(), "configuration read anew")
        except ConfigError as error:
            log.error("configuration refused", reason=str(error), kept="the old one")  # noqa: TRY400 - the message says it
        else:
            logs.configure(self._config.log.format, self._config.log.level)
            log.info("configuration read anew", sources=len(self._sources))
        self._around.notify.reloaded()

    def _adopt(self, config: Config, why: str) -> None:
        """Work by this configuration from now on. Raises ConfigError, and keeps the old one, where it can't be."""
        if not config.sources:
            raise ConfigError(NO_SOURCE)
        self._refuse_lower_rollout(config)
        doors = doors_of(config, os.environ)
        self._store.use(config)
        self._around.receiver.use(doors)
        repository.configure(config.network)
        self._around.adopted(config)
        before, self._sources = self._sources, {source.ontology_id: source for source in config.sources}
        for ontology_id, source in before.items():
            self._let_go(ontology_id, source)
        for gone in before.keys() - self._sources.keys():
            self._status.forget(gone)
            self._around.observer.source_gone(gone)
        for ontology_id, source in self._sources.items():
            if source != before.get(ontology_id) or config.interval(source) != self._config.interval(source):
                self._around.observer.source_known(ontology_id, source.shown, source.branch, config.interval(source))
        self._config = config
        self._held_at.clear()
        self._waits_until.clear()
        self._share(config)
        self._around.rota.plan(config)
        self._around.keeper.plan(config)
        for ontology_id in self._sources:
            self._around.wake.ask(ontology_id, why)

    def _share(self, config: Config) -> None:
        """Have the leases of a server's database kept by this configuration; a file has none."""
        if address(config.database, config.base).path is not None:
            before, self._tenure = self._tenure, None
            if before is not None:
                before.close()
            return
        from visionflow_daemon.daemon.tenure import Tenure  # noqa: PLC0415 - for servers alone

        if self._tenure is not None and self._tenure.is_for(config):
            self._tenure.use(config)
            return
        if self._tenure is not None:
            self._tenure.close()
        self._tenure = Tenure(
            config, self._around.wake.ask, lambda: self._underway.ontologies, is_over=self._is_over.is_set
        )

    def _refuse_lower_rollout(self, config: Config) -> None:
        """Raise ConfigError where live files would go; at a start, each pass looks into the database itself."""
        problems = [
            f"sources[{at}].rollout_percent: {source.rollout_percent:g} is less than {before.rollout_percent:g}, which "
            "is in force: live files would go. If that is meant, end the daemon and run once with --allow-lower-rollout"
            for at, source in enumerate(config.sources)
            if (before := self._sources.get(source.ontology_id)) and source.rollout_percent < before.rollout_percent
        ]
        if problems:
            raise ConfigError(*problems)

    def _let_go(self, ontology_id: str, before: SourceConfig) -> None:
        """Wait for nothing that was about a source as it was before, where it is another, or gone."""
        source = self._sources.get(ontology_id)
        if source == before:
            return
        self._breakers(ontology_id).close()  # what it failed with may well be mended
        if source is None or (source.location, source.branch) != (before.location, before.branch):
            self._underway.stop(ontology_id)

    def _serve(self, ontology_id: str, why: str) -> None:
        """Begin a pass, unless the source is no more, or has to wait."""
        source = self._sources.get(ontology_id)
        if source is None:
            return
        with structlog.contextvars.bound_contextvars(ontology_id=ontology_id):
            if self._tenure is not None and not self._tenure.holds(ontology_id):
                if why.startswith(WEBHOOK):
                    self._tenure.pass_on(ontology_id)
                self._left(ontology_id)
                self._around.notify.ready()  # another daemon may hold it; what becomes ours is asked for
                return
            if self._waits(ontology_id):
                self._around.notify.ready()  # it is as ready as it gets
                return
            log.debug("pass asked for", why=why)
            self._status.begins(ontology_id)
            self._around.observer.pass_begun(ontology_id, why)
            try:
                database = self._store.open()
                self._around.notify.ready()
                self._pool.use(self._config.workers(), database.at_once)
                self._begin(source, database, why)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
                self._breakers(ontology_id).note(error, self._config.breaker, self._around.now())
                self._note(Ended(ontology_id, passes.failed(error), self._config))

    def _begin(self, source: SourceConfig, database: Database, why: str) -> None:
        """Begin a pass, or leave it until another one is over. Raises ThreadError where that would be never."""
        attempt = partial(self._attempt, self._config, source, database, self._held_at.get(source.ontology_id))
        try:
            self._underway.begin(source.ontology_id, self._config, attempt)
        except (RuntimeError, MemoryError) as error:
            if not self._underway.ontologies:
                raise ThreadError.of("thread for a pass", error) from error
            log.warning("pass waits", reason=str(error))
            self._around.wake.ask(source.ontology_id, why)
            self._is_full = True

    def _attempt(
        self, config: Config, source: SourceConfig, database: Database, held_at: str | None, stop: Stop
    ) -> passes.Attempt:
        """Run a pass; in a thread of its own, which shares with others nothing but what is made for it."""
        ontology_id = source.ontology_id
        services = Services(
            database,
            stop,
            Telling(ontology_id, self._around.observer, self._status, stop),
            self._around.now,
            stop.sleep,
            self._around.meter_of(ontology_id),
            self._pool,
            self._fetches,
        )
        with structlog.contextvars.bound_contextvars(ontology_id=ontology_id):
            try:
                job = replace(passes.job_of(config, source), held_at=held_at)
                return passes.attempt(passes.source_of(config, source, self._state), job, services)
            finally:
                database.close()

    def _note(self, ended: Ended) -> None:
        """Remember and tell how a pass ended, and when the next one is due."""
        ontology_id, done = ended.ontology_id, ended.done
        if done.summary is None or done.summary.run_id:
            give_back()
        if done.code is ExitCode.DATABASE:
            self._store.close()  # what ails it may be the connection's; the next pass opens it anew
        if self._tenure is not None:
            self._tenure.pass_over(ontology_id)
        if isinstance(done.error, StoppedError) or ontology_id not in self._sources:
            return  # that the daemon ends is no failure, and who is gone is told of no more
        if isinstance(done.error, LeaseError):
            self._left(ontology_id)
            return
        with structlog.contextvars.bound_contextvars(ontology_id=ontology_id):
            self._tell(ontology_id, done, is_current=ended.config is self._config)
            if not self._waits(ontology_id):
                self._around.observer.next_due(ontology_id, self._around.rota.next_due(ontology_id))

    def _left(self, ontology_id: str) -> None:
        """Tell nothing more of a source that another daemon works on: that one does."""
        self._status.fine(ontology_id, f"{ontology_id} is left to others")
        self._around.observer.source_left(ontology_id)

    def _tell(self, ontology_id: str, done: passes.Attempt, *, is_current: bool) -> None:
        mark = done.error.mark if isinstance(done.error, HeldError) else None
        if mark is not None and is_current:  # by other settings, they may not be held any more
            self._held_at[ontology_id] = mark
        if done.summary is not None:
            self._held_at.pop(ontology_id, None)
            self._around.observer.pass_done(ontology_id, done.summary)
            self._around.receiver.seen(ontology_id, done.summary.branch)
            self._status.fine(ontology_id, f"{ontology_id} is at {done.summary.commit[:12]}")
        else:
            self._around.observer.pass_failed(ontology_id, done.reason, done.code, mark)
            self._status.troubled(ontology_id, f"the last pass of {ontology_id} failed: {done.reason}")

    def _waits(self, ontology_id: str) -> bool:
        """Tell whether a circuit breaker is open; then a pass is asked for at the end of its cool-down."""
        until = self._breakers(ontology_id).open_until(self._around.now())
        if until is None:
            self._waits_until.pop(ontology_id, None)
            return False
        if self._waits_until.get(ontology_id) != until:
            self._waits_until[ontology_id] = until
            self._around.rota.retry_at(ontology_id, until)
            self._around.observer.next_due(ontology_id, until)
            log.info("pass postponed", until=until.isoformat(), reason="a circuit breaker is open")
            self._status.troubled(ontology_id, f"a circuit breaker of {ontology_id} is open until {until.isoformat()}")
        return True

    def _breakers(self, ontology_id: str) -> Breakers:
        database = address(self._config.database, self._config.base)
        return Breakers(self._state, database.identity, ontology_id)
