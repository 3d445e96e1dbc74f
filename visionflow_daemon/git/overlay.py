"""The files on disk of a checkout as the target of a pass: laid over the commit that is checked out (ADR 0025)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pygit2
import structlog

from visionflow_daemon.errors import DamageError, ObjectError, SourceError
from visionflow_daemon.git import clone
from visionflow_daemon.git.changes import Selects
from visionflow_daemon.git.laying import Laying
from visionflow_daemon.git.overlay_store import Note, Store
from visionflow_daemon.git.repository import Target, local_path, objects_read, open_repository, shared_folder, target_of
from visionflow_daemon.model import display_path

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Checkout:
    """A work tree to be looked at: which files of it, up to which size in bytes, and where what differs is kept."""

    location: str
    branch: str | None
    base: Path
    store: Path
    selects: Selects
    limit: int
    sleep: Callable[[float], None] = time.sleep


@contextmanager
def laid(checkout: Checkout, *, anew: bool = False) -> Iterator[Target]:
    """Give the commit of a checkout with the files on disk laid over it; what it refers to stays while it is in use.

    Files that git ignores are left out, those that are being written are waited for, a while. `anew`: the store is
    made anew. Raises SourceError where there is no work tree on the branch, ObjectError where a tree can't be read,
    DamageError where that may be the store's fault, StateError where the store can't be written.
    """
    path = local_path(checkout.location, checkout.base)
    repository = open_repository(path)
    with ExitStack() as held:
        held.callback(repository.free)
        top = work_tree(repository, path)
        with objects_read():
            target = target_of(repository, path, None)
        if checkout.branch is not None and target.branch != checkout.branch:
            raise SourceError(
                f"the work tree at {path} is on {target.branch}, not on {checkout.branch}: check that branch out, or "
                "leave the branch out of the configuration to follow what is checked out"
            )
        if anew:
            with clone.alone(checkout.store), clone.unused(checkout.store, clone.SWAP_WAIT):
                clone.discard(checkout.store)
        store = Store(checkout.store, shared_folder(repository) / "objects")
        held.callback(store.close)
        held.enter_context(clone.in_use(checkout.store))
        try:
            with objects_read("the files on disk, or the commit below them,"):
                found = _target(checkout, target, repository, store, top)
        except ObjectError as error:
            if anew:
                raise
            raise DamageError(f"{checkout.store}, which keeps what differs on disk, may be damaged: {error}") from error
        yield found


def work_tree(repository: pygit2.Repository, path: Path) -> Path:
    """Give the top folder of the files on disk. Raises SourceError where there are none that can be followed."""
    if repository.is_bare or repository.workdir is None:
        raise SourceError(f"the repository at {path} is bare: it has no work tree, only commits to follow")
    config = repository.config
    if "core.sparsecheckout" in config and config.get_bool("core.sparsecheckout"):
        raise SourceError(
            f"the work tree at {path} is sparse: files that are missing on purpose can't be told from those that were "
            "deleted; follow its commits"
        )
    return Path(repository.workdir)


def _target(checkout: Checkout, target: Target, repository: pygit2.Repository, store: Store, top: Path) -> Target:
    tree = store.repository[target.commit].peel(pygit2.Tree)
    laying = Laying(repository, store, checkout.selects, checkout.limit, checkout.sleep)
    laying.wait_for_git()
    oid = laying.lay(top, tree)
    store.keep(Note(str(oid), laying.stamps))
    for path, reason in laying.kept:
        log.warning("path left as it was", path=display_path(path), reason=reason)
    overlay = None if oid == tree.id else str(oid)
    return replace(target, repository=checkout.store, overlay=overlay, unread=laying.unread)
