"""The ledger: the failed files, what is known of them, and when they are tried again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from visionflow_daemon.storage.database import ANY_NUMBER_OF, Database, array

OF_LEDGER = "FROM source_files WHERE ontology_id = ? AND status = 'failed'"
ENTRIES = (
    "SELECT path, display_path, failure_class, reason, line, attempts, first_failed_at, last_failed_at,"
    f" next_attempt_at, blob_seen, blob_saved IS NOT NULL {OF_LEDGER} ORDER BY path"
)
MAKE_DUE = (
    "UPDATE source_files SET next_attempt_at = ? WHERE ontology_id = ? AND status = 'failed'"
    f" AND file_id {ANY_NUMBER_OF}"
)


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One failed file, and what is known of it."""

    path: str
    failure_class: str
    reason: str
    line: int | None
    attempts: int
    first_failed_at: str
    last_failed_at: str
    next_attempt_at: str | None
    blob: str
    is_stale: bool

    def is_due(self, now: str) -> bool:
        """Whether the next pass tries the file again, also where nothing has changed."""
        return self.next_attempt_at is not None and self.next_attempt_at <= now


@dataclass(frozen=True, slots=True)
class Failed:
    """The names of one failed file: its path's bytes, and how people are shown it."""

    path: bytes
    display_path: str


def everything(_path: bytes) -> bool:
    """Choose every path."""
    return True


def entries(database: Database, ontology_id: str, selects: Callable[[bytes], bool] = everything) -> list[LedgerEntry]:
    """Give the failed files that are selected, in the order of their paths."""
    found = database.rows(ENTRIES, (ontology_id,))
    return [LedgerEntry(*row[:-1], *map(bool, row[-1:])) for path, *row in found if selects(bytes(path))]


def saved_blobs(database: Database, ontology_id: str) -> list[str]:
    """Give the contents that failed files keep the facts of."""
    found = database.rows(f"SELECT blob_saved {OF_LEDGER} AND blob_saved IS NOT NULL", (ontology_id,))
    return [blob for (blob,) in found]


def first(database: Database, ontology_id: str, limit: int) -> list[LedgerEntry]:
    """Give no more than so many failed files, the first in the order of their paths."""
    return [
        LedgerEntry(*row[:-1], *map(bool, row[-1:]))
        for _, *row in database.rows(f"{ENTRIES} LIMIT ?", (ontology_id, limit))
    ]


def size(database: Database, ontology_id: str) -> int:
    """Count the failed files."""
    (count,) = database.row(f"SELECT COUNT(*) {OF_LEDGER}", (ontology_id,)) or (0,)
    return int(count)


def due_paths(database: Database, ontology_id: str, now: str) -> list[bytes]:
    """Give the files whose next attempt is due."""
    return [
        bytes(path)
        for (path,) in database.rows(f"SELECT path {OF_LEDGER} AND next_attempt_at <= ?", (ontology_id, now))
    ]


def make_due(
    database: Database, ontology_id: str, now: str, choose: Callable[[list[Failed]], list[Failed]]
) -> list[Failed]:
    """Make the failed files that `choose` picks due at `now`, and give them; where it raises, nothing is changed.

    A pass may be at work meanwhile: whatever it makes of a file after this stands.
    """
    with database.transaction():
        found = database.rows(f"SELECT file_id, path, display_path {OF_LEDGER} ORDER BY path", (ontology_id,))
        ids = {Failed(bytes(path), shown): file_id for file_id, path, shown in found}
        chosen = choose(list(ids))
        database.run(MAKE_DUE, (now, ontology_id, array(ids[each] for each in chosen)))
    return chosen
