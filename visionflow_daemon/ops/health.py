"""Says whether the daemon lives, and whether what it keeps is fresh."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from visionflow_daemon.errors import ExitCode
from visionflow_daemon.model import harmless, timestamp
from visionflow_daemon.ops.readers import Readers
from visionflow_daemon.ops.standing import Activity, Snapshot, SourceStanding
from visionflow_daemon.sync.breaker import State

READY_INTERVALS = 3.0
"""So many intervals may pass since a source was last found in step before it counts as not ready."""

ALIVE_SECONDS = 600.0
"""Seconds that the loop may be silent: a fetch may take that long."""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether one source is fresh, why not, and when it was last in step."""

    ontology_id: str
    is_ready: bool
    reason: str
    last_success: datetime | None


def is_alive(snapshot: Snapshot, alive_seconds: float = ALIVE_SECONDS) -> bool:
    """Tell whether all goes on: each pass under way gave a sign of life lately, or the next one is not yet overdue."""
    if snapshot.quiet_seconds <= alive_seconds:
        return True
    if any(source.activity is Activity.RUNNING for source in snapshot.sources):
        return False
    due = [source.next_due for source in snapshot.sources if source.next_due]
    return bool(due) and (snapshot.at - min(due)).total_seconds() <= alive_seconds


def readiness(snapshot: Snapshot, readers: Readers, ready_intervals: float = READY_INTERVALS) -> list[Readiness]:
    """Say of each source whether it is fresh."""
    return [_of(source, snapshot.at, readers, ready_intervals) for source in snapshot.sources]


def _of(source: SourceStanding, now: datetime, readers: Readers, ready_intervals: float) -> Readiness:
    last = last_success(source, readers)
    lease = readers.held(source.ontology_id).lease
    if lease is not None and not lease.is_ours:  # whoever holds it answers for it
        return Readiness(source.ontology_id, True, f"held by {harmless(lease.holder)}", last)
    open_now = [each for each in readers.breakers(source.ontology_id) if each.state(timestamp(now)) is not State.CLOSED]
    if open_now:
        each = open_now[0]
        reason = f"the circuit breaker of the {each.guards} is {each.state(timestamp(now))}, next try {each.retry_at}"
        return Readiness(source.ontology_id, False, harmless(reason), last)
    limit = ready_intervals * source.interval
    if last is None:
        return Readiness(source.ontology_id, False, "no pass has come through yet", None)
    age = (now - last).total_seconds()
    if age > limit:
        reason = f"last in step {age:,.0f} s ago, and {limit:,.0f} s are allowed"
        return Readiness(source.ontology_id, False, reason, last)
    return Readiness(source.ontology_id, True, "in step", last)


def is_held(source: SourceStanding) -> bool:
    """Tell whether the last pass ended with the exit code of what waits for a person, or for another commit."""
    failure = source.last_failure
    return source.consecutive_failures > 0 and failure is not None and failure.code is ExitCode.HELD


def last_success(source: SourceStanding, readers: Readers) -> datetime | None:
    """Say when a source was last found in step, by this process or by the one before it."""
    noted = _parsed(readers.last_checked(source.ontology_id))
    if source.last_success and noted:
        return max(source.last_success, noted)
    return source.last_success or noted


def _parsed(text: str | None) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
    return moment if moment and moment.tzinfo else None
