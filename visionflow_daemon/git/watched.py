"""What can be watched of a repository on this machine: the folders in which it changes, and what tells that it has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pygit2

from visionflow_daemon.errors import VisionflowError
from visionflow_daemon.git.repository import find_local, local_path, open_repository, shared_folder


@dataclass(frozen=True, slots=True)
class Places:
    """Folders to ask for events of: `single` each by itself, `whole` with all below; `nodes` has the inode of each."""

    single: frozenset[Path] = frozenset()
    whole: frozenset[Path] = frozenset()
    nodes: frozenset[int] = frozenset()

    def __bool__(self) -> bool:
        """Tell whether there is something to watch."""
        return bool(self.single or self.whole)


class Watched(Protocol):
    """What is watched."""

    @property
    def name(self) -> Path:
        """Where it is, for messages."""

    def places(self) -> Places:
        """Give the folders in which it may change; none while there is no repository that can be read."""

    def look(self) -> str | None:
        """Give what differs whenever it has changed; None while it can't be read, which a pass finds the words for."""

    def told(self, seen: str | None) -> str:
        """Say in words what was seen."""


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch of a repository, or what its HEAD names."""

    location: str
    branch: str | None
    base: Path

    @property
    def name(self) -> Path:
        """Where it is, for messages."""
        return local_path(self.location, self.base)

    def places(self) -> Places:
        """Give the folders that hold the repository's HEAD, its packed branches, and the branch by itself."""
        try:
            single = frozenset(_folders(self.name, self.branch))
            return Places(single, nodes=frozenset(place.stat().st_ino for place in single))
        except (VisionflowError, OSError, pygit2.GitError, KeyError):
            return Places()

    def look(self) -> str | None:
        """Give the branch's commit."""
        try:
            return find_local(self.location, self.branch, self.base).commit
        except (VisionflowError, OSError):
            return None

    def told(self, seen: str | None) -> str:
        """Name the commit."""
        return f"commit {seen[:12]}" if seen else "the branch can't be read"


def _folders(path: Path, branch: str | None) -> Iterator[Path]:
    repository = open_repository(path)
    try:
        own = Path(repository.path)
        shared = shared_folder(repository)  # a linked worktree's HEAD is its own, the branches are everybody's
        name = f"refs/heads/{branch}" if branch else repository.lookup_reference("HEAD").target
    finally:
        repository.free()
    yield own.resolve()
    yield shared
    folder = shared / "refs" / "heads"
    yield folder
    if isinstance(name, str):  # else HEAD names a commit
        for part in name.split("/")[2:-1]:
            folder /= part
            if not folder.is_dir():
                return
            yield folder
