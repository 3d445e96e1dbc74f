"""The checkpoint and the record of passes: what is known to be whole in the database."""

from __future__ import annotations

from dataclasses import dataclass

from visionflow_daemon.errors import LostError
from visionflow_daemon.storage.database import Database

KEPT_RUNS = 1_000
"""How many passes are remembered for each ontology."""

FORGOTTEN = "forgotten"
"""What stands in place of a checkpoint's digest while the ontology is removed (storage/forget.py)."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far an ontology is synced. `is_clean` is false while a pass runs, and after one was cut off.

    `overlay` is the id of the tree that files on disk made, laid over the commit's; None where none differed.
    `rollout_percent` is the share of the paths of which files may be live.
    """

    source: str
    branch: str
    commit: str | None
    digest: str | None
    is_clean: bool
    overlay: str | None = None
    rollout_percent: float = 100.0

    @property
    def treeish(self) -> str | None:
        """What names the tree that is synced: the overlay, or else the commit; None before a pass is through."""
        return self.overlay or self.commit

    @property
    def is_forgotten(self) -> bool:
        """Whether the ontology is being removed, or its removal was cut off."""
        return self.digest == FORGOTTEN


@dataclass(frozen=True, slots=True)
class Run:
    """One pass that has something to do."""

    run_id: str
    from_commit: str | None
    to_commit: str
    plan: str
    plan_reason: str
    planned: int
    rollout_percent: float = 100.0


@dataclass(frozen=True, slots=True)
class Tally:
    """How many files a pass has saved, skipped, failed and deleted so far."""

    saved: int = 0
    skipped: int = 0
    failed: int = 0
    deleted: int = 0

    @property
    def done(self) -> int:
        """All files dealt with."""
        return self.saved + self.skipped + self.failed + self.deleted


@dataclass(frozen=True, slots=True)
class LastRun:
    """One pass that had something to do, as its row tells it."""

    run_id: str
    status: str
    started_at: str
    progress_at: str
    finished_at: str | None
    plan: str
    plan_reason: str
    planned: int
    saved: int
    skipped: int
    failed: int
    deleted: int
    error: str | None


def last_run(database: Database, ontology_id: str) -> LastRun | None:
    """Give the newest pass of an ontology."""
    return next(iter(recent_runs(database, ontology_id, 1)), None)


def recent_runs(database: Database, ontology_id: str, limit: int) -> list[LastRun]:
    """Give the newest passes of an ontology that had something to do, the newest first."""
    found = database.rows(
        "SELECT run_id, status, started_at, progress_at, finished_at, plan, plan_reason, planned, saved, skipped,"
        " failed, deleted, error FROM sync_runs WHERE ontology_id = ? ORDER BY started_at DESC, run_id DESC LIMIT ?",
        (ontology_id, limit),
    )
    return [LastRun(*row) for row in found]


def knows_run(database: Database, ontology_id: str, run_id: str) -> bool:
    """Tell whether a pass was one of this database's."""
    found = database.row("SELECT 1 FROM sync_runs WHERE ontology_id = ? AND run_id = ?", (ontology_id, run_id))
    return found is not None


def load(database: Database, ontology_id: str) -> Checkpoint | None:
    """Give the checkpoint of an ontology; None before its first pass."""
    row = database.row(
        "SELECT source, branch, commit_sha, digest, is_clean, overlay, rollout_percent FROM checkpoints"
        " WHERE ontology_id = ?",
        (ontology_id,),
    )
    if row is None:
        return None
    source, branch, commit, digest, is_clean, overlay, rollout_percent = row
    return Checkpoint(source, branch, commit, digest, bool(is_clean), overlay, rollout_percent)


def sources(database: Database) -> dict[str, str]:
    """Name the source of each ontology, as it was at its last pass."""
    return dict(database.rows("SELECT ontology_id, source FROM checkpoints"))


def was_cut_off(database: Database, ontology_id: str) -> bool:
    """Tell whether a pass ended without closing its row, as one does whose process is killed, or crashes."""
    return (
        database.row("SELECT 1 FROM sync_runs WHERE ontology_id = ? AND status = 'running' LIMIT 1", (ontology_id,))
        is not None
    )


