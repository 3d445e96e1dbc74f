"""`visionflow-daemon --once`: one pass of each source, then leave with a code that says how it went."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from threading import Event

import structlog

from visionflow_daemon.cli import tables
from visionflow_daemon.cli.bar import Bar
from visionflow_daemon.config.secrets import server_of
from visionflow_daemon.config.values import Config
from visionflow_daemon.environment import state_directory
from visionflow_daemon.errors import ConfigError, ExitCode
from visionflow_daemon.git import repository
from visionflow_daemon.logs import LineSink
from visionflow_daemon.passes import attempt, job_of, source_of
from visionflow_daemon.storage import files
from visionflow_daemon.storage.database import Database
from visionflow_daemon.storage.migrate import open_migrated
from visionflow_daemon.sync.job import Job, Services
from visionflow_daemon.sync.progress import Unwatched
from visionflow_daemon.sync.run import Summary
from visionflow_daemon.sync.source import Source

log = structlog.get_logger()


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
    """Run one pass of every source; the gravest code wins. Raises VisionflowError when no source can be tried."""
    if not config.sources:
        raise ConfigError("no source: give --source URL-OR-PATH, or a --config file with a [[sources]] section")
    repository.configure(config.network)
    database, applied = open_migrated(
        config.database, config.base, busy_timeout=config.sync.busy_timeout, server=server_of(config, os.environ)
    )
    state = state_directory(os.environ)
    codes = []
    try:
        for migration in applied:
            log.info("migration applied", version=migration.version, name=migration.name)
        with _stop_on_signal() as stop:
            services = Services(database, stop, Bar(sink) if sys.stderr.isatty() else Unwatched())
            for source in config.sources:
                job = how.over(job_of(config, source))
                with structlog.contextvars.bound_contextvars(ontology_id=source.ontology_id):
                    codes.append(_one(source_of(config, source, state), job, services))
                    structlog.contextvars.unbind_contextvars("run_id", "commit")
    finally:
        database.close()
    return max(codes, key=_gravity)


def _one(source: Source, job: Job, services: Services) -> ExitCode:
    """Run the pass of one source, and say on standard error what it met."""
    done = attempt(source, job, services)
    if done.summary is None:
        tables.complain(done.reason)
        return done.code
    with suppress(OSError):  # a terminal that is gone unmakes no pass
        _report(services.database, done.summary)
    return done.code


def _report(database: Database, summary: Summary) -> None:
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
