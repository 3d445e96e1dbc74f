"""Keeps a rollout from going back by mistake: files that are live would go, with all that they said."""

from __future__ import annotations

from collections.abc import Iterator

from visionflow_daemon.errors import ConfigError
from visionflow_daemon.storage import files
from visionflow_daemon.storage.checkpoint import Checkpoint
from visionflow_daemon.storage.database import Database
from visionflow_daemon.storage.losses import lost_classes
from visionflow_daemon.sync.job import Job, selection


def refuse_lower(job: Job, database: Database, held: Checkpoint | None) -> None:
    """Raise ConfigError where a job would take files back that are live, and was not told to."""
    if held is None or job.rollout_percent >= held.rollout_percent or job.allow_lower_rollout:
        return
    selects = selection(job)
    going = 0

    def gone() -> Iterator[bytes]:
        nonlocal going
        for file in files.known_files(database, job.ontology_id):
            if not selects(file.path):
                going += 1
                yield file.path

    lost, declared = lost_classes(database, job.ontology_id, gone())
    raise ConfigError(
        f"rollout_percent is {job.rollout_percent:g}, and {held.rollout_percent:g} is in force in ontology "
        f"{job.ontology_id!r}: {going:,} files would go, and {lost:,} of {declared:,} classes be declared by no file. "
        "If that is meant, run once with --allow-lower-rollout, while no daemon runs; else raise it again"
    )
