"""Keeps the packs of a clone few: each fetch adds one, and libgit2 never joins them (ADR 0015)."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pygit2

MOST = 24
"""Packs that a clone may have before small ones are joined."""

FACTOR = 2
"""A pack stays as it is while it has so many times the objects of all smaller ones together."""

SLACK = 64 << 20
"""Bytes by which a clone may outgrow twice its first size before it is fetched anew, without what nobody refers to."""

NOTE = "visionflow.json"
"""The file in a clone that tells what its packs were when they were last found whole, and their bytes at first."""

HEADER = struct.Struct(">4sI1020xI")
"""An index of version 2: magic, version, 255 counts and the number of objects; https://git-scm.com/docs/pack-format."""

MAGIC = b"\xfftOc"
ID = 20


@dataclass(frozen=True, slots=True)
class Pack:
    """One pack of a clone, by its index."""

    index: Path
    objects: int


def packs(clone: Path) -> list[Pack]:
    """List the packs of a clone, the largest first."""
    found = []
    for index in (clone / "objects" / "pack").glob("*.idx"):
        with index.open("rb") as file:
            head = file.read(HEADER.size)
        if len(head) == HEADER.size and head.startswith(MAGIC):
            found.append(Pack(index, HEADER.unpack(head)[2]))
    return sorted(found, key=lambda pack: (-pack.objects, pack.index.name))


def to_join(found: list[Pack]) -> list[Pack]:
    """Choose the small packs to join: each that stays has FACTOR times the objects of all behind it.

    So an object is copied a number of times that grows with the logarithm of what the clone holds.
    """
    behind = sum(pack.objects for pack in found)
    for at, pack in enumerate(found):
        behind -= pack.objects
        if pack.objects < FACTOR * behind:
            return found[at:]
    return []


def join(clone: Path) -> int:
    """Join small packs into one where there are too many; tell how many there were. For who is `alone` and `unused`.

    The new pack is there, whole, before an old one goes.
    """
    found = packs(clone)
    if len(found) <= MOST:
        return 0
    old = to_join(found)
    repository = pygit2.Repository(str(clone))
    try:
        builder = pygit2.PackBuilder(repository)
        builder.set_threads(1)
        for pack in old:
            for oid in _ids(pack):
                builder.add(oid)
        folder = clone / "objects" / "pack"
        before = set(folder.glob("*.idx"))
        builder.write(str(folder))
    finally:
        repository.free()
    is_new = bool(set(folder.glob("*.idx")) - before)
    for pack in old if is_new else old[1:]:  # the largest had all the objects, and was written again
        pack.index.unlink()
        pack.index.with_suffix(".pack").unlink()
    note(clone)
    return len(old)


def are_as_noted(clone: Path) -> bool:
    """Tell whether the packs are those of the note, untouched since: others may be damaged, and are to be looked at."""
    return _noted(clone).get("packs") == _stamps(clone)


def note(clone: Path) -> None:
    """Note the packs as they are: found whole, or just written."""
    stamps = _stamps(clone)
    first = _noted(clone).get("first_bytes") or sum(size for size, _ in stamps.values())
    (clone / NOTE).write_bytes(orjson.dumps({"first_bytes": first, "packs": stamps}))


def is_outgrown(clone: Path) -> bool:
    """Tell whether a clone has grown so much that it is better fetched anew: most of it may be of no use any more."""
    first = _noted(clone).get("first_bytes")
    return isinstance(first, int) and sum(size for size, _ in _stamps(clone).values()) > 2 * first + SLACK


def _stamps(clone: Path) -> dict[str, list[int]]:
    """Give size and time of change of each file of the packs."""
    files = [path for suffix in ("pack", "idx") for path in (clone / "objects" / "pack").glob(f"*.{suffix}")]
    return {path.name: [path.stat().st_size, path.stat().st_mtime_ns] for path in files}


def _noted(clone: Path) -> dict[str, Any]:
    try:
        found = orjson.loads((clone / NOTE).read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _ids(pack: Pack) -> list[pygit2.Oid]:
    with pack.index.open("rb") as file:
        file.seek(HEADER.size)
        names = file.read(pack.objects * ID)
    return [pygit2.Oid(raw=names[at : at + ID]) for at in range(0, len(names), ID)]
