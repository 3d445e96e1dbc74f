"""Reads files as they are on disk: whole, never through a link, and not while they are being written."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

SETTLED = 0.15
"""Seconds since its last change after which a file counts as written: who saves it writes it in one go."""

PATIENCE = 2.0
"""Seconds in all that a look at a work tree waits for files that are being written."""

TRUSTED = 1.0
"""Seconds since a file's last change from which on its stamp tells its content: clocks of file systems are coarse."""

FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Not blocking: what was a file a moment ago may be a pipe that nobody writes into."""

NANO = 1_000_000_000

Stamp = tuple[int, int, int, int, int]
"""Times of change of content and of record, in nanoseconds, size, and what tells a file from another at its place."""


class UnsettledError(Exception):
    """A file is being written for longer than is waited."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a file holds, and the stamp that it had then; None where the stamp does not tell the content for sure."""

    data: bytes
    stamp: Stamp | None


def stamp_of(found: os.stat_result) -> Stamp:
    """Give what changes when a file does."""
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev


@contextmanager
def folder(name: bytes, within: int | None = None) -> Iterator[int]:
    """Open a folder, for the entries in it to be reached by its descriptor alone. Raises OSError."""
    descriptor = os.open(name, FOLDER, dir_fd=within)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class Patience:
    """Waits until files are written, for so many seconds in all."""

    def __init__(self, sleep: Callable[[float], None], seconds: float = PATIENCE) -> None:
        self._sleep = sleep
        self._left = seconds

    def settle(self, found: os.stat_result) -> bool:
        """Tell whether a file is written; else wait a moment, and it is to be looked at again.

        Raises UnsettledError where enough was waited. A time to come is no sign of being written.
        """
        age = (time.time_ns() - found.st_mtime_ns) / NANO
        if not 0 <= age < SETTLED:
            return True
        self.wait(SETTLED - age)
        return False

    def wait(self, seconds: float) -> None:
        """Wait. Raises UnsettledError where enough was waited."""
        if self._left <= 0:
            raise UnsettledError
        self._left -= seconds
        self._sleep(seconds)


def read(name: bytes, within: int, limit: int, patience: Patience) -> Content | int:
    """Read a file once it is written; of one larger than `limit` bytes, give its size instead.

    Raises OSError, and UnsettledError while it goes on changing.
    """
    while True:
        descriptor = os.open(name, FILE, dir_fd=within)
        try:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode):
                raise FileNotFoundError
            if before.st_size > limit:
                return before.st_size
            if not patience.settle(before):
                continue
            data = _all_of(descriptor, limit)
            after = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        if stamp_of(before) == stamp_of(after) and len(data) == after.st_size:
            return Content(data, stamp_of(after) if _is_telling(after) else None)
        patience.wait(SETTLED)


def read_now(name: bytes, within: int | None, limit: int) -> bytes:
    """Read a file as it is at the moment; nothing of one larger than `limit` bytes. Raises OSError."""
    descriptor = os.open(name, FILE, dir_fd=within)
    try:
        found = os.fstat(descriptor)
        is_read = stat.S_ISREG(found.st_mode) and found.st_size <= limit
        return _all_of(descriptor, limit) if is_read else b""
    finally:
        os.close(descriptor)


def _all_of(descriptor: int, limit: int) -> bytes:
    with os.fdopen(descriptor, "rb", closefd=False) as file:
        return file.read(limit + 1)


def _is_telling(found: os.stat_result) -> bool:
    """Tell whether a change after this would give the file another stamp."""
    return time.time_ns() - max(found.st_mtime_ns, found.st_ctime_ns) > TRUSTED * NANO
