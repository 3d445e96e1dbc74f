"""Decides which files a pass saves and deletes, and says why. Pure: trees and tables come as values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeAlias, TypeVar

from visionflow_daemon.model import KnownFile, TreeEntry

OTHER_DIGEST = "globs, prefixes, limits or the parser changed"

Item_co = TypeVar("Item_co", covariant=True)
Pairs: TypeAlias = "Iterator[tuple[TreeEntry | None, KnownFile | None]]"
"""A tree laid beside the table: entries and files, those of the same path together."""


class Way(StrEnum):
    """How a plan was made: the diff of two commits, which is fast, or tree against table, which is always right."""

    DIFF = "diff"
    TREE = "tree"


@dataclass(frozen=True, slots=True)
class Anew(Generic[Item_co]):
    """An iterable that is made anew whenever it is gone through, so that nobody holds it as a whole."""

    make: Callable[[], Iterator[Item_co]]

    def __iter__(self) -> Iterator[Item_co]:
        """Go through it."""
        return self.make()


@dataclass(frozen=True, slots=True)
class Plan:
    """The files to save and to delete, and how many. Saves go first: a renamed class is never missing."""

    way: Way
    reason: str
    saves: Iterable[TreeEntry]
    to_save: int
    deletes: Iterable[bytes]
    to_delete: int

    @property
    def size(self) -> int:
        """How many files the pass will touch."""
        return self.to_save + self.to_delete


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the last pass when the next one is planned. `is_present`: its commit can still be read.

    `why_other` is the reason where its digest is another one.
    """

    commit: str | None
    digest: str | None
    is_clean: bool
    is_present: bool
    why_other: str = OTHER_DIGEST


def choose_way(known: Known | None, digest: str, *, full: bool) -> tuple[Way, str]:
    """Choose how to plan, with the reason: a diff only when the checkpoint proves what the database holds."""
    if full:
        return Way.TREE, "every file is to be read anew"
    if known is None:
        return Way.TREE, "this is the first pass"
    if not known.is_clean:
        return Way.TREE, "the last pass did not come through"
    if known.digest != digest:
        return Way.TREE, known.why_other
    if not known.is_present:
        return Way.TREE, f"the checkpoint {(known.commit or '')[:12]} is no longer in the repository"
    return Way.DIFF, f"changes since {(known.commit or '')[:12]}"


def from_tree(reason: str, pairs: Callable[[], Pairs], digest: str, now: str, *, full: bool) -> Plan:
    """Plan by laying the target tree beside the table.

    `pairs` is called up to three times: to count, when files are saved, and when they are deleted. What it gives of
    a file may change only once that file has been dealt with.
    """

    def is_saved(entry: TreeEntry, file: KnownFile | None) -> bool:
        return full or file is None or file.blob != entry.blob or file.digest != digest or _is_due(file, now)

    def saves() -> Iterator[TreeEntry]:
        return (entry for entry, file in pairs() if entry is not None and is_saved(entry, file))

    def deletes() -> Iterator[bytes]:
        return (file.path for entry, file in pairs() if entry is None and file is not None)

    to_save = to_delete = 0
    for entry, file in pairs():
        if entry is None:
            to_delete += 1
        elif is_saved(entry, file):
            to_save += 1
    return Plan(Way.TREE, reason, Anew(saves), to_save, Anew(deletes), to_delete)


def from_diff(
    reason: str, changes: Iterable[tuple[bytes, TreeEntry | None]], due: Iterable[tuple[bytes, TreeEntry | None]]
) -> Plan:
    """Plan by what changed between two commits; files due in the ledger ride along."""
    targets = dict(due)
    targets.update(changes)
    saves = tuple(entry for _, entry in sorted(targets.items()) if entry is not None)
    deletes = tuple(path for path, entry in sorted(targets.items()) if entry is None)
    return Plan(Way.DIFF, reason, saves, len(saves), deletes, len(deletes))


def _is_due(file: KnownFile, now: str) -> bool:
    return file.is_failed and file.next_attempt_at is not None and file.next_attempt_at <= now


def beside(tree: Iterable[TreeEntry], known: Iterable[KnownFile]) -> Pairs:
    """Walk two sorted sequences side by side, pairing what has the same path."""
    entries, files = iter(tree), iter(known)
    entry, file = next(entries, None), next(files, None)
    while entry is not None or file is not None:
        if file is None or (entry is not None and entry.path < file.path):
            yield entry, None
            entry = next(entries, None)
        elif entry is None or file.path < entry.path:
            yield None, file
            file = next(files, None)
        else:
            yield entry, file
            entry, file = next(entries, None), next(files, None)
