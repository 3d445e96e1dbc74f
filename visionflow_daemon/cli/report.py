"""How far an ontology is synced, and what it holds: what `status` answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from visionflow_daemon.config.values import Config
from visionflow_daemon.git.rollout import ALL
from visionflow_daemon.model import timestamp
from visionflow_daemon.storage import checkpoint, files
from visionflow_daemon.storage.checkpoint import LastRun
from visionflow_daemon.storage.database import Database
from visionflow_daemon.storage.files import Totals
from visionflow_daemon.storage.holders import Lease, able, leases
from visionflow_daemon.storage.legacy import remainder
from visionflow_daemon.storage.legacy.remainder import Remainder
from visionflow_daemon.sync import checked
from visionflow_daemon.sync.breakers import Breakers


@dataclass(frozen=True, slots=True)
class BreakerStanding:
    """The state of one circuit breaker."""

    guards: str
    state: str
    failures: int
    since: str | None
    reason: str | None
    retry_at: str | None

    @property
    def next(self) -> str:
        """Say what comes next, and why."""
        when = f"the next attempt is due at {self.retry_at}" if self.retry_at else "the next pass tries again"
        return f"{when}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Standing:
    """The state of one ontology, and of the source that feeds it.

    `is_configured` is None where no source is; `is_held` tells whether the database knows the ontology, `is_forgotten`
    that it is being removed, or that this was cut off.
    """

    ontology_id: str
    name: str | None
    is_configured: bool | None
    is_held: bool
    source: str | None
    branch: str | None
    commit: str | None
    overlay: str | None
    rollout_percent: float | None
    is_whole: bool
    is_forgotten: bool
    last_checked: str | None
    last_run: LastRun | None
    holds: Totals
    breakers: list[BreakerStanding]
    legacy: Remainder
    lease: Lease | None
    daemons: tuple[str, ...] | None

    def rows(self) -> list[tuple[str, object]]:
        """Give the rows of a table for people."""
        held, run = self.holds, self.last_run
        rows: list[tuple[str, object]] = [("ontology", self.ontology_id)]
        if self.is_forgotten:
            rows.append(("", "being forgotten: `forget` goes on with it where it was cut off"))
        elif self.is_configured is False:
            rows.append(("", "not configured: `forget` removes what is held of it"))
        if self.name not in {None, self.ontology_id}:
            rows.append(("called", self.name))
        rows += [("source", self.source), ("branch", self.branch), ("commit", self._reached())]
        rows += [("", "and files on disk that are not committed")] if self.overlay else []
        if self.rollout_percent is not None and self.rollout_percent < ALL:
            rows.append(("rollout", f"{self.rollout_percent:g} % of the files are live"))
        rows.append(("last checked", self.last_checked))
        if self.lease is not None:
            waited = "; another one waits for it" if self.lease.is_wanted else ""
            rows.append(("held by", f"{self.lease.holder}, since {self.lease.since}{waited}"))
        if self.daemons:
            rows.append(("daemons", f"{len(self.daemons):,} alive: {', '.join(self.daemons)}"))
        if run is not None:
            rows.append(("last pass", f"{run.status}, {run.started_at} to {run.finished_at or run.progress_at}"))
            rows.append(
                ("", f"{run.saved:,} saved, {run.skipped:,} skipped, {run.failed:,} failed, {run.deleted:,} deleted")
            )
            rows.append(("", f"of {run.planned:,} planned by {run.plan}: {run.plan_reason}"))
            rows += [("", run.error)] if run.error else []
        rows += [
            (f"breaker of the {each.guards}", f"{each.state}: {each.failures:,} failed since {each.since}; {each.next}")
            for each in self.breakers
            if each.failures
        ]
        return [
            *rows,
            ("files", f"{held.files:,}, {held.skipped:,} of them without an ontology"),
            ("ledger", f"{held.failed:,} failed files"),
            ("warnings", f"{held.warnings:,} statements left out or mended"),
            ("classes", f"{held.classes:,}, and {held.undeclared_classes:,} named as parents only"),
            ("described twice", f"{held.declared_twice:,} classes"),
            ("parents", f"{held.parents:,}"),
            ("properties", f"{held.properties:,}"),
            ("axioms", f"{held.axioms:,}"),
            *([("of these in legacy:", f"{self.legacy.described()}, which no file claims")] if self.legacy else []),
        ]

    def _reached(self) -> str | None:
        if self.is_whole or not self.source:
            return self.commit
        if not self.is_held:
            return "none: no pass has begun yet"
        return f"{self.commit or 'none'} (a pass is under way, or was cut off)"


def standing(database: Database, state: Path, ontology_id: str, config: Config) -> Standing:
    """Look up the state of one ontology."""
    source = next((each for each in config.sources if each.ontology_id == ontology_id), None)
    left = remainder.count(database, ontology_id)
    held = checkpoint.load(database, ontology_id)
    now = timestamp(datetime.now(UTC))
    note = checked.last(state, database.address.identity, ontology_id)
    return Standing(
        ontology_id=ontology_id,
        name=source.called if source else None,
        is_configured=source is not None if config.sources else None,
        is_held=held is not None or bool(left),
        source=held.source if held else source.shown if source else None,
        branch=held.branch if held else source.branch if source else None,
        commit=held.commit if held else None,
        overlay=held.overlay if held else None,
        rollout_percent=held.rollout_percent if held else None,
        is_whole=held is not None and held.is_clean,
        is_forgotten=held is not None and held.is_forgotten,
        last_checked=note.at if note else None,
        last_run=checkpoint.last_run(database, ontology_id),
        holds=files.totals(database, ontology_id),
        breakers=[
            BreakerStanding(each.guards, each.state(now), each.failures, each.since, each.reason, each.retry_at)
            for each in Breakers(state, database.address.identity, ontology_id).all().values()
        ],
        legacy=left,
        lease=leases(database).get(ontology_id),
        daemons=able(database, ontology_id),
    )
