"""Carries a plan out: adds and changes first, in many threads, then the deletions."""

from __future__ import annotations

from contextlib import nullcontext

from visionflow_daemon.formats.choose import reading_digest
from visionflow_daemon.git.damage import Doubt
from visionflow_daemon.git.repository import Target
from visionflow_daemon.model import timestamp
from visionflow_daemon.storage.writer import Writer
from visionflow_daemon.sync import guard
from visionflow_daemon.sync.apply import Applier
from visionflow_daemon.sync.failing import Failing
from visionflow_daemon.sync.job import Job, Services
from visionflow_daemon.sync.plan import Plan
from visionflow_daemon.sync.pool import Pool
from visionflow_daemon.sync.progress import Outcome, Progress
from visionflow_daemon.sync.reader import Reader
from visionflow_daemon.sync.turn import Turn


def carry_out(
    planned: Plan, job: Job, services: Services, target: Target, progress: Progress, *, is_careful: bool
) -> bool:
    """Save what is to be saved, then delete what is to be deleted; tell whether that was all, or a stop came first.

    `is_careful`: each page is read in a process of its own, since one of them may have ended the last pass.
    Raises HeldError where the deletions look like a mistake, SystemicError where the pass has to stop.
    """
    writer = Writer(services.database, job.ontology_id, lambda: timestamp(services.now()))
    digest = reading_digest(job.reading)
    turn = Turn() if services.database.takes_turns else None
    sleep = turn.left_for(services.sleep) if turn else services.sleep
    doubt = Doubt(target.repository, target.commit).settle if target.is_clone else _no_doubt
    failing = Failing(job.breaker, planned.size)

    def report(outcome: Outcome) -> None:
        progress.add(outcome)
        failing.add(outcome)

    def open_reader() -> Reader:
        return Reader(
            target.repository,
            job.reading,
            job.apart,
            unread=target.unread,
            is_careful=is_careful,
            stop=services.stop,
            away=turn.away if turn else nullcontext,
        )

    applier = Applier(open_reader, writer, digest, doubt, report, sleep, services.now, services.meter)
    workers = min(job.workers, max(planned.size, 1))
    savers = Pool(workers, job.queue, applier.saver, turn)
    with services.meter.watching(savers.load):
        is_whole = savers.run(planned.saves, services.stop, progress.tick)
    if is_whole and planned.to_delete:
        guard.check(job, services, planned)
        deleters = Pool(1, job.queue, applier.deleter, turn)
        with services.meter.watching(deleters.load):
            is_whole = deleters.run(planned.deletes, services.stop, progress.tick)
    progress.tick()
    return is_whole


def _no_doubt() -> None:
    """A repository of somebody else's is read as it is."""
