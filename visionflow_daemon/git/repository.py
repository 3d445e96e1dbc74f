"""Where commits come from: a repository on this machine, read in place, or a bare clone kept of a remote one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pygit2
from pygit2.enums import FetchPrune, FileMode, ObjectType

from visionflow_daemon.errors import PageError, RemoteError, SourceError, TransientError
from visionflow_daemon.git.credentials import Callbacks, Credentials, is_remote, redact, split_userinfo
from visionflow_daemon.model import EntryKind

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
    """How long a remote may take. Both in seconds: to connect, and from one read to the next."""

    connect_timeout: float = 10.0
    read_timeout: float = 30.0


@dataclass(frozen=True, slots=True)
class Target:
    """The commit that a pass goes to. `branch` is "HEAD" where a checkout is on no branch."""

    repository: Path
    source: str
    branch: str
    commit: str


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


def identity(location: str, base: Path) -> str:
    """Name a source in a form that is the same however it is written, and holds no secret."""
    if is_remote(location):
        return redact(location)
    return str((base / Path(location).expanduser()).resolve())


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
    """Find the commit of a repository on this machine, which is only read. Raises SourceError."""
    path = (base / Path(location).expanduser()).resolve()
    repository = open_repository(path)
    try:
        return _local_target(repository, path, branch)
    finally:
        repository.free()


def _local_target(repository: pygit2.Repository, path: Path, branch: str | None) -> Target:
    if branch is None:
        if repository.head_is_unborn:
            raise SourceError(_nothing_yet(repository, str(path)))
        head = repository.head
        name = DETACHED if repository.head_is_detached else head.shorthand
        return Target(path, str(path), name, str(head.peel(pygit2.Commit).id))
    try:
        reference = repository.references[f"refs/heads/{branch}"]
    except (KeyError, ValueError, pygit2.GitError):
        known = ", ".join(sorted(repository.branches.local)[:10])
        if not known:
            raise SourceError(f"the repository at {path} has no commit yet") from None
        raise SourceError(f"the repository at {path} has no branch {branch!r}; it has: {known}") from None
    return Target(path, str(path), branch, str(reference.peel(pygit2.Commit).id))


def _nothing_yet(repository: pygit2.Repository, where: str) -> str:
    """Say why there is no commit at HEAD: none at all, or none on the branch that HEAD names."""
    named = repository.lookup_reference("HEAD").target
    if known := sorted(repository.branches.local)[:10]:
        return f"HEAD of {where} names {named}, which doesn't exist; give --branch one of: {', '.join(known)}"
    return f"the repository at {where} has no commit yet"


def clone_path(state: Path, url: str) -> Path:
    """Give the place of a remote's clone under the state directory."""
    return state / "clones" / f"{sha256(redact(url).encode()).hexdigest()[:16]}.git"


def fetch(url: str, branch: str | None, state: Path, credentials: Credentials) -> Target:
    """Fetch the one branch of a remote into its bare clone.

    The remote is anonymous, so that nothing of its URL is written to the clone's config, and the refspec is explicit
    and forced: a force push arrives, and no other branch can stand in the way.
    Raises RemoteError when the remote can't be reached or refuses, SourceError when it has no such branch, and
    TransientError when another attempt may help.
    """
    bare_url, from_url = split_userinfo(url)
    credentials = credentials if credentials != Credentials() else from_url
    path = clone_path(state, url)
    repository = _open_clone(path)
    try:
        remote = repository.remotes.create_anonymous(bare_url)
        heads = {head.name: head for head in remote.list_heads(callbacks=Callbacks(credentials), proxy=True)}
        name = branch or _default_branch(heads, url)
        if (head := heads.get(f"refs/heads/{name}")) is None:
            known = ", ".join(sorted(key[11:] for key in heads if key and key.startswith("refs/heads/"))[:10])
            raise SourceError(
                f"{redact(url)} has no branch {name!r}; it has: {known}" if known else _empty(redact(url))
            )
        local = f"refs/visionflow/{sha256(name.encode()).hexdigest()[:16]}"
        if _has(repository, local, head.oid):
            return Target(path, redact(url), name, str(head.oid))
        remote.fetch(
            [f"+refs/heads/{name}:{local}"],
            callbacks=Callbacks(credentials),
            prune=FetchPrune.NO_PRUNE,
            proxy=True,
        )
        # libgit2 notes the URL there as it was given; nothing reads it.
        (path / "FETCH_HEAD").unlink(missing_ok=True)
        return Target(path, redact(url), name, str(repository.references[local].peel(pygit2.Commit).id))
    except (pygit2.GitError, OSError, KeyError, ValueError) as error:
        raise _remote_failure(url, error) from error
    finally:
        repository.free()


