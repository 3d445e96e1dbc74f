"""Remembers when a source was last checked: in the state directory, since a pass without work writes no database."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import orjson

FOLDER = "checked"


@dataclass(frozen=True, slots=True)
class Checked:
    """When an ontology's source was last looked at, and the commit found there."""

    at: str
    commit: str


def note(state: Path, database: str, ontology_id: str, checked: Checked) -> None:
    """Write the note down, whole or not at all. Raises OSError where the state directory can't be written."""
    path = note_path(state, FOLDER, database, ontology_id)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = path.with_suffix(".new")
    fresh.write_bytes(orjson.dumps({"at": checked.at, "commit": checked.commit}))
    fresh.replace(path)


def last(state: Path, database: str, ontology_id: str) -> Checked | None:
    """Read the note; None when there is none, or none that can be read."""
    try:
        found = orjson.loads(note_path(state, FOLDER, database, ontology_id).read_bytes())
        return Checked(str(found["at"]), str(found["commit"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def note_path(state: Path, folder: str, database: str, ontology_id: str) -> Path:
    """Give the place of a note on one ontology of one database in a folder of the state directory."""
    name = sha256(f"{database}\0{ontology_id}".encode()).hexdigest()[:16]
    return state / folder / f"{name}.json"
