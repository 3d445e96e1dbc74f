"""Where commits and blobs are read from: a repository on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pygit2
from pygit2.enums import FileMode, ObjectType

from visionflow_daemon.errors import ObjectError, PageError, SourceError
from visionflow_daemon.model import EntryKind, display_path

MAPPED_LIMIT = 32 << 20
"""Bytes of packs mapped at once; libgit2's default is 8 GiB."""

WINDOW_SIZE = 8 << 20
OBJECT_CACHE = 8 << 20
"""Bytes of objects kept in memory; each page is read once."""

OPEN_PACKS = 64
KINDS = {FileMode.LINK: EntryKind.SYMLINK, FileMode.COMMIT: EntryKind.SUBMODULE}
DETACHED = "HEAD"


@dataclass(frozen=True, slots=True)
class Network:
    """How long a remote may take, in seconds: to connect, from one read to the next, and for all that a pass asks.

    The third holds against a server that sends a byte now and then, too: it includes further attempts (ADR 0014).
    `fetch_bytes` is what one fetch may bring.
    """

    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    fetch_timeout: float = 600.0
    fetch_bytes: int = 4 << 30


@dataclass(frozen=True, slots=True)
class Target:
    """The commit that a pass goes to. `branch` is "HEAD" where a checkout is on no branch.

    `overlay` is the id of the tree that the files on disk make when they are laid over the commit's; None where none
    differs, or none is looked at. `unread` has the reason for each blob of that tree that could not be taken from disk.
    `is_clone`: the repository is one of our own, which may be made anew.
    """

    repository: Path
    source: str
    branch: str
    commit: str
    is_clone: bool = False
    overlay: str | None = None
    unread: Mapping[str, str] = field(default_factory=dict)

    @property
    def treeish(self) -> str:
        """What names the tree that is synced: the overlay, or else the commit."""
        return self.overlay or self.commit


def configure(network: Network) -> None:
    """Bound libgit2's memory and its patience, for the whole process."""
    pygit2.settings.mwindow_size = WINDOW_SIZE
    pygit2.settings.mwindow_mapped_limit = MAPPED_LIMIT
    pygit2.settings.mwindow_file_limit = OPEN_PACKS
    pygit2.settings.cache_max_size(OBJECT_CACHE)
    pygit2.settings.server_connect_timeout = int(network.connect_timeout * 1000)
    pygit2.settings.server_timeout = int(network.read_timeout * 1000)
    # As git itself reads: zlib's checksum is checked for each object, its hash when it is fetched (ADR 0011).
    pygit2.settings.enable_strict_hash_verification(False)
    # A repository is read because the operator names it, whoever owns it; nothing in it is ever executed.
    pygit2.settings.owner_validation = False


def open_repository(path: Path) -> pygit2.Repository:
    """Open a repository: one handle serves one thread. Raises SourceError where none can be read."""
    if not path.exists():
        raise SourceError(f"there is nothing at {path}: give the path of a git repository, or its URL")
    if not path.is_dir():
        raise SourceError(f"{path} is a file: give the folder of a git repository")
    try:
        return pygit2.Repository(str(path))
    except (pygit2.GitError, KeyError) as error:
        if "repositoryformatversion" in str(error) or "extension" in str(error):
            raise SourceError(f"the repository at {path} has a format that can't be read here: {error}") from error
        raise SourceError(f"there is no git repository at {path} that can be read: {error}") from error


def find_local(location: str, branch: str | None, base: Path) -> Target:
    """Find the commit of a repository on this machine, which is only read.

    Raises SourceError, and ObjectError for a repository that is damaged.
    """
    path = local_path(location, base)
    repository = open_repository(path)
    try:
        with objects_read():
            return target_of(repository, path, branch)
    finally:
        repository.free()


def local_path(location: str, base: Path) -> Path:
    """Give the place of a repository on this machine; relative ones start at `base`."""
    return (base / Path(location).expanduser()).resolve()


