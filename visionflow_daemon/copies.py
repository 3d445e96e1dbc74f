"""A database copied into another one, ontology by ontology, for `copy`: looked at, copied, proven.

An ontology of the target's is marked as one that is being removed until it is whole: what a copy that was cut off has
left is taken out by the next one, or by the next pass (storage/forget.py).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import structlog

from visionflow_daemon.config.values import Config
from visionflow_daemon.errors import ConfigError, DatabaseError
from visionflow_daemon.model import timestamp
from visionflow_daemon.storage import checkpoint, copying, files, forget
from visionflow_daemon.storage.copying import Standing, Told
from visionflow_daemon.storage.database import Database
from visionflow_daemon.storage.hold import held_by_us
from visionflow_daemon.storage.migrate import open_migrated, require_current
from visionflow_daemon.storage.opening import address, open_database
from visionflow_daemon.storage.server import Server
from visionflow_daemon.storage.trouble import told as in_words
from visionflow_daemon.sync.forget import remove

log = structlog.get_logger()

SHOWN = 5
"""Differences that are kept to be shown; the others are counted."""

UNKNOWN = ""
"""The ontology of rows in quarantine that named none."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What is copied and how: one ontology or all, in place of others or not, in truth or only told of."""

    ontology_id: str | None = None
    may_replace: bool = False
    is_trial: bool = False


@dataclass(frozen=True, slots=True)
class Copied:
    """What came of one ontology: `outcome` is copied, equal, behind or different, and as a trial, what would be."""

    ontology_id: str
    outcome: str
    commit: str | None
    rows: dict[str, int]
    without_nul: int = 0
    differences: int = 0
    examples: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Pair:
    """The two databases; `target` is None where a trial finds none."""

    source: Database
    target: Database | None
    how: Rules
    wait: float
    told: Told = field(repr=False)


def copy_database(config: Config, places: tuple[str, str], server: Server, how: Rules, told: Told) -> list[Copied]:
    """Copy what `places` name first into what they name second. Raises DatabaseError and others, each in words.

    All is looked at first: nothing is copied where something would have to be replaced that may not be.
    """
    with _opened(config, places, server, how, told) as pair:
        due = _ontologies(pair.source, how.ontology_id)
        found = {each: _standing(pair, each) for each in due}
        if not how.may_replace:
            _require_no_other(pair, found)
        if how.is_trial:
            return [_would(pair, each, standing) for each, standing in found.items()]
        done = [_copied(pair, each) for each in due]
        if how.ontology_id is None and pair.target is not None:
            copying.copy_quarantine(pair.source, pair.target, UNKNOWN)
    return done


@contextmanager
def _opened(config: Config, places: tuple[str, str], server: Server, how: Rules, told: Told) -> Iterator[Pair]:
    """Open both: the source to be read, the target with its schema up to date, or as it is for a trial."""
    here = Path.cwd()
    source, target = (address(place, here) for place in places)
    if source.identity == target.identity:
        raise ConfigError(f"{source.name} can't be copied into itself")
    options: dict[str, Any] = {"busy_timeout": config.sync.busy_timeout, "server": server}
    opened = []
    try:
        opened.append(open_database(places[0], here, read_only=True, **options))
        with in_words(source.name):
            require_current(opened[0])
        if not how.is_trial:
            opened.append(open_migrated(places[1], here, **options)[0])
        elif target.path is None or target.path.exists():
            opened.append(open_database(places[1], here, read_only=True, **options))
        with in_words(target.name):
            yield Pair(opened[0], opened[1] if len(opened) > 1 else None, how, config.sync.lock_timeout, told)
    finally:
        for database in opened:
            database.close()
            database.end()


def _ontologies(source: Database, wanted: str | None) -> list[str]:
    there = files.ontologies(source)
    if wanted is None:
        return there
    if wanted not in there:
        held = ", ".join(map(repr, there)) or "none"
        raise ConfigError(f"--ontology-id: {source.name} holds no ontology {wanted!r}; it holds {held}")
    return [wanted]


def _standing(pair: Pair, ontology_id: str) -> Standing:
    if pair.target is None or "checkpoints" not in pair.target.tables():
        return Standing.ABSENT
    return copying.standing(pair.source, pair.target, ontology_id)


