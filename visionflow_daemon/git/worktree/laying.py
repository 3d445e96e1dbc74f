"""Lays a work tree's files over a commit's tree, folder by folder: what git would hold if all were added now."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pygit2
from pygit2.enums import FileMode

from visionflow_daemon.errors import SourceError
from visionflow_daemon.git.changes import Selects
from visionflow_daemon.git.worktree import disk
from visionflow_daemon.git.worktree.disk import Patience, Stamp, UnsettledError
from visionflow_daemon.git.worktree.ignore import Ignored, ignored_in
from visionflow_daemon.git.worktree.store import Entry, Store, blob_id, marker

DEEPEST = 100
"""Folders within folders that are looked into."""

LOCK_YOUNG = 5.0
"""Seconds for which git's lock of its index tells that it is at work on the files; an older one was left behind."""

BLOBS = (FileMode.BLOB, FileMode.BLOB_EXECUTABLE)
GIT = b".git"


@dataclass(frozen=True, slots=True)
class Place:
    """A folder on disk that is open, its path from the top, with a slash behind, and what git ignores in it."""

    descriptor: int
    prefix: bytes
    ignored: Ignored

    def with_own_rules(self) -> Place:
        """Give the place by the rules that stand in it, too."""
        return replace(self, ignored=self.ignored.within(self.descriptor, self.prefix))


