"""`visionflow-daemon`: runs passes as they are asked for, one at a time, until it is told to stop."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import structlog

from visionflow_daemon import logs, passes
from visionflow_daemon.config.values import Config, SourceConfig
from visionflow_daemon.daemon.keeper import Keeper
from visionflow_daemon.daemon.memory import give_back
from visionflow_daemon.daemon.rota import Rota
from visionflow_daemon.daemon.store import Store
from visionflow_daemon.daemon.vigil import Stop, Telling
from visionflow_daemon.daemon.wake import Wake
from visionflow_daemon.errors import ConfigError, ExitCode, HeldError, StoppedError
from visionflow_daemon.git import repository
from visionflow_daemon.ops.inbound.receiver import Receiver, doors_of
from visionflow_daemon.ops.observer import Observer
from visionflow_daemon.ops.systemd import Notify
from visionflow_daemon.storage.opening import address
from visionflow_daemon.sync.breakers import Breakers
from visionflow_daemon.sync.job import Services
from visionflow_daemon.sync.meter import Meter, Unmeasured

log = structlog.get_logger()

NO_SOURCE = "no source: give --source URL-OR-PATH, or a --config file with a [[sources]] section"


@dataclass(frozen=True, slots=True)
class Around:
    """What stands around the loop: who asks for passes, who is told of them, and who works beside them.

    `adopted` is told of each configuration that the loop works by, `meter_of` gives what measures an ontology's passes.
    """

    wake: Wake
    rota: Rota
    notify: Notify
    observer: Observer
    receiver: Receiver
    keeper: Keeper
    adopted: Callable[[Config], None] = lambda _: None
    meter_of: Callable[[str], Meter] = lambda _: Unmeasured()
    now: Callable[[], datetime] = lambda: datetime.now(UTC)


class Loop:
    """Runs the passes that `around.wake` is asked for, in the thread that made it.

    `load` reads the configuration, and raises ConfigError. `stop` and `read_anew` may be called from any thread.
    """

    def __init__(self, load: Callable[[], Config], state: Path, around: Around) -> None:
        self._load = load
        self._state = state
        self._around = around
        self._stop = Stop(around.notify)
        self._is_changed = threading.Event()
        self._store = Store()
        self._config = Config()
        self._sources: dict[str, SourceConfig] = {}
        self._held_at: dict[str, str | None] = {}
        self._waits_until: dict[str, datetime] = {}

    def stop(self) -> None:
        """End: the files in hand are finished, the rest is left to the next start."""
        self._stop.set()
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
            while not self._stop.is_set():
                if self._is_changed.is_set():
                    self._reload()
                if asked := self._around.wake.take(self._around.notify.every):
                    self._serve(*asked)
        finally:
            log.info("daemon stopping")
            self._around.notify.stopping()
            self._around.rota.close()
            self._around.keeper.close()
            self._store.close()
        log.info("daemon stopped")

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
        for gone in before.keys() - self._sources.keys():
            self._around.observer.source_gone(gone)
        for ontology_id, source in self._sources.items():
            if source != before.get(ontology_id) or config.interval(source) != self._config.interval(source):
                self._around.observer.source_known(ontology_id, source.shown, source.branch, config.interval(source))
        self._config = config
        self._held_at.clear()
        self._waits_until.clear()
        self._around.rota.plan(config)
        self._around.keeper.plan(config)
        for ontology_id in self._sources:
            self._around.wake.ask(ontology_id, why)

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

    def _serve(self, ontology_id: str, why: str) -> None:
        """Run a pass, unless the source is no more, or has to wait."""
        source = self._sources.get(ontology_id)
        if source is None:
            return
        with structlog.contextvars.bound_contextvars(ontology_id=ontology_id):
            if self._waits(ontology_id):
                self._around.notify.ready()  # it is as ready as it gets
                return
            log.debug("pass asked for", why=why)
            self._around.notify.status(f"syncing {ontology_id}")
            self._around.observer.pass_begun(ontology_id, why)
            done = self._attempt(source)
            structlog.contextvars.unbind_contextvars("run_id", "commit")
            self._note(ontology_id, done)
            if done.summary is None or done.summary.run_id:
                give_back()

    def _attempt(self, source: SourceConfig) -> passes.Attempt:
        job = passes.job_of(self._config, source)
        try:
            database = self._store.open()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
            self._breakers(source.ontology_id).note(error, job.breaker, self._around.now())
            return passes.failed(error)
        self._around.notify.ready()
        services = Services(
            database,
            self._stop,
            Telling(source.ontology_id, self._around.observer, self._around.notify, self._stop),
            self._around.now,
            self._stop.sleep,
            self._around.meter_of(source.ontology_id),
        )
        job = replace(job, held_at=self._held_at.get(source.ontology_id))
        return passes.attempt(passes.source_of(self._config, source, self._state), job, services)

    def _note(self, ontology_id: str, done: passes.Attempt) -> None:
        """Remember and tell how a pass ended, and when the next one is due."""
        if isinstance(done.error, StoppedError):
            return  # that the daemon ends is no failure
        mark = done.error.mark if isinstance(done.error, HeldError) else None
        if mark is not None:
            self._held_at[ontology_id] = mark
        if done.summary is not None:
            self._held_at.pop(ontology_id, None)
            self._around.observer.pass_done(ontology_id, done.summary)
            self._around.receiver.seen(ontology_id, done.summary.branch)
            self._around.notify.status(f"waiting; {ontology_id} is at {done.summary.commit[:12]}")
        else:
            self._around.observer.pass_failed(ontology_id, done.reason, done.code, mark)
            self._around.notify.status(f"waiting; the last pass of {ontology_id} failed: {done.reason}")
        if done.code is ExitCode.DATABASE:
            self._store.close()  # what ails it may be the connection's; the next pass opens it anew
        if not self._waits(ontology_id):
            self._around.observer.next_due(ontology_id, self._around.rota.next_due(ontology_id))

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
            self._around.notify.status(f"waiting; a circuit breaker of {ontology_id} is open until {until.isoformat()}")
        return True

    def _breakers(self, ontology_id: str) -> Breakers:
        database = address(self._config.database, self._config.base)
        return Breakers(self._state, database.identity, ontology_id)
