"""The files on disk of a checkout, as they are watched: by their stamps, without reading one."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pygit2

from visionflow_daemon.errors import VisionflowError
from visionflow_daemon.git import disk
from visionflow_daemon.git.changes import Selects
from visionflow_daemon.git.ignore import Ignored, ignored_in
from visionflow_daemon.git.laying import DEEPEST, GIT, Place, holds_repository, listed
from visionflow_daemon.git.overlay import work_tree
from visionflow_daemon.git.repository import objects_read, open_repository
from visionflow_daemon.git.watched import Branch, Places

MOST_WHOLE = 32
"""Folders at the top that are watched each by itself, a thread each; beyond, all is watched from the top."""


@dataclass(frozen=True, slots=True)
class Found:
    """A folder, or a file that belongs to the source, as it stands on disk."""

    path: bytes
    there: os.stat_result


@dataclass(frozen=True, slots=True)
class WorkTree:
    """A checkout's commit and the selected files on disk."""

    branch: Branch
    selects: Selects

    @property
    def name(self) -> Path:
        """Where it is, for messages."""
        return self.branch.name

    def places(self) -> Places:
        """Give the branch's folders, and all that files may be saved in: but for those that git ignores as a whole."""
        own = self.branch.places()
        try:
            top, found = self._look_around()
        except (VisionflowError, OSError, pygit2.GitError, KeyError, ValueError):
            return Places()
        folders = [each for each in found if stat.S_ISDIR(each.there.st_mode)]
        whole = frozenset(top / os.fsdecode(each.path) for each in folders if each.path.count(b"/") == 1)
        nodes = own.nodes | {each.there.st_ino for each in folders} | {top.stat().st_ino}
        if len(whole) > MOST_WHOLE:
            return Places(own.single, frozenset({top}), nodes)
        return Places(own.single | {top}, whole, nodes)

    def look(self) -> str | None:
        """Give a digest of the commit and of the files' stamps."""
        commit = self.branch.look()
        if commit is None:
            return None
        digest = sha256(commit.encode())
        try:
            for each in self._look_around()[1]:
                if not stat.S_ISDIR(each.there.st_mode):
                    digest.update(repr((each.path, each.there.st_mode, disk.stamp_of(each.there))).encode())
        except (VisionflowError, OSError, pygit2.GitError, KeyError, ValueError):
            return None
        return digest.hexdigest()

    def told(self, seen: str | None) -> str:
        """Say that something is different."""
        return "files on disk" if seen else "the work tree can't be read"

    def _look_around(self) -> tuple[Path, list[Found]]:
        repository = open_repository(self.name)
        try:
            with objects_read():
                top = work_tree(repository, self.name)
                tree = None if repository.head_is_unborn else repository.head.peel(pygit2.Tree)
                with disk.folder(os.fsencode(top)) as descriptor:
                    return top, list(self._folder(Place(descriptor, b"", ignored_in(repository)), tree))
        finally:
            repository.free()

    def _folder(self, above: Place, tree: pygit2.Tree | None) -> Iterator[Found]:
        """Give what is in a folder, in a fixed order; what goes meanwhile, or can't be read, is not there."""
        place = above.with_own_rules()
        theirs = {} if tree is None else {each.raw_name or b"": each for each in tree}
        for name, there in sorted(listed(place.descriptor).items()):
            path, known = place.prefix + name, theirs.get(name)
            if stat.S_ISDIR(there.st_mode):
                if name != GIT:
                    yield from self._subfolder(place, name, there, known if isinstance(known, pygit2.Tree) else None)
            elif self.selects(path) and (known is not None or not place.ignored.hides(path)):
                yield Found(path, there)

    def _subfolder(self, place: Place, name: bytes, there: os.stat_result, tree: pygit2.Tree | None) -> Iterator[Found]:
        path = place.prefix + name + b"/"
        is_hidden = place.ignored.hides(path)
        if tree is None and is_hidden:
            return
        with suppress(OSError), disk.folder(name, place.descriptor) as within:
            if path.count(b"/") > DEEPEST or (tree is None and holds_repository(within)):
                return
            yield Found(path, there)
            ignored = Ignored(is_all=True) if is_hidden else place.ignored
            yield from self._folder(Place(within, path, ignored), tree)
