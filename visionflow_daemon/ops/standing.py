"""The values that a board gives: how each source stands at one moment."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from visionflow_daemon.errors import ExitCode
from visionflow_daemon.git.credentials import redact
from visionflow_daemon.model import harmless
from visionflow_daemon.storage.checkpoint import Tally
from visionflow_daemon.sync.meter import Load

LONGEST_TEXT = 2_000
"""Characters of a reason or a location that are kept: who sends more is not to fill memory and pages."""

USERINFO = re.compile(r"(?<=://)[^\s/@]*@")
QUERY = re.compile(r"(://[^\s?]*)\?\S*")


class Activity(StrEnum):
    """What the daemon does about a source."""

    IDLE = "idle"
    RUNNING = "running"


class Outcome(StrEnum):
    """How a pass ended; the failures are the names of their exit codes."""

    CHANGED = "changed"
    UNCHANGED = "unchanged"
    STOPPED = "stopped"
    INTERNAL = "internal"
    USAGE = "usage"
    REMOTE = "remote"
    HELD = "held"
    DATABASE = "database"


def outcome_of(code: ExitCode) -> Outcome:
    """Name the outcome of a pass that failed with a code."""
    try:
        return Outcome(code.name.lower())
    except ValueError:  # a code that is no failure of a pass
        return Outcome.INTERNAL


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a running pass has come. `planned` is None until the plan is made, the last two while nothing moved."""

    since: datetime
    why: str
    planned: int | None
    done: int
    failed: int
    rate: float | None
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class Failure:
    """What the last failed pass failed of."""

    at: datetime
    reason: str
    code: ExitCode


@dataclass(frozen=True, slots=True)
class Histogram:
    """How many times something took up to each bound in seconds, and how many times longer than the last.

    `again` of these were further attempts, after one that failed.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    seconds: float
    again: int


@dataclass(frozen=True, slots=True)
class Counts:
    """What was counted since the daemon started."""

    passes: dict[Outcome, int]
    files: Tally
    durations: Histogram


@dataclass(frozen=True, slots=True)
class Measured:
    """How long the steps of a source's passes took since the daemon started, and how busy the workers are."""

    fetch: Histogram
    parse: Histogram
    save: Histogram
    record: Histogram
    load: Load


@dataclass(frozen=True, slots=True)
class Head:
    """The commit at a source's head, when it was last seen there, and for how long the database has lacked it."""

    commit: str
    seen_at: datetime
    lag_seconds: float


@dataclass(frozen=True, slots=True)
class SourceStanding:
    """How one source stands; `interval` is in seconds, `ledger` None until a pass of this process came through.

    `head` is None until this process has seen it.
    """

    ontology_id: str
    location: str
    branch: str | None
    commit: str | None
    interval: float
    activity: Activity
    progress: Progress | None
    last_success: datetime | None
    last_failure: Failure | None
    consecutive_failures: int
    ledger: int | None
    next_due: datetime | None
    head: Head | None
    counts: Counts
    measured: Measured


@dataclass(frozen=True, slots=True)
class BackupStanding:
    """When the newest backup was taken, None where there is none, its bytes, and whether the last one due failed."""

    interval: float
    taken_at: datetime | None
    bytes: int
    is_failing: bool


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How all sources stand, in the order they were told in; `quiet_seconds` since the loop last said something.

    While passes are under way, it is since that one gave a sign of life that has been silent for longest.
    """

    at: datetime
    started_at: datetime
    quiet_seconds: float
    sources: tuple[SourceStanding, ...]
    notifications: dict[str, int] = field(default_factory=dict)
    """How many deliveries ended how, since the daemon started."""


def shown(text: str) -> str:
    """Make a text fit to show: without credentials in its URLs, without what controls a terminal, and not too long."""
    text = QUERY.sub(r"\1", USERINFO.sub("", text))
    if len(text) > LONGEST_TEXT:
        text = text[:LONGEST_TEXT] + "…"
    return harmless(text)


def shown_location(location: str) -> str:
    """Make a source's place fit to show."""
    return shown(redact(location))
