"""Proves that a clone is damaged: by checksums and by what is missing, never by an error alone.

An error may as well come from a permission, a full table of open files or a failing disk, and a clone is not to be
thrown away for these.
"""

from __future__ import annotations

import mmap
import threading
import zlib
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha1
from pathlib import Path

import pygit2
from pygit2.enums import FileMode

from visionflow_daemon.errors import DamageError

CHECKSUM = 20
"""Bytes of the SHA-1 that ends a pack and its index; https://git-scm.com/docs/pack-format."""


class Doubt:
    """Looks at a clone once for all who doubt it in a pass."""

    def __init__(self, path: Path, commit: str) -> None:
        self._path = path
        self._commit = commit
        self._lock = threading.Lock()
        self._is_settled = False

    def settle(self) -> None:
        """Raise DamageError when the clone is proven to be damaged; else the doubt is settled."""
        with self._lock:
            if self._is_settled:
                return
            with suppress(OSError):  # what can't be read proves nothing
                if found := proof(self._path, self._commit):
                    raise DamageError(f"the clone {self._path} is damaged: {found}")
            self._is_settled = True


def proof(path: Path, commit: str | None = None) -> str | None:
    """Say what proves that a clone is damaged; None when nothing does.

    With `commit`, all that its tree holds must be there. Raises OSError where a file can't be read, which proves
    nothing.
    """
    for found in _bad_files(path):
        return found
    return None if commit is None else next(_missing(path, commit), None)


def _bad_files(path: Path) -> Iterator[str]:
    for part in ("HEAD", "config"):
        if not (path / part).exists() or not (path / part).read_bytes().strip():
            yield f"{part} is empty or missing"
    packs = path / "objects" / "pack"
    for index in sorted(packs.glob("*.idx")):
        pack = index.with_suffix(".pack")
        if not pack.exists():
            yield f"{pack.name} is missing"
            continue
        ends = [_end(file) for file in (pack, index)]
        for file, end in zip((pack, index), ends, strict=True):
            if end is None:
                yield f"{file.name} does not have the checksum that it ends with"
        if ends[0] and ends[1] and index.read_bytes()[-2 * CHECKSUM : -CHECKSUM] != ends[0]:
            yield f"{index.name} is of another pack"
    for loose in sorted(path.glob("objects/[0-9a-f][0-9a-f]/*")):
        if not _is_whole(loose):
            yield f"object {loose.parent.name}{loose.name} is damaged"


def _end(path: Path) -> bytes | None:
    """Give the checksum that a file ends with; None where the file is not what it says."""
    with path.open("rb") as file:
        if path.stat().st_size <= CHECKSUM:
            return None
        with (
            mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
            memoryview(content) as view,
            view[:-CHECKSUM] as body,
            view[-CHECKSUM:] as end,
        ):
            return bytes(end) if sha1(body, usedforsecurity=False).digest() == end else None


def _is_whole(loose: Path) -> bool:
    try:
        content = zlib.decompress(loose.read_bytes())
    except zlib.error:
        return False
    return sha1(content, usedforsecurity=False).hexdigest() == loose.parent.name + loose.name


def _missing(path: Path, commit: str) -> Iterator[str]:
    """Name objects of a commit's tree that the clone does not hold."""
    repository = pygit2.Repository(str(path))
    try:
        try:
            trees = [repository[commit].peel(pygit2.Tree).id]
        except KeyError:
            yield f"commit {commit} is missing, or its tree"
            return
        while trees:
            for entry in repository[trees.pop()].peel(pygit2.Tree):
                if entry.filemode == FileMode.COMMIT:
                    continue
                if entry.id not in repository:
                    yield f"object {entry.id} is missing"
                elif entry.filemode == FileMode.TREE:
                    trees.append(entry.id)
    finally:
        repository.free()
