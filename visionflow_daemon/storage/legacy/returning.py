"""The way back of an adopted database: what it works on, and what it tells."""

from __future__ import annotations

from dataclasses import dataclass, field

from visionflow_daemon.storage.database import Database
from visionflow_daemon.storage.legacy.shapes import OldTable, Shape


@dataclass(slots=True)
class Returned:
    """What came of each table: rows as they were, changed, new, gone; and what the old shape has no place for."""

    shape: str
    tables: dict[str, dict[str, int]] = field(default_factory=dict)
    lost: dict[str, int] = field(default_factory=dict)

    def count(self, table: str, what: str, by: int = 1) -> None:
        """Count rows of a table."""
        counts = self.tables.setdefault(table, {})
        counts[what] = counts.get(what, 0) + by

    def lose(self, what: str, by: int = 1) -> None:
        """Count what the old shape has no place for."""
        if by:
            self.lost[what] = self.lost.get(what, 0) + by


@dataclass(slots=True)
class Return:
    """One way back at work."""

    database: Database
    shape: Shape
    done: Returned

    def table(self, name: str) -> OldTable | None:
        """Give an old table, if the old database had it."""
        return self.shape.tables.get(name)
