"""`visionflow-daemon --once`: one pass of each source, then leave with a code that says how it went."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from threading import Event

import structlog

from visionflow_daemon.cli import tables
from visionflow_daemon.cli.bar import Bar, Screen
from visionflow_daemon.cli.side_by_side import side_by_side
from visionflow_daemon.config.values import Config, SourceConfig
from visionflow_daemon.environment import state_directory
from visionflow_daemon.errors import ConfigError, ExitCode, StoppedError
from visionflow_daemon.git import repository
from visionflow_daemon.logs import LineSink
from visionflow_daemon.passes import Attempt, attempt, job_of, open_to_write, source_of
from visionflow_daemon.storage import files
from visionflow_daemon.storage.database import Database
from visionflow_daemon.storage.migrate import Migration
from visionflow_daemon.storage.opening import address
from visionflow_daemon.sync.fetches import Fetches
from visionflow_daemon.sync.job import Job, Services
from visionflow_daemon.sync.pool import Pool
from visionflow_daemon.sync.progress import Unwatched
from visionflow_daemon.sync.retry import persistently
from visionflow_daemon.sync.run import Summary

log = structlog.get_logger()

OPENING_SECONDS = 5.0
"""For how long a server that does not answer at all is asked: its address may be wrong."""


@dataclass(frozen=True, slots=True)
class How:
    """What the command line says of one pass beside the configuration."""

    full: bool
    replace_source: bool
    allow_mass_delete: bool
    allow_lower_rollout: bool

    def over(self, job: Job) -> Job:
        """Lay it over a job."""
        job = replace(
            job, full=self.full, replace_source=self.replace_source, allow_lower_rollout=self.allow_lower_rollout
        )
        return replace(job, mass_delete_share=1.0) if self.allow_mass_delete or self.replace_source else job


def run(config: Config, sink: LineSink, how: How) -> ExitCode:
    """Run one pass of every source, side by side; the gravest code wins.

    Raises VisionflowError when no source can be tried.
    """
    if not config.sources:
        raise ConfigError("no source: give --source URL-OR-PATH, or a --config file with a [[sources]] section")
    repository.configure(config.network)
    with _stop_on_signal() as stop:
        database, applied = _opened(config, stop)
        try:
            for migration in applied:
                log.info("migration applied", version=migration.version, name=migration.name)
            done = _run_all(config, database, sink, how, stop)
            is_one = len(config.sources) == 1
            for source, each in zip(config.sources, done, strict=True):
                _tell(database, each, "" if is_one else source.ontology_id)
        finally:
            database.close()
    return max((each.code for each in done), key=_gravity)


def _opened(config: Config, stop: Event) -> tuple[Database, list[Migration]]:
    """Open the database; a server that is away for a moment, as while it restarts, is asked again.

    A file is, too: while another process makes it, SQLite does not always wait for a lock.
    """

    def opened() -> tuple[Database, list[Migration]]:
        return open_to_write(config, is_over=stop.is_set)

    is_file = address(config.database, config.base).path is not None
    patience = 0.0 if is_file else min(OPENING_SECONDS, config.postgresql.patience)
    return persistently(opened, partial(_sleep, stop), patience=patience)


def _sleep(stop: Event, seconds: float) -> None:
    if stop.wait(seconds):
        raise StoppedError("stopped while something was waited for")


def _run_all(config: Config, database: Database, sink: LineSink, how: How, stop: Event) -> list[Attempt]:
    """Run the passes, and give how they ended, in the order of the sources."""
    state = state_directory(os.environ)
    screen = Screen(sink) if sys.stderr.isatty() else None
    fetches = Fetches()

    def run_one(source: SourceConfig) -> Attempt:
        name = f" {source.ontology_id}" if len(config.sources) > 1 else ""
        watcher = Bar(screen, f"syncing{name}") if screen else Unwatched()
        services = Services(database, stop, watcher, sleep=partial(_sleep, stop), pool=pool, fetches=fetches)
        with structlog.contextvars.bound_contextvars(ontology_id=source.ontology_id):
            try:
                return attempt(source_of(config, source, state), how.over(job_of(config, source)), services)
            finally:
                structlog.contextvars.unbind_contextvars("run_id", "commit")
                if threading.current_thread() is not threading.main_thread():
                    database.close()

    with Pool(config.workers(), database.at_once) as pool:
        return side_by_side([partial(run_one, source) for source in config.sources])


def _tell(database: Database, done: Attempt, ontology_id: str) -> None:
    """Say on standard error what a pass met, or did; with the ontology, where there are several."""
    if done.summary is None:
        tables.complain(f"{ontology_id}: {done.reason}" if ontology_id else done.reason)
        return
    with suppress(OSError):  # a terminal that is gone unmakes no pass
        _report(database, done.summary, ontology_id)


def _report(database: Database, summary: Summary, ontology_id: str) -> None:
    """Say what the pass did and what the ontology holds: the short table, on a terminal."""
    if not sys.stderr.isatty():
        return
    if summary.run_id is None:
        done = f"nothing to do: {summary.ontology_id!r} is at {summary.commit[:12]} of {summary.branch} already"
        tables.echo([(done,)], err=True)
        return
    held = files.totals(database, summary.ontology_id)
    tally = summary.tally
    tables.echo(
        [
            *([("ontology", ontology_id, "")] if ontology_id else []),
            ("commit", summary.commit[:12], f"{summary.branch}, planned by {summary.plan.way}: {summary.plan.reason}"),
            ("saved", tally.saved, f"{tally.saved / max(summary.seconds, 0.001):,.0f} files/s"),
            ("skipped", tally.skipped, "no ontology in them"),
            ("deleted", tally.deleted, ""),
            ("failed", tally.failed, f"{summary.ledger} in the ledger: see `visionflow-daemon failures`"),
            ("warnings", summary.warnings, "statements left out or mended"),
            ("classes", held.classes, f"and {held.undeclared_classes:,} named as parents, declared by no file"),
            ("parents", held.parents, ""),
            ("properties", held.properties, ""),
            ("axioms", held.axioms, ""),
        ],
        err=True,
    )


@contextmanager
def _stop_on_signal() -> Iterator[Event]:
    """Turn SIGTERM and the first SIGINT into a stop between two files; a second SIGINT ends the process at once."""
    stop = Event()

    def ask(number: int, _: object) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _gravity(code: ExitCode) -> int:
    """Order codes by how much they need an operator: a full ledger is the least of troubles."""
    order = (
        ExitCode.OK,
        ExitCode.LEDGER,
        ExitCode.HELD,
        ExitCode.REMOTE,
        ExitCode.USAGE,
        ExitCode.DATABASE,
        ExitCode.INTERNAL,
    )
    return order.index(code)
