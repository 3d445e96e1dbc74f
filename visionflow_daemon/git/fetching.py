"""Fetches the one branch of a remote into its clone; run in a process of its own, which can be killed at any time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pygit2
from pygit2.enums import FetchPrune

from visionflow_daemon.errors import (
    DamageError,
    RemoteError,
    SourceError,
    StateError,
    TransientError,
    UnreachableError,
)
from visionflow_daemon.git import clone, damage, packs
from visionflow_daemon.git.credentials import Callbacks, Credentials, redact
from visionflow_daemon.git.repository import Network, configure

UNREACHABLE = re.compile(
    r"timed out|unexpected EOF|Invalid EOF|early EOF|failed to (?:connect|resolve|send|read)|Connection reset"
    r"|could not (?:read from|write to) socket|socket (?:error|closed)|Broken pipe|status code: (?:5\d\d|429)"
)
"""What libgit2 says where another attempt may well succeed."""

NO_ROOM = re.compile(r"No space left|Read-only file system|Disk quota|Permission denied|Input/output error")
"""What it says where the state directory can't be written."""

INTERRUPTED = "Interrupted system call"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to fetch, and into which clone; `anew` makes the clone anew, and puts it in the place of the old one.

    `url` has no credentials in it. Without a branch, the one that the remote's HEAD names is taken.
    """

    url: str
    branch: str | None
    clone: Path
    credentials: Credentials
    network: Network
    anew: bool = False


@dataclass(frozen=True, slots=True)
class Fetched:
    """The branch and its commit; and why the clone was made anew, if it was."""

    branch: str
    commit: str
    made_anew: str | None = None


def fetch_into(wanted: Wanted) -> Fetched:
    """Fetch a branch into a clone, which is mended where it is damaged.

    Raises UnreachableError where another attempt may help, RemoteError where the remote refuses, SourceError when it
    has no such branch, StateError when the clone can't be written.
    """
    configure(wanted.network)
    pygit2.settings.enable_fsync_gitdir(True)
    try:
        with clone.alone(wanted.clone):
            clone.clear_litter(wanted.clone)
            return _fetch_mending(wanted)
    except OSError as error:
        raise StateError(f"the clone {wanted.clone} can't be written: {error}") from error


def _fetch_mending(wanted: Wanted) -> Fetched:
    why = "its objects could not be read" if wanted.anew else _why_not_as_it_is(wanted.clone)
    if why is None:
        try:
            fetched = _fetch(wanted, wanted.clone)
        except DamageError as error:
            why = str(error)
        else:
            if not packs.is_outgrown(wanted.clone):
                return fetched
            why = "it had grown to more than twice its size"
    fresh = wanted.clone.with_suffix(".new")
    fetched = _fetch(wanted, fresh)
    clone.replace(wanted.clone, fresh)
    return Fetched(fetched.branch, fetched.commit, why)


def _why_not_as_it_is(path: Path) -> str | None:
    """Look at packs that somebody has touched: libgit2 may crash on damaged ones."""
    if not path.is_dir() or packs.are_as_noted(path):
        return None
    found = damage.proof(path)
    if found is None:
        packs.note(path)
    return found


def _fetch(wanted: Wanted, path: Path) -> Fetched:
    """Fetch by an anonymous remote and an explicit, forced refspec.

    So nothing of the URL is written to the clone's config, a force push arrives, and no other branch can stand in the
    way.
    """
    repository = clone.opened(path)
    try:
        remote = repository.remotes.create_anonymous(wanted.url)

        def callbacks() -> Callbacks:
            return Callbacks(wanted.url, wanted.credentials, wanted.network.fetch_bytes)

        heads = {head.name: head for head in remote.list_heads(callbacks=callbacks(), proxy=True)}
        name = wanted.branch or _default_branch(heads, wanted.url)
        if (head := heads.get(f"refs/heads/{name}")) is None:
            raise SourceError(_no_branch(wanted.url, name, heads))
        local = f"refs/visionflow/{sha256(name.encode()).hexdigest()[:16]}"
        if not _has(repository, local, head.oid):
            refspecs = [f"+refs/heads/{name}:{local}"]
            remote.fetch(refspecs, callbacks=callbacks(), prune=FetchPrune.NO_PRUNE, proxy=True)
        if not packs.are_as_noted(path):
            packs.note(path)
        return Fetched(name, str(repository.references[local].peel(pygit2.Commit).id))
    except (pygit2.GitError, OSError, KeyError, ValueError) as error:
        raise _failure(wanted.url, path, error) from error
    finally:
        repository.free()
        # libgit2 notes the URL there as it was given; nothing reads it.
        (path / "FETCH_HEAD").unlink(missing_ok=True)


def _failure(url: str, path: Path, error: Exception) -> Exception:
    """Say what failed: the way to the remote, the remote, the disk, or the clone. The URL holds no credentials."""
    text = str(error).strip().rstrip(".")
    said = f"can't fetch {redact(url)}: {text}"
    if INTERRUPTED in text:
        return TransientError(f"the fetch of {redact(url)} was interrupted by a signal")
    if UNREACHABLE.search(text):
        return UnreachableError(said)
    if isinstance(error, OSError) or NO_ROOM.search(text):
        return StateError(f"{said}; see that the state directory can be written, and has room")
    if found := damage.proof(path):
        return DamageError(f"{path}: {found}")
    return RemoteError(said)


def _default_branch(heads: dict[str | None, pygit2.remotes.RemoteHead], url: str) -> str:
    """Find the branch that the remote's HEAD names; older transports tell its commit alone."""
    head = heads.get("HEAD")
    if head is not None and head.symref_target:
        return head.symref_target.removeprefix("refs/heads/")
    names = _branches(heads)
    if not names:
        raise SourceError(f"the repository at {redact(url)} has no commit yet")
    if head is not None:
        same = [name for name in names if heads[f"refs/heads/{name}"].oid == head.oid]
        for name in ("main", "master", *same):
            if name in same:
                return name
    raise SourceError(f"{redact(url)} does not tell its main branch; give --branch one of: {', '.join(names[:10])}")


def _no_branch(url: str, name: str, heads: dict[str | None, pygit2.remotes.RemoteHead]) -> str:
    if known := _branches(heads)[:10]:
        return f"{redact(url)} has no branch {name!r}; it has: {', '.join(known)}"
    return f"the repository at {redact(url)} has no commit yet"


def _branches(heads: dict[str | None, pygit2.remotes.RemoteHead]) -> list[str]:
    return sorted(name.removeprefix("refs/heads/") for name in heads if name and name.startswith("refs/heads/"))


def _has(repository: pygit2.Repository, reference: str, oid: pygit2.Oid) -> bool:
    found = repository.references.get(reference)
    return found is not None and found.target == oid and oid in repository


def tidy(path: Path) -> int:
    """Join the packs of a clone where they are many; tell how many there were. Leaves a clone that is in use alone."""
    try:
        with clone.alone(path), clone.unused(path, 0):
            return packs.join(path)
    except TransientError:
        return 0
