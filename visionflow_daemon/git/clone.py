"""The bare clone that is kept of a remote: its place, who may touch it, and what a killed fetch leaves in it."""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

import pygit2

from visionflow_daemon.errors import DamageError, SourceError, StateError, TransientError
from visionflow_daemon.git.credentials import is_remote, redact

SWAP_WAIT = 30.0
"""Seconds that who replaces a clone waits for those who read it."""

REFERENCE = re.compile(rb"(?:ref: [^\n]+|[0-9a-f]{40})\n?")
LITTER = ("*.lock", "refs/**/*.lock", "objects/pack/pack_git2_*", "objects/pack/*.lock", "objects/**/tmp_*")
"""What a fetch that was killed leaves behind: locks, and packs half written."""

SIDES = (".made", ".new", ".old")
"""Suffixes of what stands beside a clone while it is made, or replaced."""


def clone_path(state: Path, url: str) -> Path:
    """Give the place of a remote's clone under the state directory."""
    return state / "clones" / f"{sha256(redact(url).encode()).hexdigest()[:16]}.git"


def place_of(location: str, base: Path, state: Path) -> Path:
    """Give where a source can be read without asking its remote: its clone, or its own place. Raises SourceError."""
    if not is_remote(location):
        return (base / Path(location).expanduser()).resolve()
    path = clone_path(state, location)
    if not path.exists():
        raise SourceError(f"there is no clone of {redact(location)} yet: a first `visionflow-daemon --once` makes it")
    return path


@contextmanager
def in_use(path: Path) -> Iterator[None]:
    """Keep a clone as it is while it is read: others may add to it, none replaces it."""
    with _locked(path.with_suffix(".use"), fcntl.LOCK_SH):
        yield


@contextmanager
def unused(path: Path, wait: float) -> Iterator[None]:
    """Have a clone that nobody reads. Raises TransientError when it is still read after `wait` seconds."""
    with _locked(path.with_suffix(".use"), fcntl.LOCK_EX, wait):
        yield


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Be the only one who fetches into a clone: its locks and half packs are then litter.

    Raises SourceError where no clone can be, StateError where one can't be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except (NotADirectoryError, FileExistsError, PermissionError) as error:
        raise SourceError(f"can't make a clone in the state directory at {path}: {error.strerror}") from error
    with _locked(path.with_suffix(".lock"), fcntl.LOCK_EX):
        yield


def opened(path: Path) -> pygit2.Repository:
    """Open a clone, made empty where there is none yet. Raises DamageError for one that is no repository any more."""
    if not path.exists():
        fresh = path.with_suffix(".made")
        discard(fresh)
        pygit2.init_repository(str(fresh), bare=True).free()
        fresh.rename(path)
    if not path.is_dir():
        raise DamageError(f"{path} is a file, where a clone is due")
    try:
        return pygit2.Repository(str(path))
    except pygit2.GitError as error:
        for part in ("HEAD", "config", "objects", "refs"):  # what can't be read for its permissions is no damage
            with suppress(FileNotFoundError, IsADirectoryError):
                (path / part).open("rb").close()
        raise DamageError(f"{path} is no repository any more: {error}") from error


def clear_litter(path: Path) -> None:
    """Take away what killed fetches left in a clone, and references that name nothing; for who is `alone` there."""
    for side in SIDES:
        discard(path.with_suffix(side))
    for pattern in LITTER:
        for litter in path.glob(pattern):
            litter.unlink(missing_ok=True)
    for pack in path.glob("objects/pack/*.pack"):
        if not pack.with_suffix(".idx").exists():
            pack.unlink()
    for reference in path.glob("refs/**/*"):
        if reference.is_file() and not REFERENCE.fullmatch(reference.read_bytes()[:1_000]):
            reference.unlink()


def replace(path: Path, fresh: Path) -> None:
    """Put a fresh clone in the place of an old one, once nobody reads it. Raises TransientError when it is in use."""
    old = path.with_suffix(".old")
    with unused(path, SWAP_WAIT):
        if path.exists():
            path.rename(old)
        fresh.rename(path)
    discard(old)


def is_left(path: Path) -> bool:
    """Tell whether there is a clone, or a part of one that was being made or deleted."""
    return any(each.exists() for each in (path, *map(path.with_suffix, SIDES)))


def delete(path: Path) -> None:
    """Delete a clone, once nobody fetches into it or reads it. Raises TransientError when it is in use."""
    with alone(path), unused(path, SWAP_WAIT):
        if path.exists():
            discard(path.with_suffix(".old"))
            path.rename(path.with_suffix(".old"))
        for side in SIDES:
            discard(path.with_suffix(side))


def discard(path: Path) -> None:
    """Delete what is at a path, if there is something."""
    if path.is_file():
        path.unlink()
    elif path.exists():
        import shutil  # noqa: PLC0415 - most fetches find nothing to delete

        shutil.rmtree(path)


@contextmanager
def _locked(path: Path, operation: int, wait: float | None = None) -> Iterator[None]:
    """Hold a lock file; the system lets go of it when the process ends, however it ends."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateError(f"can't make the lock file {path}: {error.strerror}") from error
    try:
        _wait_for(descriptor, path, operation, wait)
        yield
    finally:
        os.close(descriptor)


def _wait_for(descriptor: int, path: Path, operation: int, wait: float | None) -> None:
    if wait is None:
        fcntl.flock(descriptor, operation)
        return
    deadline = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise TransientError(f"the clone is in use by another pass, which holds {path}") from None
            time.sleep(0.05)
        else:
            return
