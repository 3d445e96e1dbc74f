"""One pass of a configured source, as `--once` and the daemon alike run it: whatever it meets becomes a code."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import structlog

from visionflow_daemon.config.secrets import credentials, server_of
from visionflow_daemon.config.values import FOLLOW_WORKTREE, Config, SourceConfig
from visionflow_daemon.errors import ExitCode, HeldError, StillHeldError, StoppedError, VisionflowError
from visionflow_daemon.git import clone
from visionflow_daemon.git.credentials import Credentials
from visionflow_daemon.git.worktree import store
from visionflow_daemon.model import timestamp
from visionflow_daemon.storage import files
from visionflow_daemon.storage.database import Database
from visionflow_daemon.storage.migrate import Migration, open_migrated
from visionflow_daemon.storage.opening import address
from visionflow_daemon.sync import checked
from visionflow_daemon.sync.job import Job, Services
from visionflow_daemon.sync.retry import FailureClass, judge
from visionflow_daemon.sync.run import Summary
from visionflow_daemon.sync.source import Source, sync

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Attempt:
    """How a pass ended: its code, with a summary where it came to an end, else with the reason and the error."""

    code: ExitCode
    summary: Summary | None = None
    reason: str = ""
    error: Exception | None = None


def open_to_write(config: Config, to: int | None = None) -> tuple[Database, list[Migration]]:
    """Open the configured database to write it, with its schema up to date, or at a version.

    Gives what was applied for that. Raises what storage/migrate.py does, and ConfigError for a secret without a file.
    """
    return open_migrated(
        config.database,
        config.base,
        busy_timeout=config.sync.busy_timeout,
        to=to,
        server=server_of(config, os.environ),
    )


def job_of(config: Config, source: SourceConfig) -> Job:
    """Give the job that brings a source into its ontology."""
    return Job(
        ontology_id=source.ontology_id,
        include=source.include,
        exclude=source.exclude,
        reading=config.reading_rules(source),
        workers=config.workers(),
        queue=config.sync.queue,
        lock_timeout=config.sync.lock_timeout,
        mass_delete_share=config.sync.mass_delete_share,
        breaker=config.breaker,
        apart=config.reading.apart,
        rollout_percent=source.rollout_percent,
    )


def source_of(config: Config, source: SourceConfig, state: Path) -> Source:
    """Give the place where a source's commits come from; clones are under `state`."""

    def secrets() -> Credentials:
        return credentials(source, config.base, os.environ)

    return Source(
        source.location, source.branch, config.base, state, secrets, config.network, source.follow == FOLLOW_WORKTREE
    )


def place_of(config: Config, source: SourceConfig, state: Path) -> Path:
    """Give where a source can be read as it was synced, without asking its remote. Raises SourceError."""
    if source.follow == FOLLOW_WORKTREE:
        return store.place_of(state, address(config.database, config.base).identity, source.ontology_id)
    return clone.place_of(source.location, config.base, state)


def attempt(source: Source, job: Job, services: Services) -> Attempt:
    """Run a pass of a source, and log how it went."""
    try:
        summary = sync(source, job, services)
        if summary.run_id is not None:
            for iri, paths in files.declared_twice(services.database, summary.ontology_id):
                log.warning("class described by several files", class_iri=iri, paths=paths, used=paths[0])
    except Exception as error:  # noqa: BLE001 - `failed` logs it, with its traceback where it is a fault of ours
        return failed(error)
    _note_checked(source.state, services.database, summary)
    if not summary.is_whole:
        return Attempt(ExitCode.INTERNAL, summary)
    return Attempt(ExitCode.LEDGER if summary.ledger else ExitCode.OK, summary)


def failed(error: Exception) -> Attempt:
    """Log what ended a pass, and give the code that it means; to be called while the error is handled."""
    reason = str(error)
    match error:
        case StillHeldError():
            log.debug("pass still held", reason=reason)
        case HeldError():
            log.warning("pass held", reason=reason, exit_code=int(error.exit_code))
        case StoppedError():
            log.info("pass stopped", reason=reason)
        case VisionflowError():
            log.error("pass failed", reason=reason, exit_code=int(error.exit_code))
        case _:
            verdict = judge(error)
            reason = verdict.reason
            code = ExitCode.DATABASE if verdict.failure_class is FailureClass.SYSTEMIC else ExitCode.INTERNAL
            log.error("pass failed", reason=reason, exit_code=int(code), exc_info=error)
            return Attempt(code, reason=reason, error=error)
    return Attempt(error.exit_code, reason=reason, error=error)


def _note_checked(state: Path, database: Database, summary: Summary) -> None:
    now = timestamp(datetime.now(UTC))
    try:
        checked.note(state, database.address.identity, summary.ontology_id, checked.Checked(now, summary.commit))
    except OSError as error:
        log.warning("state directory not writable", directory=str(state), reason=str(error.strerror))
