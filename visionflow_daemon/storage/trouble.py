"""Puts what SQLite and the system say of a database into words: what happened, to which file, and what to do."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import peewee

from visionflow_daemon.errors import BusyError, CorruptError, DatabaseError, SystemicError, VisionflowError

# SQLite's primary result codes, https://www.sqlite.org/rescode.html
BUSY_CODES = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_SCHEMA})
CORRUPT_CODES = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
UNUSABLE_CODES = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_PROTOCOL,
    }
)
PRIMARY = 0xFF
NO_ROOM = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE})
"""A full disk, also where SQLite meets it while it makes room for the index of its log."""

LIMITS = {
    errno.EMFILE: "give the process more open files (LimitNOFILE= in the unit, `ulimit -n` in a shell)",
    errno.ENFILE: "the whole machine has too many open files: raise fs.file-max, or end what holds them",
    errno.ENOMEM: "give the process more memory, or fewer workers (sync.workers)",
    errno.ENOSPC: "make room there",
}
GOES_ON = "what was saved stays saved, and the next pass goes on from there"


def code_of(error: BaseException) -> int | None:
    """Give SQLite's extended result code of an error, also where Peewee has wrapped the driver's once or twice."""
    link: BaseException | None = error
    while link is not None:
        if code := getattr(link, "sqlite_errorcode", None):
            return int(code)
        link = link.__cause__ or link.__context__
    return None


def is_busy(error: BaseException) -> bool:
    """Tell whether another program's lock is what an error is about."""
    code = code_of(error)
    return code is not None and code & PRIMARY in BUSY_CODES


def in_words(error: BaseException, path: Path) -> VisionflowError | None:
    """Say what happened to the database at `path`; None where the error is none of a database that can't be used."""
    if isinstance(error, peewee.DatabaseError | sqlite3.DatabaseError):
        code = code_of(error)
        return None if code is None else _of_sqlite(code, error, path)
    if isinstance(error, MemoryError):
        return SystemicError(f"too little memory: {LIMITS[errno.ENOMEM]}; {GOES_ON}")
    if isinstance(error, OSError) and (advice := _advice(error)):
        where = f" at {error.filename}" if error.filename else ""
        return SystemicError(f"the system refuses{where}: {error.strerror or error}: {advice}; {GOES_ON}")
    return None


def _advice(error: OSError) -> str | None:
    """Say what to do about a limit of the system; libgit2 tells the error in words alone."""
    for number, advice in LIMITS.items():
        if error.errno == number or (error.errno is None and os.strerror(number) in str(error)):
            return advice
    return None


def _of_sqlite(code: int, error: BaseException, path: Path) -> VisionflowError | None:
    primary = code & PRIMARY
    if primary in BUSY_CODES:
        return BusyError(
            f"another program writes to {path} and does not let go of it ({error}): `fuser -v {path}` shows which. "
            f"Wait for it or end it, or give sync.busy_timeout more seconds; {GOES_ON}"
        )
    if primary in CORRUPT_CODES:
        return CorruptError(
            f"the database {path} is corrupt ({error}); nothing more is written to it. Put a backup in its place, "
            f"or move it away, together with {path.name}-wal and {path.name}-shm, and let `visionflow-daemon --once` "
            "make it anew from the repository"
        )
    if code in NO_ROOM:
        return DatabaseError(f"disk full: no room for {path} and its log ({error}). Make room there; {GOES_ON}")
    if primary in UNUSABLE_CODES:
        return DatabaseError(f"the database {path} can't be {_what(primary, error)}; {GOES_ON}")
    return None


def _what(primary: int, error: BaseException) -> str:
    if primary == sqlite3.SQLITE_IOERR:
        return f"read or written ({error}): look at the disk, the kernel's log, and the limit of file sizes"
    if primary == sqlite3.SQLITE_CANTOPEN:
        return f"opened ({error}): look at the rights and the mount of its folder, and at the limit of open files"
    return (
        f"written ({error}): look at the rights of the file and its folder, and of what lies beside it with -wal and "
        "-shm at the end, and whether the mount is read-only"
    )


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Raise what happens to the database at `path` meanwhile in words: DatabaseError, CorruptError or BusyError."""
    try:
        yield
    except VisionflowError:
        raise
    except Exception as error:
        if (words := in_words(error, path)) is None:
            raise
        raise words from error
