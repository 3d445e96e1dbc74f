"""Results: what was measured, as rows, and where."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import sqlite3
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was measured: one value a round."""

    case: str
    subject: str
    measure: str
    unit: str
    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle of the rounds."""
        return statistics.median(self.values)

    def as_json(self) -> dict[str, Any]:
        """Give the row with its median and its spread."""
        return {**asdict(self), "median": self.median, "min": min(self.values), "max": max(self.values)}


@dataclass(slots=True)
class Sheet:
    """Gathers values while rounds go on; rows stand in the order in which their first values came."""

    values: dict[tuple[str, str, str, str], list[float]] = field(default_factory=dict)

    def note(self, case: str, subject: str, measure: str, unit: str, value: float) -> None:
        """Keep one value."""
        self.values.setdefault((case, subject, measure, unit), []).append(value)

    def rows(self) -> list[Row]:
        """Give the rows, those of one case and subject together."""
        cases = list(dict.fromkeys((case, subject) for case, subject, _, _ in self.values))
        found = [Row(*key, tuple(values)) for key, values in self.values.items()]
        return sorted(found, key=lambda row: cases.index((row.case, row.subject)))


def machine() -> dict[str, Any]:
    """Tell what it was measured on."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "pygit2": importlib.metadata.version("pygit2"),
        "sqlite": sqlite3.sqlite_version,
        "visionflow_daemon": importlib.metadata.version("visionflow-daemon"),
    }


def write(path: Path, options: dict[str, Any], inputs: Sequence[dict[str, Any]], rows: Sequence[Row]) -> None:
    """Write everything to a JSON file."""
    report = {
        "machine": machine(),
        "options": options,
        "inputs": list(inputs),
        "rows": [row.as_json() for row in rows],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", "utf-8")