def shared_folder(repository: pygit2.Repository) -> Path:
    """Give the folder that holds a repository's objects and branches; a linked worktree has them elsewhere."""
    own = Path(repository.path)
    if (own / "commondir").is_file():
        return (own / (own / "commondir").read_text("utf-8").strip()).resolve()
    return own.resolve()


def target_of(repository: pygit2.Repository, path: Path, branch: str | None) -> Target:
    """Give the commit of a branch, or of HEAD. Raises SourceError where there is none; for `objects_read`."""
    if branch is None:
        if repository.head_is_unborn:
            raise SourceError(_nothing_yet(repository, str(path)))
        head = repository.head
        name = DETACHED if repository.head_is_detached else head.shorthand
        return Target(path, _name(path), name, str(head.peel(pygit2.Commit).id))
    try:
        reference = repository.references[f"refs/heads/{branch}"]
    except (KeyError, ValueError, pygit2.GitError):
        known = ", ".join(sorted(repository.branches.local)[:10])
        if not known:
            raise SourceError(f"the repository at {path} has no commit yet") from None
        raise SourceError(f"the repository at {path} has no branch {branch!r}; it has: {known}") from None
    return Target(path, _name(path), branch, str(reference.peel(pygit2.Commit).id))


def _name(path: Path) -> str:
    """Name a repository in a form that can be stored and shown, also where its path is no UTF-8."""
    return display_path(os.fsencode(path))


def _nothing_yet(repository: pygit2.Repository, where: str) -> str:
    """Say why there is no commit at HEAD: none at all, or none on the branch that HEAD names."""
    named = repository.lookup_reference("HEAD").target
    if known := sorted(repository.branches.local)[:10]:
        return f"HEAD of {where} names {named}, which doesn't exist; give --branch one of: {', '.join(known)}"
    return f"the repository at {where} has no commit yet"


@contextmanager
def objects_read(what: str = "the repository") -> Iterator[None]:
    """Turn libgit2's ways of saying that an object can't be read into one: ObjectError."""
    try:
        yield
    except (pygit2.GitError, KeyError, ValueError) as error:
        raise ObjectError(f"{what} can't be read: {error}; `git fsck` in the repository may tell more") from error


def has_commit(path: Path, commit: str) -> bool:
    """Tell whether a repository still holds a commit; one that was garbage-collected is gone."""
    return _holds(path, commit, pygit2.Commit)


def has_tree(path: Path, treeish: str) -> bool:
    """Tell whether a repository still holds a commit or a tree."""
    return _holds(path, treeish, (pygit2.Commit, pygit2.Tree))


def _holds(path: Path, oid: str, kind: type | tuple[type, ...]) -> bool:
    repository = open_repository(path)
    try:
        return isinstance(repository.get(oid), kind)
    except (pygit2.GitError, ValueError):
        return False
    finally:
        repository.free()


def blob_size(repository: pygit2.Repository, blob: str) -> int:
    """Give a blob's size in bytes, without reading it. Raises ObjectError for one that can't be read."""
    with objects_read(f"blob {blob}"):
        _, size = repository.odb.read_header(pygit2.Oid(hex=blob))
        return int(size)


def blob_content(repository: pygit2.Repository, blob: str) -> bytes:
    """Read a blob, whatever its size. Raises ObjectError for one that can't be read."""
    with objects_read(f"blob {blob}"):
        kind, data = repository.odb.read(pygit2.Oid(hex=blob))
    if kind != ObjectType.BLOB:
        raise PageError(f"object {blob} is no blob")
    return data


def read_blob(repository: pygit2.Repository, blob: str, limit: int) -> bytes:
    """Read a blob. Raises PageError for one larger than `limit` bytes, ObjectError for one that can't be read."""
    if (size := blob_size(repository, blob)) > limit:
        raise PageError(f"the file has {size:,} bytes, the limit is {limit:,}")
    return blob_content(repository, blob)
