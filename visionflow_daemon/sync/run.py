"""One pass of one source: plan, apply, finish."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime

import peewee
import structlog

from visionflow_daemon.errors import ConfigError, CorruptError, HeldError, StillHeldError, StoppedError
from visionflow_daemon.git.repository import Target, has_commit
from visionflow_daemon.model import timestamp
from visionflow_daemon.storage import checkpoint, ledger
from visionflow_daemon.storage.checkpoint import Checkpoint, Run, Tally
from visionflow_daemon.storage.hold import held_by_us
from visionflow_daemon.storage.trouble import told
from visionflow_daemon.sync import forget, rollout
from visionflow_daemon.sync.carry_out import carry_out
from visionflow_daemon.sync.job import Job, Services, selection_digest
from visionflow_daemon.sync.plan import Plan
from visionflow_daemon.sync.progress import Progress
from visionflow_daemon.sync.retry import FailureClass, judge, persistently
from visionflow_daemon.sync.survey import make_plan

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Summary:
    """How a pass went. `run_id` is None when there was nothing to do, `is_whole` false when it was stopped.

    `from_commit` is that of the checkpoint before it; None before the first, and where there was nothing to do.
    """

    ontology_id: str
    source: str
    branch: str
    commit: str
    plan: Plan
    tally: Tally
    warnings: int
    seconds: float
    ledger: int
    run_id: str | None
    is_whole: bool
    from_commit: str | None = None


def run_pass(job: Job, services: Services, find_target: Callable[[], Target]) -> Summary:
    """Bring an ontology to the commit that `find_target` gives.

    Raises LockedError when another pass holds the ontology, what `find_target` raises, ConfigError when the ontology
    belongs to another source or live files would be taken back, SystemicError when the pass had to stop, and HeldError
    when its deletions are held: what was saved stays saved, and StillHeldError when the job says that they were held
    before. What happens to the database is raised in words (storage/trouble.py).
    """
    started = time.monotonic()
    structlog.contextvars.unbind_contextvars("run_id", "commit")  # of a pass before this one
    with (
        told(services.database.name),
        held_by_us(services.database, job.ontology_id, job.lock_timeout, services.sleep) as database,
    ):
        services = replace(services, database=database)
        forget.finish(services, job.ontology_id)
        target = find_target()
        structlog.contextvars.bind_contextvars(commit=target.commit)
        held = checkpoint.load(services.database, job.ontology_id)
        _refuse_other_source(job, held, target)
        rollout.refuse_lower(job, services.database, held)
        digest = selection_digest(job)
        is_there = held == _reached(job, target, digest)
        services.watcher.found(target.commit, is_there=is_there)
        planned = make_plan(job, services, target, held, digest)
        if not planned.size and is_there:
            return _summary(job, services, target, planned, started)
        mark = f"{target.source} {target.branch} {target.treeish} {digest}"
        if mark == job.held_at and not planned.to_save:
            raise _marked(StillHeldError("the deletions are held still: no other commit has come"), mark)
        is_careful = checkpoint.was_cut_off(services.database, job.ontology_id)
        run = _begin(job, services, target, held, planned)
        try:
            return _apply_and_finish(job, services, target, planned, run, started, digest, is_careful=is_careful)
        except HeldError as error:
            raise _marked(error, mark) from None


def _marked(error: HeldError, mark: str) -> HeldError:
    error.mark = mark
    return error


def _refuse_other_source(job: Job, held: Checkpoint | None, target: Target) -> None:
    """Keep one source from replacing another's facts by mistake; the same history at a new place is no other source."""
    if held is None or held.source == target.source or job.replace_source:
        return
    if held.commit is not None and has_commit(target.repository, held.commit):
        return
    raise ConfigError(
        f"ontology {job.ontology_id!r} is fed by {held.source}, and {target.source} does not hold its last commit "
        f"{(held.commit or 'none')[:12]}: give the new source another --ontology-id, or --replace-source to replace "
        "all facts of the old one"
    )


def _reached(job: Job, target: Target, digest: str) -> Checkpoint:
    return Checkpoint(
        target.source,
        target.branch,
        target.commit,
        digest,
        is_clean=True,
        overlay=target.overlay,
        rollout_percent=job.rollout_percent,
    )


