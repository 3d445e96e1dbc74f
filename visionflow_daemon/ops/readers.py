"""Reads what the board doesn't know: from the database, now and then, and from the state directory."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import peewee

from visionflow_daemon.errors import VisionflowError
from visionflow_daemon.ops.standing import BackupStanding, shown
from visionflow_daemon.storage import checkpoint, files, ledger
from visionflow_daemon.storage.checkpoint import LastRun
from visionflow_daemon.storage.database import Database
from visionflow_daemon.storage.files import Totals
from visionflow_daemon.storage.holders import Lease, able, leases
from visionflow_daemon.storage.ledger import LedgerEntry
from visionflow_daemon.storage.opening import address, open_database
from visionflow_daemon.storage.server import DEFAULT_SERVER, Server
from visionflow_daemon.sync import checked
from visionflow_daemon.sync.breaker import Breaker
from visionflow_daemon.sync.breakers import Breakers

Answer = TypeVar("Answer")

RUNS = 40
FAILURES = 50
FRESH_SECONDS = 2.0
"""Seconds for which an answer of the database is given again."""

SHARE = 0.05
"""The share of the time in which the database may be asked: what takes long to count is counted less often."""

READ_TIMEOUT = 1.0
"""Seconds that a query waits where the database is locked as a whole."""


@dataclass(frozen=True, slots=True)
class Held:
    """What the database holds of one ontology; `problem` says why it can't be told, and then the rest is empty.

    `daemons` are those alive that could work on it; None beside a file, which knows of none.
    """

    totals: Totals | None = None
    commit: str | None = None
    branch: str | None = None
    runs: tuple[LastRun, ...] = ()
    failures: tuple[LedgerEntry, ...] = ()
    problem: str | None = None
    rollout_percent: float | None = None
    overlay: str | None = None
    lease: Lease | None = None
    daemons: tuple[str, ...] | None = None

    @property
    def is_elsewhere(self) -> bool:
        """Whether another daemon, or a command, holds it: whoever does answers for it."""
        return self.lease is not None and not self.lease.is_ours


@dataclass(frozen=True, slots=True)
class Disk:
    """The file system that the `database` or the `state` directory is on, as much of it as we may use."""

    place: str
    free_bytes: int
    size_bytes: int


def _no_disks() -> list[Disk]:
    return []


def _no_ontologies() -> list[str]:
    return []


def _no_backups() -> BackupStanding | None:
    return None


@dataclass(frozen=True, slots=True)
class Readers:
    """How to read what the database and the state directory know; each may be called from any thread.

    `ontologies` names all that the database has a checkpoint of, `backups` says how those of the daemon stand.
    """

    held: Callable[[str], Held]
    breakers: Callable[[str], list[Breaker]]
    last_checked: Callable[[str], str | None]
    disks: Callable[[], list[Disk]] = _no_disks
    ontologies: Callable[[], list[str]] = _no_ontologies
    backups: Callable[[], BackupStanding | None] = _no_backups


def readers_of(url: str, base: Path, state: Path, server: Server = DEFAULT_SERVER) -> Readers:
    """Read from a database and a state directory; the database is opened for each reading, and never written."""
    of = address(url, base)

    def breakers(ontology_id: str) -> list[Breaker]:
        return list(Breakers(state, of.identity, ontology_id).all().values())

    def last_checked(ontology_id: str) -> str | None:
        note = checked.last(state, of.identity, ontology_id)
        return note.at if note else None

    def disks() -> list[Disk]:
        places = {"state": state} if of.path is None else {"database": of.path.parent, "state": state}
        return [disk for place, folder in places.items() if (disk := _disk(place, folder))]

    def opened(ask: Callable[[Database], Answer]) -> Answer:
        return _asked(url, base, server, ask)

    held = Remembered(lambda ontology_id: _held_now(opened, ontology_id))
    every = Remembered(lambda _: _ontologies(opened))
    return Readers(held, breakers, last_checked, disks, lambda: every(""))


def _disk(place: str, folder: Path) -> Disk | None:
    try:
        usage = shutil.disk_usage(folder)
    except OSError:
        return None
    return Disk(place, usage.free, usage.used + usage.free)


class Remembered(Generic[Answer]):
    """Asks for what an ontology holds, one caller at a time, and gives the answer again while it is fresh.

    However many ask, the database is read for no more than a small share of the time.
    """

    def __init__(self, read: Callable[[str], Answer], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._read = read
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._answers: dict[str, tuple[float, Answer]] = {}

    def __call__(self, ontology_id: str) -> Answer:
        """Give what an ontology holds, as it was a moment ago."""
        with self._lock:
            began = self._monotonic()
            until, held = self._answers.get(ontology_id, (began, None))
            if held is None or began >= until:
                held = self._read(ontology_id)
                now = self._monotonic()
                self._answers[ontology_id] = (now + max(FRESH_SECONDS, (now - began) / SHARE), held)
            return held


def _asked(url: str, base: Path, server: Server, ask: Callable[[Database], Answer]) -> Answer:
    """Open the database for one question. Raises VisionflowError, or what Peewee does."""
    database = open_database(url, base, read_only=True, busy_timeout=READ_TIMEOUT, server=server)
    try:
        return ask(database)
    finally:
        database.close()
        database.end()


def _held_now(opened: Callable[[Callable[[Database], Held]], Held], ontology_id: str) -> Held:
    try:
        return opened(lambda database: _held(database, ontology_id))
    except (VisionflowError, peewee.DatabaseError) as error:
        return Held(problem=shown(str(error)))


def _ontologies(opened: Callable[[Callable[[Database], list[str]]], list[str]]) -> list[str]:
    try:
        return opened(lambda database: sorted(checkpoint.sources(database)))
    except (VisionflowError, peewee.DatabaseError):
        return []  # of what can't be read, `held` tells


def _held(database: Database, ontology_id: str) -> Held:
    with database.snapshot():
        point = checkpoint.load(database, ontology_id)
        return Held(
            files.totals(database, ontology_id),
            point.commit if point else None,
            point.branch if point else None,
            tuple(checkpoint.recent_runs(database, ontology_id, RUNS)),
            tuple(ledger.first(database, ontology_id, FAILURES)),
            rollout_percent=point.rollout_percent if point else None,
            lease=leases(database).get(ontology_id),
            daemons=able(database, ontology_id),
            overlay=point.overlay if point else None,
        )