@dataclass(slots=True)
class Laying:
    """One look at a work tree; a folder in which nothing differs stays the commit's own.

    `stamps` are to be remembered for the next look. `unread` has the reason for each blob whose content could not be
    taken, `kept` that for each path at which the last look, or else the commit, still counts.
    """

    repository: pygit2.Repository
    store: Store
    selects: Selects
    limit: int
    sleep: Callable[[float], None]
    stamps: dict[bytes, tuple[Stamp, pygit2.Oid]] = field(default_factory=dict)
    unread: dict[str, str] = field(default_factory=dict)
    kept: list[tuple[bytes, str]] = field(default_factory=list)
    patience: Patience = field(init=False)

    def __post_init__(self) -> None:
        """Begin to wait."""
        self.patience = Patience(self.sleep)

    def wait_for_git(self) -> None:
        """Wait while git itself writes the files, as it does for a checkout of another commit."""
        lock = Path(self.repository.path) / "index.lock"
        try:
            while time.time() - lock.stat().st_mtime < LOCK_YOUNG:
                self.patience.wait(disk.SETTLED)
        except (OSError, UnsettledError):
            return

    def lay(self, top: Path, tree: pygit2.Tree) -> pygit2.Oid:
        """Give the tree of the files on disk laid over a commit's. Raises SourceError where they can't be seen."""
        before = self._tree(self.store.note.tree)
        try:
            with disk.folder(os.fsencode(top)) as descriptor:
                if len(tree) and not listed(descriptor):  # git's own files may lie elsewhere
                    raise SourceError(f"the work tree at {top} is empty: is its file system mounted?")
                entry = self._folder(Place(descriptor, b"", ignored_in(self.repository)), tree, before)
        except OSError as error:
            raise SourceError(f"the work tree at {top} can't be read: {error.strerror}") from error
        return entry.oid if entry else self.store.put_tree({})

    def _folder(self, above: Place, tree: pygit2.Tree | None, before: pygit2.Tree | None) -> Entry | None:
        """Lay one folder that is on disk; None where nothing is in it."""
        place = above.with_own_rules()
        theirs, last = _entries(tree), _entries(before)
        there = listed(place.descriptor)
        ours = {}
        for name in sorted(theirs.keys() | there.keys()):
            if name == GIT:
                continue
            if entry := self._entry(place, name, there.get(name), theirs.get(name), last.get(name)):
                ours[name] = entry
        return self._made(tree, theirs, ours)

    def _made(self, tree: pygit2.Tree | None, theirs: dict[bytes, Entry], ours: dict[bytes, Entry]) -> Entry | None:
        """Give the tree of a folder, which is the commit's own where both hold the same; None where it is empty."""
        if tree is not None and ours == theirs:
            return Entry(FileMode.TREE, tree.id)
        return Entry(FileMode.TREE, self.store.put_tree(ours)) if ours else None

    def _entry(
        self, place: Place, name: bytes, there: os.stat_result | None, theirs: Entry | None, last: Entry | None
    ) -> Entry | None:
        """Lay one name: what is on disk over what the commit has; `last` is what was laid the last time."""
        path = place.prefix + name
        if theirs is not None and theirs.mode == FileMode.COMMIT:
            return theirs  # a submodule: what is in it is another repository's
        if there is not None:
            if stat.S_ISDIR(there.st_mode):
                return self._subfolder(place, name, theirs, last)
            is_file = stat.S_ISREG(there.st_mode) or stat.S_ISLNK(there.st_mode)
            if is_file and self.selects(path):
                return self._file(place, name, there, theirs, last)
        return self._absent(path, theirs)

    def _absent(self, path: bytes, theirs: Entry | None) -> Entry | None:
        """Lay what is not on disk: selected files are gone, the others stay as the commit has them."""
        if theirs is None or theirs.mode == FileMode.COMMIT:
            return theirs
        if theirs.mode != FileMode.TREE:
            return None if self.selects(path) else theirs
        tree = self._tree(theirs.oid)
        inner = _entries(tree)
        left = {name: self._absent(path + b"/" + name, each) for name, each in inner.items()}
        return self._made(tree, inner, {name: each for name, each in left.items() if each is not None})

    def _subfolder(self, place: Place, name: bytes, theirs: Entry | None, last: Entry | None) -> Entry | None:
        path = place.prefix + name
        tree = self._tree(theirs.oid) if theirs is not None and theirs.mode == FileMode.TREE else None
        before = self._tree(last.oid) if last is not None and last.mode == FileMode.TREE else None
        is_hidden = place.ignored.hides(path + b"/")
        if tree is None and is_hidden:
            return None
        try:
            with disk.folder(name, place.descriptor) as descriptor:
                if tree is None and holds_repository(descriptor):
                    return None
                if path.count(b"/") >= DEEPEST:
                    raise OSError(0, f"it lies deeper than {DEEPEST} folders")  # noqa: TRY301 - as any that can't be read
                ignored = Ignored(is_all=True) if is_hidden else place.ignored
                return self._folder(Place(descriptor, path + b"/", ignored), tree, before)
        except (FileNotFoundError, NotADirectoryError):
            return self._absent(path, theirs)  # it went meanwhile
        except OSError as error:
            self.kept.append((path, f"the folder can't be read: {error.strerror}"))
            return last or theirs

    def _file(
        self, place: Place, name: bytes, there: os.stat_result, theirs: Entry | None, last: Entry | None
    ) -> Entry | None:
        path = place.prefix + name
        own = theirs if theirs is not None and theirs.mode != FileMode.TREE else None
        if own is None and place.ignored.hides(path):
            return self._absent(path, theirs)
        mode = own.mode if own is not None and own.mode in BLOBS else FileMode.BLOB
        try:
            if stat.S_ISLNK(there.st_mode):
                return Entry(FileMode.LINK, self._kept(os.readlink(name, dir_fd=place.descriptor), own))
            return Entry(mode, self._content(place.descriptor, path, name, there, own))
        except FileNotFoundError:
            return None
        except UnsettledError:
            self.kept.append((path, "it is being written; the next pass looks again"))
            return last or own
        except OSError as error:
            return Entry(mode, self._unread(path, f"it can't be read on disk: {error.strerror}"))

    def _content(self, within: int, path: bytes, name: bytes, there: os.stat_result, own: Entry | None) -> pygit2.Oid:
        """Give the id of a file's content, which is kept unless the commit has it."""
        stamp, oid = self.store.note.stamps.get(path, (None, None))
        if oid is not None and stamp == disk.stamp_of(there) and ((own and own.oid == oid) or self.store.holds(oid)):
            self.stamps[path] = (stamp, oid)
            return oid
        self.sleep(0)  # a work tree may be large: whoever is asked to stop hears of it here
        content = disk.read(name, within, self.limit, self.patience)
        if isinstance(content, int):
            return self._unread(path, f"the file has {content:,} bytes, the limit is {self.limit:,}")
        oid = self._kept(content.data, own, path)
        if content.stamp is not None:
            self.stamps[path] = (content.stamp, oid)
        return oid

    def _kept(self, data: bytes, own: Entry | None, path: bytes | None = None) -> pygit2.Oid:
        if own is not None and own.oid == blob_id(data):
            return own.oid
        if path is not None:
            data = self._cleaned(path, data)
            if own is not None and own.oid == blob_id(data):
                return own.oid
        return self.store.put_blob(data)

    def _cleaned(self, path: bytes, data: bytes) -> bytes:
        """Give a content as git would store it: line ends by core.autocrlf and .gitattributes."""
        try:
            filters = self.repository.load_filter_list(_text(path))
            return data if filters is None else filters.apply_to_buffer(data)
        except (pygit2.GitError, ValueError, KeyError):
            return data  # git would refuse to add it (core.safecrlf); it is read as it is

    def _unread(self, path: bytes, reason: str) -> pygit2.Oid:
        oid = marker(path, reason)
        self.unread[str(oid)] = reason
        return oid

    def _tree(self, oid: pygit2.Oid | str | None) -> pygit2.Tree | None:
        found = self.store.repository.get(oid) if oid is not None else None
        return found if isinstance(found, pygit2.Tree) else None


def _entries(tree: pygit2.Tree | None) -> dict[bytes, Entry]:
    return {} if tree is None else {each.raw_name or b"": Entry(each.filemode, each.id) for each in tree}


def listed(descriptor: int) -> dict[bytes, os.stat_result]:
    """Give what a folder holds; what goes meanwhile is not there."""
    found: dict[bytes, os.stat_result] = {}
    with os.scandir(descriptor) as entries:
        for entry in entries:
            try:
                found[os.fsencode(entry.name)] = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
    return found


def holds_repository(descriptor: int) -> bool:
    """Tell whether a folder is another repository's work tree, which git does not look into."""
    try:
        os.stat(GIT, dir_fd=descriptor, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _text(path: bytes) -> str:
    """Give a path as libgit2's binding takes it, for rules of names: bytes that are not UTF-8 match no letter."""
    return path.decode("utf-8", "replace")
