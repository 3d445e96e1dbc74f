"""What is remembered of a source's notifications over a restart, in the state directory."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson

from visionflow_daemon.ops.hooks.condition import Condition
from visionflow_daemon.ops.hooks.event import Event, Kind, Trouble, read
from visionflow_daemon.sync.checked import note_path

FOLDER = "notifications"


@dataclass(frozen=True, slots=True)
class Note:
    """How a source is doing, None while it is in step, and by hook what it has yet to be told."""

    condition: Condition | None = None
    untold: dict[str, list[Event]] = field(default_factory=dict)


def path_of(state: Path, database: str, ontology_id: str) -> Path:
    """Give the place of a source's note."""
    return note_path(state, FOLDER, database, ontology_id)


def load(path: Path) -> Note:
    """Read a note; where there is none, or none that can be read, the source is in step and all is told."""
    try:
        found = orjson.loads(path.read_bytes())
        held = found["condition"]
        condition = Condition(Kind(held["kind"]), Trouble(**held["trouble"]), held["mark"]) if held else None
        return Note(condition, {hook: [read(each) for each in events] for hook, events in found["untold"].items()})
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Note()


def store(path: Path, note: Note) -> None:
    """Write a note, whole or not at all; none where there is nothing to remember. Raises OSError."""
    if note == Note():
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_suffix(".new")
    fresh.write_bytes(orjson.dumps(asdict(note)))
    fresh.replace(path)
