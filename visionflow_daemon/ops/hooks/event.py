"""What hooks are told: one event, and the JSON document that it becomes (docs/notifications.md)."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

import orjson

from visionflow_daemon.environment import EVENT
from visionflow_daemon.model import harmless, timestamp

VERSION = 1
NO_MARKUP = str.maketrans({"<": "\u2039", ">": "\u203a", "@": "\uff20"})
"""Chats take these for markup, or call everybody by them; what a remote says is to do neither."""

COUNTS = ("saved", "skipped", "failed", "deleted")


class Kind(StrEnum):
    """What happened to a source."""

    CHANGED = "changed"
    FAILING = "failing"
    RECOVERED = "recovered"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Changes:
    """What passes did; of several that are told as one, the sums, and the commit that the first began at."""

    from_commit: str | None
    passes: int
    saved: int
    skipped: int
    failed: int
    deleted: int
    ledger: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Trouble:
    """What keeps a source from being in step: since when, for how many passes, and how the last of them ended."""

    since: str
    failures: int
    reason: str
    exit_code: int


@dataclass(frozen=True, slots=True)
class Event:
    """One event. `commit` is known of what changed or recovered; these, and the trouble, stand where they are due."""

    kind: Kind
    id: str
    at: str
    ontology_id: str
    source: str
    branch: str | None
    commit: str | None = None
    changes: Changes | None = None
    trouble: Trouble | None = None

    def after(self, earlier: Event | None) -> Event:
        """Give what is told in place of both: the last state, or all changes as one."""
        if earlier is None or earlier.changes is None or self.changes is None:
            return self
        ours, theirs = self.changes, earlier.changes
        return replace(
            self,
            changes=Changes(
                theirs.from_commit,
                theirs.passes + ours.passes,
                theirs.saved + ours.saved,
                theirs.skipped + ours.skipped,
                theirs.failed + ours.failed,
                theirs.deleted + ours.deleted,
                ours.ledger,
                round(theirs.seconds + ours.seconds, 3),
            ),
        )

    @property
    def text(self) -> str:
        """Say it in a line for people, without markup of any chat."""
        return harmless(f"{self.ontology_id} {self._told()}").translate(NO_MARKUP)

    def _told(self) -> str:
        commit, trouble = (self.commit or "")[:12], self.trouble
        if self.changes is not None:
            counts = ", ".join(f"{getattr(self.changes, each)} {each}" for each in COUNTS)
            waiting = f"; {self.changes.ledger} in the ledger" if self.changes.ledger else ""
            return f"is at {commit}: {counts}{waiting}"
        if trouble is None:
            return f"is in step at {commit}"
        if self.kind is Kind.RECOVERED:
            return f"is in step again at {commit}: {trouble.failures} pass(es) failed since {trouble.since}"
        return f"is {self.kind}: {trouble.reason}"

    def document(self, now: datetime) -> bytes:
        """Write the JSON document that is sent at this moment."""
        fields: dict[str, Any] = {
            "version": VERSION,
            "id": self.id,
            "event": self.kind.value,
            "at": self.at,
            "sent_at": timestamp(now),
            "text": self.text,
            "ontology_id": self.ontology_id,
            "source": self.source,
            "branch": self.branch,
        }
        if self.commit is not None:
            fields["commit"] = self.commit
        if self.changes is not None:
            fields["changes"] = asdict(self.changes)
        if self.trouble is not None:
            fields["trouble"] = asdict(self.trouble)
        return orjson.dumps(fields)

    def variables(self) -> dict[str, str]:
        """Give the main things as environment variables, for programs that read no JSON."""
        return {
            EVENT: self.kind.value,
            f"{EVENT}_ID": self.id,
            f"{EVENT}_ONTOLOGY_ID": self.ontology_id,
            f"{EVENT}_COMMIT": self.commit or "",
            f"{EVENT}_TEXT": self.text,
        }


def new_id() -> str:
    """Make an id that is nobody else's."""
    return uuid.uuid4().hex


def read(fields: dict[str, Any]) -> Event:
    """Make an event of the fields that `asdict` gave. Raises TypeError, ValueError or KeyError for others."""
    changes, trouble = fields["changes"], fields["trouble"]
    return Event(
        **fields
        | {
            "kind": Kind(fields["kind"]),
            "changes": Changes(**changes) if changes else None,
            "trouble": Trouble(**trouble) if trouble else None,
        }
    )
