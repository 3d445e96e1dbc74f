"""Keeps what stands on disk and in no commit, as git objects in a repository of ours beside a checkout's own."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha1, sha256
from pathlib import Path

import orjson
import pygit2
from pygit2.enums import FileMode, ObjectType

from visionflow_daemon.errors import SourceError, StateError, TransientError
from visionflow_daemon.git import clone
from visionflow_daemon.git.worktree.disk import Stamp

FOLDER = "worktrees"
NOTE = "visionflow.json"
"""The file in the store that holds the last tree and the stamps of the files that it was made of."""

FEW = 1_000
"""Objects that the store may hold before those of no use any more are deleted."""

YOUNG = 3_600.0
"""Seconds for which no object is deleted: a pass may be about to refer to it."""

COMPRESSION = 1
OBJECTS = "[0-9a-f][0-9a-f]/*"


@dataclass(frozen=True, slots=True)
class Entry:
    """What a name in a tree leads to."""

    mode: int
    oid: pygit2.Oid


@dataclass(slots=True)
class Note:
    """The last tree that was laid, and, for each file on disk whose stamp tells its content, stamp and blob."""

    tree: str | None = None
    stamps: dict[bytes, tuple[Stamp, pygit2.Oid]] = field(default_factory=dict)


def store_path(state: Path, database: str, ontology_id: str) -> Path:
    """Give the place of an ontology's store under the state directory; one that names no other ontology's."""
    name = sha256(f"{database}\0{ontology_id}".encode()).hexdigest()[:16]
    return state / FOLDER / f"{name}.git"


def place_of(state: Path, database: str, ontology_id: str) -> Path:
    """Give where the files on disk can be read as they were synced. Raises SourceError where none were."""
    place = store_path(state, database, ontology_id)
    if not place.exists():
        raise SourceError("no files on disk were synced yet: run a pass first")
    return place


class Store:
    """The store of one ontology. `repository` reads from it, and from the checkout's own objects behind it.

    Raises DamageError for one that is no repository any more, StateError for one that can't be written.
    """

    def __init__(self, place: Path, objects: Path) -> None:
        self.place = place
        with clone.alone(place):
            try:
                clone.opened(place).free()
            except (pygit2.GitError, OSError) as error:
                raise StateError(f"can't make the repository {place}: {error}") from error
            _stand_behind(place, objects)
        self.repository = pygit2.Repository(str(place))
        # Written by itself: what the checkout holds is not looked for, lest it be touched, or gone when it is needed.
        self._own = pygit2.Odb()
        backend = pygit2.OdbBackendLoose(str(place / "objects"), COMPRESSION, False, 0o700, 0o400)
        self._own.add_backend(backend, 1)
        self.note = _read_note(place / NOTE)

    def close(self) -> None:
        """Let go of the repository."""
        self.repository.free()

    def holds(self, oid: pygit2.Oid) -> bool:
        """Tell whether an object is in the store itself. Raises GitError where it is there, and can't be read."""
        return oid in self._own and self._own.read_header(oid) is not None

    def put_blob(self, data: bytes) -> pygit2.Oid:
        """Keep a file's content."""
        return self._put(ObjectType.BLOB, data)

    def put_tree(self, entries: dict[bytes, Entry]) -> pygit2.Oid:
        """Keep a folder. Written here, since libgit2's builder takes no name that is not UTF-8."""
        lines = (b"%o %s\0%s" % (each.mode, name, each.oid.raw) for name, each in sorted(entries.items(), key=_in_git))
        return self._put(ObjectType.TREE, b"".join(lines))

    def _put(self, kind: ObjectType, data: bytes) -> pygit2.Oid:
        try:
            return self._own.write(kind, data)
        except pygit2.GitError as error:
            raise StateError(f"can't keep files on disk in {self.place}: {error}") from error

    def keep(self, note: Note) -> None:
        """Remember what was laid."""
        if note == self.note:
            return
        stamps = {path.decode("latin-1"): [*stamp, str(oid)] for path, (stamp, oid) in note.stamps.items()}
        _write(self.place / NOTE, orjson.dumps({"tree": note.tree, "stamps": stamps}))
        self.note = note


