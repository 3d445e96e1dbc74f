"""A hidden folder where something is made before it gets its name: by one at a time, without litter of killed ones."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from visionflow_daemon.errors import DatabaseError, LockedError

LOCK = "lock"
TRIES = 10


@contextmanager
def workshop(folder: Path, name: str, what: str) -> Iterator[Path]:
    """Give an empty folder within `folder`, on the same file system; it is gone afterwards.

    What a process that was killed has left there is cleared away. Raises LockedError where another one is at work.
    """
    place = folder / f".{name}"
    try:
        descriptor = _enter(place, what)
        try:
            _empty(place)
            yield place
        finally:
            with suppress(OSError):  # what stays is cleared away by the next one
                _empty(place)
                (place / LOCK).unlink()
                place.rmdir()
            os.close(descriptor)
    except OSError as error:
        where = error.filename or place
        raise DatabaseError(f"can't write {where}: {error.strerror or error}") from error


def _enter(place: Path, what: str) -> int:
    """Hold the lock of a folder that is there; who had it before may have taken the folder along."""
    for _ in range(TRIES):
        place.mkdir(mode=0o700, exist_ok=True)
        try:
            descriptor = os.open(place / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.stat(place / LOCK).st_ino == os.fstat(descriptor).st_ino:  # noqa: PTH116 - beside its like
                return descriptor
        except FileNotFoundError:
            pass
        except BlockingIOError:
            os.close(descriptor)
            raise LockedError(f"{what} is under way: another process holds {place / LOCK}. Wait for it") from None
        os.close(descriptor)
    raise LockedError(f"{what} is under way: others come and go at {place}. Wait for them")


def _empty(place: Path) -> None:
    for each in place.iterdir():
        if each.name == LOCK:
            continue
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each)
        else:
            each.unlink()
