"""Compares two databases: opens both to read, puts down what each says, and lays that side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from visionflow_daemon.storage import trouble
from visionflow_daemon.storage.parallel.contrast import Contrast, Contraster, Count
from visionflow_daemon.storage.parallel.norms import Norms
from visionflow_daemon.storage.parallel.scope import scope_of
from visionflow_daemon.storage.parallel.sheet import Sheet
from visionflow_daemon.storage.parallel.side import Side, put_down, side_of
from visionflow_daemon.storage.remake import tolerant
from visionflow_daemon.storage.sqlite import open_sqlite


@dataclass(frozen=True, slots=True)
class Place:
    """Where one side is, and which of its ontologies is meant; `option` is how the user says that."""

    url: str
    ontology_id: str | None
    option: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What is compared, and how."""

    kinds: frozenset[str]
    prefixes: Mapping[str, str]
    is_exact: bool = False
    with_annotations: bool = False
    busy_timeout: float = 5.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What one side turned out to be, and what of it was compared otherwise than it is written."""

    path: Path
    shape: str
    ontology_id: str | None
    norms: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison: its differences, to be taken once, and what is known when they have been."""

    differences: Iterator[Contrast]
    counts: Mapping[str, Count]
    old: Seen
    new: Seen
    left_out: tuple[str, ...]


@contextmanager
def compared(old: Place, new: Place, rules: Rules, base: Path) -> Iterator[Comparison]:
    """Compare two databases, each as of one moment. They are only read, and let go of before the first difference."""
    with TemporaryDirectory(prefix="visionflow-compare-") as folder:
        sheets = [Sheet.at(Path(folder, name), Norms(rules.prefixes, rules.is_exact)) for name in ("old", "new")]
        try:
            with _opened(old, rules, base) as before, _opened(new, rules, base) as after:
                with_annotations = rules.with_annotations or rules.is_exact
                scope = scope_of(before.tables, after.tables, rules.kinds, with_annotations=with_annotations)
                for side, sheet in zip((before, after), sheets, strict=True):
                    with trouble.told(side.database.path):
                        put_down(side, scope, sheet)
            contraster = Contraster(scope)
            differences = contraster.contrasts(*sheets)
            seen = _seen(before, sheets[0]), _seen(after, sheets[1])
            yield Comparison(differences, contraster.counts, *seen, left_out=scope.left_out)
        finally:
            for sheet in sheets:
                sheet.database.close()


@contextmanager
def _opened(place: Place, rules: Rules, base: Path) -> Iterator[Side]:
    database = tolerant(open_sqlite(place.url, base, read_only=True, busy_timeout=rules.busy_timeout))
    try:
        with trouble.told(database.path), database.snapshot():
            yield side_of(database, place.ontology_id, place.option)
    finally:
        database.close()


def _seen(side: Side, sheet: Sheet) -> Seen:
    return Seen(side.database.path, side.shape, side.ontology_id, sheet.norms.counts)