def _begin(job: Job, services: Services, target: Target, held: Checkpoint | None, planned: Plan) -> Run:
    run = Run(
        _run_id(services.now()),
        held.commit if held else None,
        target.commit,
        planned.way.value,
        planned.reason,
        planned.size,
        job.rollout_percent,
    )
    structlog.contextvars.bind_contextvars(run_id=run.run_id)
    now = timestamp(services.now())
    persistently(
        lambda: checkpoint.begin(services.database, job.ontology_id, target.source, target.branch, run, now),
        services.sleep,
        services.meter.record,
        services.database.patience,
    )
    log.info(
        "pass started",
        source=target.source,
        branch=target.branch,
        plan=planned.way.value,
        plan_reason=planned.reason,
        overlay=target.overlay,
        to_save=planned.to_save,
        to_delete=planned.to_delete,
    )
    return run


def _run_id(now: datetime) -> str:
    """Make an id that sorts by the time of its making, and is nobody else's."""
    return f"{int(now.timestamp() * 1_000_000):014x}{uuid.uuid4().hex[:18]}"


def _apply_and_finish(
    job: Job,
    services: Services,
    target: Target,
    planned: Plan,
    run: Run,
    started: float,
    digest: str,
    *,
    is_careful: bool,
) -> Summary:
    database = services.database

    def write(tally: Tally) -> None:
        try:
            checkpoint.progress(database, job.ontology_id, run.run_id, tally, timestamp(services.now()))
        except peewee.DatabaseError as error:
            # A figure to look at is not worth a pass that may get through; what lasts, the next save meets, too.
            if judge(error).failure_class is not FailureClass.TRANSIENT:
                raise

    progress = Progress(services.watcher, write, time.monotonic)
    with suppress(OSError):  # a terminal that is gone ends no pass
        services.watcher.started(planned.size)
    try:
        with told(database.name):
            is_whole = carry_out(planned, job, services, target, progress, is_careful=is_careful)
    except BaseException as error:
        if not isinstance(error, CorruptError):  # nothing more is written into a damaged file
            _abandon(job, services, run, _status_after(error), progress.tally, str(error))
        raise
    finally:
        with suppress(OSError):
            services.watcher.ended()
    now = timestamp(services.now())
    if is_whole:
        reached = _reached(job, target, digest)
        persistently(
            lambda: checkpoint.finish(database, job.ontology_id, reached, run, progress.tally, now),
            services.sleep,
            services.meter.record,
            database.patience,
        )
        database.settle()
    else:
        _abandon(job, services, run, "stopped", progress.tally, None)
    return _summary(job, services, target, planned, started, run, progress, is_whole=is_whole)


def _status_after(error: BaseException) -> str:
    match error:
        case HeldError():
            return "held"
        case StoppedError():
            return "stopped"
        case _:
            return "failed"


def _abandon(job: Job, services: Services, run: Run, status: str, tally: Tally, error: str | None) -> None:
    """Close the run's row, if the database still takes it; if not, the next pass marks it as cut off."""
    try:
        now = timestamp(services.now())
        checkpoint.abandon(services.database, job.ontology_id, run.run_id, status, tally, error, now)
    except Exception as failure:  # noqa: BLE001 - the first failure is the one to report
        log.warning("run row not closed", reason=str(failure))


def _summary(
    job: Job,
    services: Services,
    target: Target,
    planned: Plan,
    started: float,
    run: Run | None = None,
    progress: Progress | None = None,
    *,
    is_whole: bool = True,
) -> Summary:
    summary = Summary(
        ontology_id=job.ontology_id,
        source=target.source,
        branch=target.branch,
        commit=target.commit,
        plan=planned,
        tally=progress.tally if progress else Tally(),
        warnings=progress.warnings if progress else 0,
        seconds=time.monotonic() - started,
        ledger=ledger.size(services.database, job.ontology_id),
        run_id=run.run_id if run else None,
        is_whole=is_whole,
        from_commit=run.from_commit if run else None,
    )
    log.info(
        "pass finished" if run else "nothing to do",
        plan=planned.way.value,
        plan_reason=planned.reason,
        overlay=target.overlay,
        saved=summary.tally.saved,
        skipped=summary.tally.skipped,
        failed=summary.tally.failed,
        deleted=summary.tally.deleted,
        warnings=summary.warnings,
        ledger=summary.ledger,
        seconds=round(summary.seconds, 3),
        is_whole=is_whole,
    )
    return summary
