"""Lays two databases side by side, row by row, and tells what differs; no more than a row of each is held."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from visionflow_daemon.storage.database import Database, Row
from visionflow_daemon.storage.dump import SECTIONS, Section, rows, shown


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


def compare(expected: Database, found: Database, ontology_id: str) -> Iterator[Difference]:
    """Give the rows in which `found` differs from `expected`, in the order of the canonical dump."""
    for section in SECTIONS:
        yield from _section(section, rows(expected, ontology_id, section), rows(found, ontology_id, section))


def _section(section: Section, expected: Iterator[Row], found: Iterator[Row]) -> Iterator[Difference]:
    size = section.key_size
    due, there = next(expected, None), next(found, None)
    while due is not None or there is not None:
        if there is None or (due is not None and due[:size] < there[:size]):
            yield _difference(section, due, None)
            due = next(expected, None)
        elif due is None or there[:size] < due[:size]:
            yield _difference(section, None, there)
            there = next(found, None)
        else:
            if due != there:
                yield _difference(section, due, there)
            due, there = next(expected, None), next(found, None)


def _difference(section: Section, due: Row | None, there: Row | None) -> Difference:
    key = (due or there or ())[: section.key_size]
    return Difference(section.kind, key, due, there, key[0] if section.is_of_files else None)
