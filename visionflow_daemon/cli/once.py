"""`visionflow-daemon --once`: one pass of each source, then leave with a code that says how it went."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import structlog

from visionflow_daemon import config as configuration
from visionflow_daemon.cli import tables
from visionflow_daemon.cli.bar import Bar
from visionflow_daemon.cli.jobs import job_of
from visionflow_daemon.config import Config, SourceConfig
from visionflow_daemon.errors import ConfigError, ExitCode, HeldError, VisionflowError
from visionflow_daemon.git import repository
from visionflow_daemon.git.credentials import Credentials
from visionflow_daemon.logs import LineSink
from visionflow_daemon.model import timestamp
from visionflow_daemon.storage import files
from visionflow_daemon.storage.database import Database
from visionflow_daemon.storage.migrate import open_migrated
from visionflow_daemon.sync import checked
from visionflow_daemon.sync.job import Job, Services
from visionflow_daemon.sync.progress import Unwatched
from visionflow_daemon.sync.retry import FailureClass, judge
from visionflow_daemon.sync.run import Summary
from visionflow_daemon.sync.source import Source, sync

log = structlog.get_logger()


def run(config: Config, sink: LineSink, *, full: bool, replace_source: bool, allow_mass_delete: bool) -> ExitCode:
    """Run one pass of every source; the gravest code wins. Raises VisionflowError when no source can be tried."""
    if not config.sources:
        raise ConfigError("no source: give --source URL-OR-PATH, or a --config file with a [[sources]] section")
    repository.configure(config.network)
    database, applied = open_migrated(config.database, config.base, busy_timeout=config.sync.busy_timeout)
    state = configuration.state_directory(os.environ)
    codes = []
    try:
        for migration in applied:
            log.info("migration applied", version=migration.version, name=migration.name)
        with _stop_on_signal() as stop:
            services = Services(database, stop, Bar(sink) if sys.stderr.isatty() else Unwatched())
            for source in config.sources:
                job = replace(job_of(config, source), full=full, replace_source=replace_source)
                if allow_mass_delete or replace_source:
                    job = replace(job, mass_delete_share=1.0)
                with structlog.contextvars.bound_contextvars(ontology_id=source.ontology_id):
                    codes.append(_one(config, source, job, services, state))
                    structlog.contextvars.unbind_contextvars("run_id", "commit")
    finally:
        database.close()
    return max(codes, key=_gravity)


def _one(config: Config, source: SourceConfig, job: Job, services: Services, state: Path) -> ExitCode:
    """Run the pass of one source; whatever it meets becomes a message and a code."""
    try:
        summary = sync(_source_of(config, source, state), job, services)
    except HeldError as error:
        log.warning("pass held", reason=str(error), exit_code=int(error.exit_code))
        tables.complain(str(error))
        return error.exit_code
    except VisionflowError as error:
        log.error("pass failed", reason=str(error), exit_code=int(error.exit_code))  # noqa: TRY400 - no traceback: the message says it
        tables.complain(str(error))
        return error.exit_code
    except Exception as error:
        verdict = judge(error)
        code = ExitCode.DATABASE if verdict.failure_class is FailureClass.SYSTEMIC else ExitCode.INTERNAL
        log.exception("pass failed", reason=verdict.reason, exit_code=int(code))
        tables.complain(verdict.reason)
        return code
    _note_checked(state, services.database, summary)
    with suppress(OSError):  # a terminal that is gone unmakes no pass
        _report(services.database, summary)
    if not summary.is_whole:
        return ExitCode.INTERNAL
    return ExitCode.LEDGER if summary.ledger else ExitCode.OK


def _source_of(config: Config, source: SourceConfig, state: Path) -> Source:
    def secrets() -> Credentials:
        return configuration.credentials(source, config.base, os.environ)

    return Source(source.location, source.branch, config.base, state, secrets, config.network)


def _note_checked(state: Path, database: Database, summary: Summary) -> None:
    now = timestamp(datetime.now(UTC))
    try:
        checked.note(state, database.path, summary.ontology_id, checked.Checked(now, summary.commit))
    except OSError as error:
        log.warning("state directory not writable", directory=str(state), reason=str(error.strerror))


def _report(database: Database, summary: Summary) -> None:
    """Say what the pass did and what the ontology holds: the short table, on a terminal, and classes told twice."""
    if summary.run_id is not None:
        for iri, paths in files.declared_twice(database, summary.ontology_id):
            log.warning("class described by several files", class_iri=iri, paths=paths, used=paths[0])
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