def blob_id(data: bytes) -> pygit2.Oid:
    """Give the id that git gives to a content."""
    digest = sha1(b"blob %d\0" % len(data), usedforsecurity=False)
    digest.update(data)
    return pygit2.Oid(raw=digest.digest())


def marker(*parts: object) -> pygit2.Oid:
    """Give an id that stands for a content that can't be taken, as long as what is said of it stays the same."""
    return pygit2.Oid(raw=sha1(repr(parts).encode("utf-8", "backslashreplace"), usedforsecurity=False).digest())


def tidy(place: Path, treeish: Iterable[str], blobs: Iterable[str], now: float | None = None) -> int:
    """Delete the objects that none of these trees and blobs need, where there are many; tell how many went.

    While somebody reads the store, it is left as it is, and so is what is younger than an hour.
    """
    found = list(_loose(place))
    if len(found) <= FEW:
        return 0
    until = (time.time() if now is None else now) - YOUNG
    gone = 0
    with suppress(TransientError), clone.unused(place, 0):
        needed = _reachable(place, treeish) | {pygit2.Oid(hex=blob).raw for blob in blobs}
        for path in found:
            with suppress(OSError, ValueError):
                if path.stat().st_mtime < until and not _is_needed(path, needed):
                    path.unlink()
                    gone += 1
    return gone


def _is_needed(path: Path, needed: set[bytes]) -> bool:
    name = path.parent.name + path.name
    return len(name) == 40 and bytes.fromhex(name) in needed  # noqa: PLR2004 - else it is litter of a killed write


def _loose(place: Path) -> Iterator[Path]:
    yield from (place / "objects").glob(OBJECTS)


def _reachable(place: Path, treeish: Iterable[str]) -> set[bytes]:
    repository = pygit2.Repository(str(place))
    needed: set[bytes] = set()
    try:
        waiting = [repository[each].peel(pygit2.Tree) for each in treeish if each in repository]
        while waiting:
            tree = waiting.pop()
            if tree.id.raw in needed:
                continue
            needed.add(tree.id.raw)
            for entry in tree:
                if entry.filemode == FileMode.TREE:
                    waiting.append(repository[entry.id].peel(pygit2.Tree))
                else:
                    needed.add(entry.id.raw)
    finally:
        repository.free()
    return needed


def _stand_behind(place: Path, objects: Path) -> None:
    """Let the store read what the checkout holds: git's alternates, https://git-scm.com/docs/gitrepository-layout."""
    line = os.fsencode(objects) + b"\n"
    if line.count(b"\n") > 1:
        raise SourceError(f"the path of the checkout holds a line break, which git's alternates can't: {objects!r}")
    path = place / "objects" / "info" / "alternates"
    if path.is_file() and path.read_bytes() == line:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, line)


def _write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all. Raises StateError."""
    fresh = path.with_name(f"{path.name}.new")
    try:
        fresh.write_bytes(data)
        fresh.replace(path)
    except OSError as error:
        raise StateError(f"can't write {path}: {error.strerror}") from error


def _read_note(path: Path) -> Note:
    """Read the note; where there is none that can be read, all files are read anew."""
    try:
        found = orjson.loads(path.read_bytes())
        stamps = {name.encode("latin-1"): _stamped(*told) for name, told in found["stamps"].items()}
        return Note(found["tree"], stamps)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return Note()


def _stamped(modified: int, changed: int, size: int, node: int, device: int, oid: str) -> tuple[Stamp, pygit2.Oid]:
    return (modified, changed, size, node, device), pygit2.Oid(hex=oid)


def _in_git(item: tuple[bytes, Entry]) -> bytes:
    """Sort as git does: folders as if their names ended in a slash."""
    name, entry = item
    return name + b"/" if entry.mode == FileMode.TREE else name