def begin(database: Database, ontology_id: str, source: str, branch: str, run: Run, now: str) -> None:
    """Record that a pass starts: from here on, until `finish`, the checkpoint alone proves nothing.

    Files may be live of the larger share until then, the one before or the one to come. It may be recorded twice: who
    loses the connection at the commit can't know whether it came through.
    """
    with database.transaction():
        database.begin_pass(ontology_id, run.run_id)
        database.run(
            "UPDATE sync_runs SET status = 'cut off', finished_at = progress_at"
            " WHERE ontology_id = ? AND status = 'running' AND run_id <> ?",
            (ontology_id, run.run_id),
        )
        database.run(
            "INSERT INTO checkpoints (ontology_id, source, branch, is_clean, saved_at, rollout_percent)"
            " VALUES (?, ?, ?, 0, ?, ?) ON CONFLICT (ontology_id)"
            " DO UPDATE SET is_clean = 0, rollout_percent ="
            " CASE WHEN excluded.rollout_percent > checkpoints.rollout_percent THEN excluded.rollout_percent"
            " ELSE checkpoints.rollout_percent END",
            (ontology_id, source, branch, now, run.rollout_percent),
        )
        database.run(
            "INSERT INTO sync_runs (ontology_id, run_id, status, started_at, progress_at, from_commit, to_commit, plan,"
            " plan_reason, planned) VALUES (?, ?, 'running', ?, ?, ?, ?, ?, ?, ?)"
            " ON CONFLICT (ontology_id, run_id) DO NOTHING",
            (
                ontology_id,
                run.run_id,
                now,
                now,
                run.from_commit,
                run.to_commit,
                run.plan,
                run.plan_reason,
                run.planned,
            ),
        )


def progress(database: Database, ontology_id: str, run_id: str, tally: Tally, now: str) -> None:
    """Write how far a running pass has come."""
    with database.transaction():
        database.run(
            "UPDATE sync_runs SET progress_at = ?, saved = ?, skipped = ?, failed = ?, deleted = ?"
            " WHERE ontology_id = ? AND run_id = ?",
            (now, tally.saved, tally.skipped, tally.failed, tally.deleted, ontology_id, run_id),
        )


def finish(database: Database, ontology_id: str, checkpoint: Checkpoint, run: Run, tally: Tally, now: str) -> None:
    """Set the checkpoint and close the run, in one transaction: every file of the commit is dealt with.

    Raises LostError where a crash of the database's server may have undone what the pass has saved.
    """
    with database.transaction():
        if not database.has_pass(ontology_id, run.run_id):
            raise LostError(
                f"the server of {database.name} crashed under the pass, and may have lost what was saved last"
            )
        database.run(
            "UPDATE checkpoints SET source = ?, branch = ?, commit_sha = ?, digest = ?, overlay = ?, is_clean = 1,"
            " rollout_percent = ?, saved_at = ? WHERE ontology_id = ?",
            (
                checkpoint.source,
                checkpoint.branch,
                checkpoint.commit,
                checkpoint.digest,
                checkpoint.overlay,
                checkpoint.rollout_percent,
                now,
                ontology_id,
            ),
        )
        _close(database, ontology_id, run.run_id, "finished", tally, None, now)
        database.run(
            "DELETE FROM sync_runs WHERE ontology_id = ? AND started_at < (SELECT started_at FROM sync_runs"
            " WHERE ontology_id = ? ORDER BY started_at DESC, run_id DESC LIMIT 1 OFFSET ?)",
            (ontology_id, ontology_id, KEPT_RUNS - 1),
        )


def abandon(
    database: Database, ontology_id: str, run_id: str, status: str, tally: Tally, error: str | None, now: str
) -> None:
    """Close the run of a pass that did not come through ('stopped', 'held' or 'failed'); the checkpoint stays."""
    with database.transaction():
        _close(database, ontology_id, run_id, status, tally, error, now)


def _close(
    database: Database, ontology_id: str, run_id: str, status: str, tally: Tally, error: str | None, now: str
) -> None:
    database.run(
        "UPDATE sync_runs SET status = ?, progress_at = ?, finished_at = ?, saved = ?, skipped = ?, failed = ?,"
        " deleted = ?, error = ? WHERE ontology_id = ? AND run_id = ?",
        (status, now, now, tally.saved, tally.skipped, tally.failed, tally.deleted, error, ontology_id, run_id),
    )
