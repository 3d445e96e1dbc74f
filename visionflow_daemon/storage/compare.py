"""Lays two databases side by side, row by row, and tells what differs; no more than a row of each is held."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from visionflow_daemon.storage.database import Database, Row
from visionflow_daemon.storage.dump import SECTIONS, Section, rows, shown

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Difference:
    """One row that isn't as it should be: `expected` is None for a row too many, `found` for one that is missing.

    `path` is the file that the row belongs to; None for a row that is derived from all files.
    """

    kind: str
    key: Row
    expected: Row | None
    found: Row | None
    path: bytes | None = None

    @property
    def what(self) -> str:
        """Say in one word how the row differs."""
        if self.expected is None:
            return "unexpected"
        return "missing" if self.found is None else "different"

    def described(self) -> str:
        """Say what differs, without the path."""
        named = self.key[1:] if self.path is not None else self.key
        key = " ".join(str(shown(value)) for value in named if value != "")
        if self.expected is None or self.found is None:
            return f"{self.kind} {self.what}: {key}".rstrip(": ")
        pairs = (
            f"{shown(there)!r} instead of {shown(due)!r}"
            for due, there in zip(self.expected, self.found, strict=True)
            if due != there
        )
        return f"{self.kind} different: {key}: {', '.join(pairs)}"


def compare(
    expected: Database, found: Database, ontology_id: str, sections: Iterable[Section] = SECTIONS
) -> Iterator[Difference]:
    """Give the rows in which `found` differs from `expected`, in the order of the canonical dump."""
    for section in sections:
        yield from _section(section, rows(expected, ontology_id, section), rows(found, ontology_id, section))


def side_by_side(
    first: Iterator[Item], second: Iterator[Item], key: Callable[[Item], Any]
) -> Iterator[tuple[Item | None, Item | None]]:
    """Pair the items of two sorted streams by key; None stands for one that the other stream alone has."""
    one, other = next(first, None), next(second, None)
    while one is not None or other is not None:
        if other is None or (one is not None and key(one) < key(other)):
            yield one, None
            one = next(first, None)
        elif one is None or key(other) < key(one):
            yield None, other
            other = next(second, None)
        else:
            yield one, other
            one, other = next(first, None), next(second, None)


def _section(section: Section, expected: Iterator[Row], found: Iterator[Row]) -> Iterator[Difference]:
    for due, there in side_by_side(expected, found, lambda row: row[: section.key_size]):
        if due != there:
            yield _difference(section, due, there)


def _difference(section: Section, due: Row | None, there: Row | None) -> Difference:
    key = (due or there or ())[: section.key_size]
    return Difference(section.kind, key, due, there, key[0] if section.is_of_files else None)
