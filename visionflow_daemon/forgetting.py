"""An ontology forgotten for good: what the database holds of it, and what the state directory keeps for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import structlog

from visionflow_daemon.config.values import Config
from visionflow_daemon.git import clone
from visionflow_daemon.git.credentials import is_remote
from visionflow_daemon.git.worktree import store
from visionflow_daemon.model import timestamp
from visionflow_daemon.ops.hooks import note
from visionflow_daemon.storage import checkpoint, forget
from visionflow_daemon.storage.database import Database
from visionflow_daemon.storage.forget import Contents
from visionflow_daemon.storage.hold import held_by_us
from visionflow_daemon.storage.trouble import told
from visionflow_daemon.sync import breakers, checked
from visionflow_daemon.sync import forget as removal

log = structlog.get_logger()

NOTES = (checked.FOLDER, breakers.FOLDER, note.FOLDER)
"""Folders of the state directory that hold a note for each ontology."""


@dataclass(frozen=True, slots=True)
class Found:
    """What there is of an ontology: its rows, and its places in the state directory; `was_cut_off`: a removal."""

    contents: Contents
    places: tuple[Path, ...]
    was_cut_off: bool = False

    def __bool__(self) -> bool:
        """Whether there is anything."""
        return bool(self.contents or self.places or self.was_cut_off)


@dataclass(frozen=True, slots=True)
class Rules:
    """How an ontology is forgotten: how many seconds its lock is waited for, and whether inferred axioms go, too."""

    lock_timeout: float
    with_inferred: bool = False
    sleep: Callable[[float], None] = time.sleep


def look(config: Config, database: Database, state: Path, ontology_id: str) -> Found:
    """Say what there is of an ontology."""
    with told(database.name):
        held = checkpoint.load(database, ontology_id)
        places = tuple(_places(config, database, state, ontology_id))
        return Found(forget.contents(database, ontology_id), places, held is not None and held.is_forgotten)


def forget_ontology(config: Config, database: Database, state: Path, ontology_id: str, rules: Rules) -> Found:
    """Remove all that there is of an ontology, and give what it was.

    Whatever cuts it off, it is gone on with by whoever does it again, or by the next pass of the ontology. Raises
    LockedError while a pass of it runs, TransientError while its clone is in use, OSError where the state directory
    can't be written.
    """
    began = time.monotonic()
    with (
        told(database.name),
        held_by_us(database, ontology_id, rules.lock_timeout, rules.sleep) as ours,
    ):
        found = look(config, ours, state, ontology_id)
        forget.mark(ours, ontology_id, timestamp(datetime.now(UTC)))
        removal.remove(ours, ontology_id, rules.sleep, Event(), with_inferred=rules.with_inferred)
        for place in found.places:
            _delete(place)
        forget.unmark(ours, ontology_id)
        ours.settle()
    rows = found.contents
    log.info(
        "ontology forgotten",
        files=rows.files,
        classes=rows.classes,
        properties=rows.properties,
        axioms=rows.axioms,
        seconds=round(time.monotonic() - began, 3),
    )
    return found


def _places(config: Config, database: Database, state: Path, ontology_id: str) -> Iterator[Path]:
    """Give what there is in the state directory. A clone is told by its source, so the mark goes after it."""
    identity = database.address.identity
    for folder in NOTES:
        path = checked.note_path(state, folder, identity, ontology_id)
        yield from (each for each in (path, path.with_suffix(".new")) if each.exists())
    clones = [store.store_path(state, identity, ontology_id), *_clones(config, database, state, ontology_id)]
    yield from filter(clone.is_left, clones)


def _clones(config: Config, database: Database, state: Path, ontology_id: str) -> set[Path]:
    """Give the places of an ontology's clones that no other ontology has a use for."""
    used = [(source.ontology_id, source.location) for source in config.sources]
    used += checkpoint.sources(database).items()
    own: set[Path] = set()
    others: set[Path] = set()
    for owner, location in used:
        if is_remote(location):
            (own if owner == ontology_id else others).add(clone.clone_path(state, location))
    return own - others


def _delete(place: Path) -> None:
    if place.suffix == ".git":
        clone.delete(place)
    else:
        place.unlink(missing_ok=True)
