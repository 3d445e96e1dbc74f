"""Brings a database into the place of another: at every moment one of them is there, whole (ADR 0028)."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from visionflow_daemon.errors import BusyError, DatabaseError
from visionflow_daemon.storage import trouble
from visionflow_daemon.storage.backup import Told, to_disk, untold
from visionflow_daemon.storage.sqlite import CACHE_KIB

PAGES_AT_ONCE = 256
LOOK_EVERY = 0.05
"""Seconds between two looks at another program's write lock."""

BESIDE = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a database, and would apply to another one at the same place."""

LOCK_START, LOCK_LENGTH = 0x40000000, 512
"""Where in a file SQLite's locks are: https://www.sqlite.org/fileformat2.html#the_lock_byte_page."""


def is_readable(path: Path) -> bool:
    """Tell whether SQLite knows a file as a database; one that is damaged further within passes.

    Raises sqlite3's errors where it can't be looked at.
    """
    if not path.exists():
        return False
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("SELECT name FROM sqlite_master LIMIT 1").fetchone()
    except sqlite3.DatabaseError as error:
        if (trouble.code_of(error) or 0) & trouble.PRIMARY in trouble.CORRUPT_CODES:
            return False
        raise
    return True


def page_size_of(path: Path) -> int:
    """Give the size of a database's pages."""
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    return int(size)


def fit(fresh: Path, page_size: int) -> None:
    """Give a database pages of a size: one is only written over another whose pages are alike."""
    if page_size_of(fresh) != page_size:
        with closing(sqlite3.connect(fresh, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
            connection.execute(f"PRAGMA page_size = {page_size}")
            connection.execute("VACUUM")


def write_over(path: Path, fresh: Path, keep: Callable[[], object], busy_timeout: float, told: Told = untold) -> None:
    """Write a database over another one, in one transaction of SQLite's own.

    Whoever has it open reads on: the old content until the commit, the new one after it. `keep` is called once the
    write lock is held, so that what it copies is what is lost; an error that it raises undoes all. Raises BusyError
    while another program writes, and sqlite3's errors.
    """
    deadline = time.monotonic() + busy_timeout
    is_kept = False

    def step(status: int, left: int, pages: int) -> None:
        nonlocal is_kept
        if status & trouble.PRIMARY in trouble.BUSY_CODES and time.monotonic() >= deadline:
            raise BusyError(
                f"another program writes to {path} and does not let go of it: `fuser -v {path}` shows which. Wait "
                "for it or end it, or give sync.busy_timeout more seconds. Nothing was touched"
            )
        if status == sqlite3.SQLITE_OK:
            if not is_kept:
                keep()
                is_kept = True
            told("writing", pages - left, pages)

    with (
        closing(sqlite3.connect(fresh)) as source,
        closing(sqlite3.connect(path, timeout=busy_timeout, isolation_level=None)) as target,
    ):
        target.execute("PRAGMA journal_mode = WAL").fetchone()  # as all of ours are; else readers would be shut out
        target.execute("PRAGMA synchronous = FULL")
        target.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        (pages,) = source.execute("PRAGMA page_count").fetchone()
        try:
            # The last page is never part of the first step, as the commit comes with it.
            source.backup(target, pages=max(1, min(PAGES_AT_ONCE, pages // 2)), progress=step, sleep=LOOK_EVERY)
        finally:
            with suppress(sqlite3.Error):  # where it failed, too: the log has grown for nothing, maybe to a full disk
                target.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def put_in_place(path: Path, fresh: Path, kept: Path) -> bool:
    """Put a database where there is none, or a file that SQLite can't read, and say whether something was kept.

    First the old file, and what lies beside it, get second names; then its log goes from beside it, then the new one
    takes its place: a log never lies beside a database that it is not of. Raises BusyError where a program has it open.
    """
    with alone(path):
        there = [end for end in ("", *BESIDE) if path.with_name(path.name + end).exists()]
        for end in there:
            _second_name(path.with_name(path.name + end), kept.with_name(kept.name + end))
        to_disk(path.parent)
        for end in BESIDE:
            path.with_name(path.name + end).unlink(missing_ok=True)
        to_disk(path.parent)
        to_disk(fresh)
        if path.exists():
            _dress(fresh, path.stat())
            fresh.rename(path)
        else:
            _dress(fresh, None)
            _name_anew(fresh, path)
        to_disk(path.parent)
    return bool(there)


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Keep SQLite out of a file. Raises BusyError where a program has it open as a database."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        yield
        return
    try:
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, LOCK_LENGTH, LOCK_START)
        except (BlockingIOError, PermissionError):
            raise BusyError(
                f"another program has {path} open: `fuser -v {path}` shows which. End it first. Nothing was touched"
            ) from None
        yield
    finally:
        os.close(descriptor)


def _second_name(path: Path, kept: Path) -> None:
    try:
        os.link(path, kept)
    except FileExistsError:
        raise
    except OSError:  # a file system without second names
        shutil.copy2(path, kept)
        to_disk(kept)


def _name_anew(fresh: Path, path: Path) -> None:
    """Give a file its place, but not that of a file which another program has made there meanwhile."""
    try:
        os.link(fresh, path)
    except FileExistsError:
        raise DatabaseError(f"another program has made {path} meanwhile: look at what it is") from None
    except OSError:
        fresh.rename(path)


def _dress(fresh: Path, like: os.stat_result | None) -> None:
    """Give a file the rights of the one that it replaces, and its owner where we may; else those of any new file."""
    if like is None:
        mask = os.umask(0)
        os.umask(mask)
        fresh.chmod(0o644 & ~mask)
        return
    fresh.chmod(like.st_mode & 0o777)
    with suppress(PermissionError):
        os.chown(fresh, like.st_uid, like.st_gid)
