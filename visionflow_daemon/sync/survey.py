"""Looks at what the repository and the database hold, for the plan: by commits where it may, else by tree and table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from visionflow_daemon.errors import ObjectError
from visionflow_daemon.formats.choose import reading_digest
from visionflow_daemon.git import changes
from visionflow_daemon.git.repository import Target, has_tree, objects_read, open_repository
from visionflow_daemon.model import TreeEntry, timestamp
from visionflow_daemon.storage import files, ledger
from visionflow_daemon.storage.checkpoint import Checkpoint
from visionflow_daemon.sync import plan
from visionflow_daemon.sync.job import Job, Services, selection, selection_digest
from visionflow_daemon.sync.plan import Plan, Way

MOST_BY_DIFF = 20_000
"""Files of a plan by diff; beyond, the tree is laid beside the table, and nobody holds the plan as a whole."""


def make_plan(job: Job, services: Services, target: Target, held: Checkpoint | None, digest: str) -> Plan:
    """Plan a pass: by the diff of two commits where the checkpoint allows it, else by tree against table."""
    known = None
    since = held.treeish if held is not None else None
    if held is not None and since is not None:
        present = has_tree(target.repository, since)
        known = plan.Known(since, held.digest, held.is_clean, present, _why_other(job, held))
    way, reason = plan.choose_way(known, digest, full=job.full)
    now = timestamp(services.now())
    if way is Way.DIFF and since is not None:
        try:
            changed = _changed(job, target, since)
        except ObjectError:  # collected as garbage in part: a commit that is gone may have left its id
            reason = f"the checkpoint {since[:12]} is no longer whole in the repository"
        else:
            if len(changed) <= MOST_BY_DIFF:
                due = _due(job, services, target, now)
                return plan.from_diff(reason, changed, due)
            reason = f"more than {MOST_BY_DIFF:,} files changed since {since[:12]}"

    def pairs() -> plan.Pairs:
        return plan.beside(_tree(job, target), files.known_files(services.database, job.ontology_id, services.asked))

    return plan.from_tree(reason, pairs, reading_digest(job.reading), now, full=job.full)


def _why_other(job: Job, held: Checkpoint) -> str:
    """Say why a checkpoint's digest is another one: where nothing else changed, because of the rollout."""
    before = replace(job, rollout_percent=held.rollout_percent)
    if before != job and selection_digest(before) == held.digest:
        return f"the rollout went from {held.rollout_percent:g} % to {job.rollout_percent:g} %"
    return plan.OTHER_DIGEST


def _changed(job: Job, target: Target, since: str) -> list[tuple[bytes, TreeEntry | None]]:
    """Give what changed since a commit or tree; of more than MOST_BY_DIFF files, one more than that.

    Raises ObjectError where one of the two can't be read.
    """
    if since == target.treeish:  # libgit2 would read both trees to see that they are the same
        return []
    repository = open_repository(target.repository)
    try:
        selects = selection(job)
        with objects_read():
            return list(islice(changes.diff(repository, since, target.treeish, selects), MOST_BY_DIFF + 1))
    finally:
        repository.free()


def _due(job: Job, services: Services, target: Target, now: str) -> list[tuple[bytes, TreeEntry | None]]:
    """Give the files of the ledger whose next attempt is due, as they are in the target."""
    due = ledger.due_paths(services.database, job.ontology_id, now)
    if not due:
        return []
    repository = open_repository(target.repository)
    try:
        return [(path, changes.find(repository, target.treeish, path)) for path in due]
    finally:
        repository.free()


def _tree(job: Job, target: Target) -> Iterator[TreeEntry]:
    """Walk the selected files of the target, with a handle of its own."""
    repository = open_repository(target.repository)
    try:
        yield from changes.walk(repository, target.treeish, selection(job))
    finally:
        repository.free()