def _require_no_other(pair: Pair, found: dict[str, Standing]) -> None:
    if pair.target is None or not (others := [each for each, it in found.items() if it is Standing.OTHER]):
        return
    named = ", ".join(f"{each!r} {_described(pair.target, each)}" for each in others)
    raise DatabaseError(
        f"{pair.target.name} holds something else already: {named}. Give --replace to have the copy take its place, or "
        "copy others with --ontology-id. Nothing was touched"
    )


def _described(target: Database, ontology_id: str) -> str:
    held = checkpoint.load(target, ontology_id)
    return "without a source" if held is None else f"of {held.source} at {(held.commit or 'no commit')[:12]}"


def _would(pair: Pair, ontology_id: str, found: Standing) -> Copied:
    """Say what would be done with one ontology."""
    is_left = found in {Standing.EQUAL, Standing.BEHIND} and not pair.how.may_replace
    with pair.source.snapshot():
        rows = copying.count(pair.source, ontology_id)
        return Copied(ontology_id, found if is_left else "copied", _commit(pair.source, ontology_id), rows)


def _copied(pair: Pair, ontology_id: str) -> Copied:
    """Copy one ontology, unless it is there, and prove that both databases hold the same of it."""
    if pair.target is None:
        raise TypeError("nothing is copied without a target")
    began = time.monotonic()
    with (
        structlog.contextvars.bound_contextvars(ontology_id=ontology_id),
        held_by_us(pair.target, ontology_id, pair.wait) as ours,
        pair.source.snapshot(),  # what a daemon writes meanwhile is the next pass's to bring
    ):
        pair.source.row("SELECT 1 FROM checkpoints LIMIT 1")  # it begins with the first look
        if (there := _as_it_is(pair, ours, ontology_id)) is not None:
            log.info("copy not needed", reason=there.outcome)
            return replace(there, seconds=round(time.monotonic() - began, 3))
        log.info("copy started", source=pair.source.name, target=ours.name)
        forget.mark(ours, ontology_id, timestamp(datetime.now(UTC)))
        remove(ours, ontology_id, time.sleep, Event(), with_inferred=True)
        written = copying.copy_rows(pair.source, ours, ontology_id, pair.told)
        kept = copying.copy_quarantine(pair.source, ours, ontology_id)
        rows, without_nul = written.rows | kept.rows, written.without_nul + kept.without_nul
        ours.look_at_tables()
        number, examples = _differences(pair, ours, ontology_id)
        if not number:
            copying.set_checkpoint(pair.source, ours, ontology_id)
        seconds = round(time.monotonic() - began, 3)
        log.info("copy finished", rows=sum(rows.values()), without_nul=without_nul, differences=number, seconds=seconds)
        outcome, commit = "different" if number else "copied", _commit(pair.source, ontology_id)
        return Copied(ontology_id, outcome, commit, rows, without_nul, number, examples, seconds)


def _as_it_is(pair: Pair, target: Database, ontology_id: str) -> Copied | None:
    """Say what the target has of an ontology, where that may stay; None where it is to be copied."""
    found = copying.standing(pair.source, target, ontology_id)
    if found is Standing.OTHER and not pair.how.may_replace:
        _require_no_other(pair, {ontology_id: found})
    if found not in {Standing.EQUAL, Standing.BEHIND}:
        return None
    number, examples = (0, ()) if found is Standing.BEHIND else _differences(pair, target, ontology_id)
    if pair.how.may_replace and (number or found is Standing.BEHIND):
        return None
    here = checkpoint.load(pair.source, ontology_id)
    if number and here is not None and not here.is_clean:  # a pass is at work there, and has gone on since
        found, number, examples = Standing.BEHIND, 0, ()
    outcome = "different" if number else found.value
    return Copied(ontology_id, outcome, _commit(target, ontology_id), {}, 0, number, examples)


def _differences(pair: Pair, target: Database, ontology_id: str) -> tuple[int, tuple[str, ...]]:
    """Count in how many rows the target differs from the source, and describe the first of them."""
    number = 0
    examples: list[str] = []
    with target.snapshot():
        for each in copying.differences(pair.source, target, ontology_id, pair.told):
            number += 1
            if len(examples) < SHOWN:
                examples.append(each.described())
    return number, tuple(examples)


def _commit(database: Database, ontology_id: str) -> str | None:
    held = checkpoint.load(database, ontology_id)
    return held.commit if held else None
