"""Decides which files a pass saves and deletes, and says why. Pure: trees and tables come as values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from visionflow_daemon.model import KnownFile, TreeEntry


class Way(StrEnum):
    """How a plan was made: the diff of two commits, which is fast, or tree against table, which is always right."""

    DIFF = "diff"
    TREE = "tree"


@dataclass(frozen=True, slots=True)
class Plan:
    """The files to save and to delete. Saves go first: a renamed class is never missing."""

    way: Way
    reason: str
    saves: tuple[TreeEntry, ...] = ()
    deletes: tuple[bytes, ...] = ()

    @property
    def size(self) -> int:
        """How many files the pass will touch."""
        return len(self.saves) + len(self.deletes)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the last pass when the next one is planned. `is_present`: its commit can still be read."""

    commit: str | None
    digest: str | None
    is_clean: bool
    is_present: bool


def choose_way(known: Known | None, digest: str, *, full: bool) -> tuple[Way, str]:
    """Choose how to plan, with the reason: a diff only when the checkpoint proves what the database holds."""
    if full:
        return Way.TREE, "every file is to be read anew"
    if known is None:
        return Way.TREE, "this is the first pass"
    if not known.is_clean:
        return Way.TREE, "the last pass did not come through"
    if known.digest != digest:
        return Way.TREE, "globs, prefixes, limits or the parser changed"
    if not known.is_present:
        return Way.TREE, f"the checkpoint {(known.commit or '')[:12]} is no longer in the repository"
    return Way.DIFF, f"changes since {(known.commit or '')[:12]}"


def from_tree(
    reason: str, tree: Iterable[TreeEntry], known: Iterable[KnownFile], digest: str, now: str, *, full: bool
) -> Plan:
    """Plan by laying the target tree beside the table; both come in the order of their paths' bytes."""
    saves: list[TreeEntry] = []
    deletes: list[bytes] = []
    for entry, file in beside(tree, known):
        if entry is None:
            if file is not None:
                deletes.append(file.path)
        elif full or file is None or file.blob != entry.blob or file.digest != digest or _is_due(file, now):
            saves.append(entry)
    return Plan(Way.TREE, reason, tuple(saves), tuple(deletes))


def from_diff(
    reason: str, changes: Iterable[tuple[bytes, TreeEntry | None]], due: Iterable[tuple[bytes, TreeEntry | None]]
) -> Plan:
    """Plan by what changed between two commits; files due in the ledger ride along."""
    targets = dict(due)
    targets.update(changes)
    saves = tuple(entry for _, entry in sorted(targets.items()) if entry is not None)
    deletes = tuple(path for path, entry in sorted(targets.items()) if entry is None)
    return Plan(Way.DIFF, reason, saves, deletes)


def _is_due(file: KnownFile, now: str) -> bool:
    return file.is_failed and file.next_attempt_at is not None and file.next_attempt_at <= now


def beside(
    tree: Iterable[TreeEntry], known: Iterable[KnownFile]
) -> Iterator[tuple[TreeEntry | None, KnownFile | None]]:
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
