"""What of two databases is compared: what was asked for, and what both have columns for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from visionflow_daemon.errors import ConfigError, DatabaseError
from visionflow_daemon.storage.legacy.shapes import AXIOMS, CHARACTERISTICS, CLASSES, HIERARCHY, PROPERTIES, OldTable

CLASS, LABEL, COMMENT, PARENT = "class", "label", "comment", "parent"
PROPERTY, AXIOM, INFERRED = "property", "axiom", "inferred"
KINDS = (CLASS, LABEL, COMMENT, PARENT, PROPERTY, AXIOM, INFERRED)
TEXTS = (LABEL, COMMENT)
DESCRIPTION = ("type", "domain", "range", "characteristics")
"""What is compared of a property beside its label and comment."""

NEEDING: Mapping[str, frozenset[str]] = {
    CLASSES: frozenset(KINDS),
    HIERARCHY: frozenset({PARENT, AXIOM}),
    PROPERTIES: frozenset({PROPERTY, LABEL, COMMENT}),
    AXIOMS: frozenset({AXIOM, INFERRED}),
}
"""Which kinds need a table to be read: parents tell which axioms say no more, classes which ontology a row is of."""

Tables = Mapping[str, OldTable]


@dataclass(frozen=True, slots=True)
class Scope:
    """The kinds and columns that are compared; `left_out` says what is not, and why.

    `characteristics` are those of a property that both sides can tell of; None: all.
    """

    kinds: frozenset[str]
    of_classes: frozenset[str]
    of_properties: frozenset[str]
    characteristics: frozenset[str] | None
    with_property: bool
    with_annotations: bool
    with_inferred: bool
    left_out: tuple[str, ...]

    def needs(self, table: str) -> bool:
        """Tell whether a table has to be read."""
        return bool(NEEDING[table] & self.kinds)


def kinds_of(only: tuple[str, ...], ignored: tuple[str, ...]) -> frozenset[str]:
    """Give the kinds that are asked for. Raises ConfigError where a name is no kind, or none is left."""
    if unknown := sorted({*only, *ignored} - set(KINDS)):
        raise ConfigError(f"there is no kind {', '.join(map(repr, unknown))}: there are {', '.join(KINDS)}")
    kinds = frozenset(only or KINDS) - set(ignored)
    if not kinds:
        raise ConfigError("--only and --ignore leave nothing to compare")
    return kinds


def scope_of(old: Tables, new: Tables, wanted: frozenset[str], *, with_annotations: bool) -> Scope:
    """Say what can be compared of what is wanted. Raises DatabaseError where that is nothing."""
    lacking = dict(_lacking(old, new, wanted))
    kinds = frozenset(kind for kind in wanted if kind not in lacking)
    of_classes = _shared(old, new, CLASSES, TEXTS)
    of_properties = _shared(old, new, PROPERTIES, (*TEXTS, *DESCRIPTION[:3]))
    told = [each for side in (old, new) if (each := _told(side)) is not None]
    characteristics = frozenset.intersection(*told) if told else None
    if characteristics is None or characteristics:
        of_properties |= {"characteristics"}
    with_property = bool(_shared(old, new, AXIOMS, ("property",)))
    left_out = [f"{kind}: {why}" for kind, why in lacking.items()]
    for what, table, has in (
        (TEXTS, CLASSES, of_classes),
        ((*TEXTS, *DESCRIPTION), PROPERTIES, of_properties),
        (("property",), AXIOMS, {"property"} if with_property else set()),
    ):
        if table in old and table in new and NEEDING[table] & kinds:
            left_out += [f"{each} in {table}: one side has no such column" for each in what if each not in has]
    if not kinds:
        raise DatabaseError(f"there is nothing that both hold and that could be compared: {'; '.join(left_out)}")
    return Scope(
        kinds,
        of_classes,
        of_properties,
        characteristics,
        with_property,
        with_annotations and bool(_shared(old, new, AXIOMS, ("annotations",))),
        bool(_shared(old, new, AXIOMS, ("inferred",))),
        tuple(left_out),
    )


def _lacking(old: Tables, new: Tables, wanted: frozenset[str]) -> Iterator[tuple[str, str]]:
    """Give the kinds that one side can't tell of, each with the reason."""
    for name, tables in (("OLD", old), ("NEW", new)):
        if CLASS in wanted and CLASSES not in tables:
            yield CLASS, f"{name} has no {CLASSES}"
        if PARENT in wanted and HIERARCHY not in tables and not _has(tables, CLASSES, "parent"):
            yield PARENT, f"{name} has no {HIERARCHY}"
        if PROPERTY in wanted and PROPERTIES not in tables:
            yield PROPERTY, f"{name} has no {PROPERTIES}"
        for kind in sorted({AXIOM, INFERRED} & wanted):
            if AXIOMS not in tables:
                yield kind, f"{name} has no {AXIOMS}"
            elif kind == INFERRED and not _has(tables, AXIOMS, "inferred"):
                yield kind, f"{name} does not tell which axioms were inferred"


def _has(tables: Tables, table: str, role: str) -> bool:
    return table in tables and role in tables[table].roles


def _shared(old: Tables, new: Tables, table: str, roles: tuple[str, ...]) -> frozenset[str]:
    return frozenset(role for role in roles if _has(old, table, role) and _has(new, table, role))


def _told(tables: Tables) -> frozenset[str] | None:
    """Give the characteristics of properties that a side has columns for; None where it can tell of all."""
    if _has(tables, PROPERTIES, "characteristics"):
        return None
    columns = tables[PROPERTIES].names if PROPERTIES in tables else ()
    return frozenset(name for column, name in CHARACTERISTICS.items() if column in columns)
