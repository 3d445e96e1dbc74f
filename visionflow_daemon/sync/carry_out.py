"""Carries a plan out, in the lane that a pass has in the pool: adds and changes first, then the deletions."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from typing import TypeVar

from visionflow_daemon.formats.choose import reading_digest
from visionflow_daemon.git.damage import Doubt
from visionflow_daemon.git.repository import Target
from visionflow_daemon.model import timestamp
from visionflow_daemon.storage.writer import Writer
from visionflow_daemon.sync import guard
from visionflow_daemon.sync.apply import Applier
from visionflow_daemon.sync.failing import Failing
from visionflow_daemon.sync.job import Job, Services
from visionflow_daemon.sync.lane import MakeHandler
from visionflow_daemon.sync.plan import Plan
from visionflow_daemon.sync.pool import Pool
from visionflow_daemon.sync.progress import Outcome, Progress
from visionflow_daemon.sync.reader import Reader

Task = TypeVar("Task")


def carry_out(
    planned: Plan, job: Job, services: Services, target: Target, progress: Progress, *, is_careful: bool
) -> bool:
    """Save what is to be saved, then delete what is to be deleted; tell whether that was all, or a stop came first.

    `is_careful`: each page is read in a process of its own, since one of them may have ended the last pass.
    Raises HeldError where the deletions look like a mistake, SystemicError where the pass has to stop.
    """
    writer = Writer(services.database, job.ontology_id, lambda: timestamp(services.now()))
    digest = reading_digest(job.reading)
    doubt = Doubt(target.repository, target.commit).settle if target.is_clone else _no_doubt
    failing = Failing(job.breaker, planned.size)

    def report(outcome: Outcome) -> None:
        progress.add(outcome)
        failing.add(outcome)

    with ExitStack() as held:
        pool = services.pool or held.enter_context(Pool(job.workers, services.database.at_once))

        def open_reader() -> Reader:
            return Reader(
                target.repository,
                job.reading,
                job.apart,
                unread=target.unread,
                is_careful=is_careful,
                stop=services.stop,
                away=pool.away,
            )

        def run(make_handler: MakeHandler[Task], tasks: Iterable[Task], width: int) -> bool:
            lane = pool.lane(make_handler, job.queue, width)

            def tick() -> None:
                if lane.waits_for_others:
                    services.watcher.waits()
                progress.tick()

            with services.meter.watching(lane.load):
                return lane.run(tasks, services.stop, tick)

        sleep = pool.left_for(services.sleep)
        applier = Applier(open_reader, writer, digest, doubt, report, sleep, services.now, services.meter)
        is_whole = run(applier.saver, planned.saves, min(job.workers, max(planned.size, 1)))
        if is_whole and planned.to_delete:
            guard.check(job, services, planned)
            is_whole = run(applier.deleter, planned.deletes, 1)
    progress.tick()
    return is_whole


def _no_doubt() -> None:
    """A repository of somebody else's is read as it is."""
