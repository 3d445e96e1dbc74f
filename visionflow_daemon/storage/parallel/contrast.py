"""Lays what two databases say side by side, and tells what is missing, extra or different."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from visionflow_daemon.storage.compare import side_by_side
from visionflow_daemon.storage.parallel import norms
from visionflow_daemon.storage.parallel.norms import Norms
from visionflow_daemon.storage.parallel.scope import AXIOM, CLASS, INFERRED, PARENT, PROPERTY, TEXTS, Scope
from visionflow_daemon.storage.parallel.sheet import Line, Section, Sheet

OF_SECTION = {
    Section.CLASS: CLASS,
    Section.PARENT: PARENT,
    Section.PROPERTY: PROPERTY,
    Section.AXIOM: AXIOM,
    Section.INFERRED: INFERRED,
}
DESCRIBED = (CLASS, PROPERTY)
"""Kinds that have a label and a comment of their own."""

MISSING, EXTRA, DIFFERENT = "missing", "extra", "different"
Said = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Contrast:
    """One thing that one side says, or both say differently. `of` is what a label or comment belongs to.

    `old` and `new` are what each side says of it: None for nothing, and of different ones only what differs.
    """

    kind: str
    of: str | None
    key: Mapping[str, str]
    old: Said | None
    new: Said | None

    @property
    def what(self) -> str:
        """Say in one word how the sides differ, as seen from the old one."""
        if self.old is None:
            return EXTRA
        return MISSING if self.new is None else DIFFERENT


@dataclass(slots=True)
class Count:
    """How many things of a kind each side says, and how they compare."""

    old: int = 0
    new: int = 0
    equal: int = 0
    missing: int = 0
    extra: int = 0
    different: int = 0


@dataclass(frozen=True, slots=True)
class Contraster:
    """One comparison at work: what is compared, and what was counted so far."""

    scope: Scope
    counts: dict[str, Count] = field(default_factory=dict)

    def contrasts(self, old: Sheet, new: Sheet) -> Iterator[Contrast]:
        """Give what differs, in the order of sections and names; no more than a line of each side is held."""
        for kind in self.scope.kinds:
            self.counts[kind] = Count()
        for before, after in side_by_side(old.lines(), new.lines(), lambda line: line.place):
            yield from self._of_lines(before, after, old.norms, new.norms)

    def _of_lines(self, old: Line | None, new: Line | None, old_norms: Norms, new_norms: Norms) -> Iterator[Contrast]:
        line = old or new
        assert line is not None  # noqa: S101 - a pair has one at least
        section = Section(line.section)
        kind = OF_SECTION[section]
        before, after = _said(old), _said(new)
        key = dict(zip(_key_names(self.scope, section), orjson.loads(line.key), strict=True))
        if line.is_optional and (old is None or new is None):
            if kind in self.scope.kinds:
                (old_norms if new is None else new_norms).note(norms.UNDECLARED if kind in DESCRIBED else norms.IMPLIED)
        else:
            yield from self._compared(kind, None, key, _without_texts(before), _without_texts(after))
        if kind in DESCRIBED:
            for text in TEXTS:
                yield from self._compared(text, kind, key, _text(before, text), _text(after, text))

    def _compared(self, kind: str, of: str | None, key: Said, old: Said | None, new: Said | None) -> Iterator[Contrast]:
        if kind not in self.scope.kinds or (old is None and new is None):
            return
        count = self.counts[kind]
        count.old += old is not None
        count.new += new is not None
        if old == new:
            count.equal += 1
            return
        if old is not None and new is not None:
            count.different += 1
            differing = [name for name in old if old[name] != new[name]]
            old, new = {name: old[name] for name in differing}, {name: new[name] for name in differing}
        elif new is None:
            count.missing += 1
        else:
            count.extra += 1
        yield Contrast(kind, of, key, old, new)


def _key_names(scope: Scope, section: Section) -> tuple[str, ...]:
    if section in (Section.CLASS, Section.PROPERTY):
        return ("iri",)
    if section is Section.PARENT:
        return ("iri", "parent")
    parts = ("property",) * scope.with_property + ("annotations",) * scope.with_annotations
    return ("type", "subject", "object", *parts)


def _said(line: Line | None) -> Said | None:
    return None if line is None else orjson.loads(line.says)


def _without_texts(said: Said | None) -> Said | None:
    return None if said is None else {name: value for name, value in said.items() if name not in TEXTS}


def _text(said: Said | None, name: str) -> Said | None:
    value = said.get(name) if said is not None else None
    return None if value is None else {name: value}