def place_of(location: str, base: Path, state: Path) -> Path:
    """Give where a source can be read without asking its remote: its clone, or its own place. Raises SourceError."""
    if not is_remote(location):
        return (base / Path(location).expanduser()).resolve()
    path = clone_path(state, location)
    if not path.exists():
        raise SourceError(f"there is no clone of {redact(location)} yet: a first `visionflow-daemon --once` makes it")
    return path


def has_commit(path: Path, commit: str) -> bool:
    """Tell whether a repository still holds a commit; one that was garbage-collected is gone."""
    repository = open_repository(path)
    try:
        return isinstance(repository.get(commit), pygit2.Commit)
    except (pygit2.GitError, ValueError):
        return False
    finally:
        repository.free()


def read_blob(repository: pygit2.Repository, blob: str, limit: int) -> bytes:
    """Read a blob. Raises PageError for one larger than `limit` bytes, TransientError for one that can't be read."""
    try:
        _, size = repository.odb.read_header(pygit2.Oid(hex=blob))
        if size > limit:
            raise PageError(f"the file has {size:,} bytes, the limit is {limit:,}")
        kind, data = repository.odb.read(pygit2.Oid(hex=blob))
    except (pygit2.GitError, KeyError, ValueError) as error:
        raise TransientError(f"blob {blob} can't be read from the repository: {error}") from error
    if kind != ObjectType.BLOB:
        raise PageError(f"object {blob} is no blob")
    return data


def _open_clone(path: Path) -> pygit2.Repository:
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh = path.with_suffix(f".new-{os.getpid()}")
            pygit2.init_repository(str(fresh), bare=True).free()
            fresh.rename(path)
        except OSError as error:
            raise SourceError(f"can't make a clone in the state directory at {path}: {error.strerror}") from error
    return open_repository(path)


def _default_branch(heads: dict[str | None, pygit2.remotes.RemoteHead], url: str) -> str:
    """Find the branch that the remote's HEAD names; older transports tell its commit alone."""
    head = heads.get("HEAD")
    if head is not None and head.symref_target:
        return head.symref_target.removeprefix("refs/heads/")
    names = [name.removeprefix("refs/heads/") for name in heads if name and name.startswith("refs/heads/")]
    if not names:
        raise SourceError(_empty(redact(url)))
    if head is not None:
        same = [name for name in names if heads[f"refs/heads/{name}"].oid == head.oid]
        for name in ("main", "master", *sorted(same)):
            if name in same:
                return name
    raise SourceError(f"{redact(url)} does not tell its main branch; give --branch one of: {', '.join(names[:10])}")


def _has(repository: pygit2.Repository, reference: str, oid: pygit2.Oid) -> bool:
    found = repository.references.get(reference)
    return found is not None and found.target == oid and oid in repository


def _empty(where: str) -> str:
    return f"the repository at {where} has no commit yet"


def _remote_failure(url: str, error: Exception) -> Exception:
    """Say what failed. Libgit2's message may quote the URL as we gave it: that one holds no credentials."""
    if isinstance(error, RemoteError | SourceError):
        return error
    text = str(error).strip().rstrip(".")
    if "Interrupted system call" in text:
        return TransientError(f"the fetch of {redact(url)} was interrupted by a signal")
    return RemoteError(f"can't fetch {redact(url)}: {text}")
