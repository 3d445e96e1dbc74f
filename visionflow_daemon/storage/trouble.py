"""Puts what an engine and the system say of a database into words: what happened, to which one, and what to do."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import peewee

from visionflow_daemon.errors import BusyError, CorruptError, DatabaseError, SystemicError, VisionflowError
from visionflow_daemon.storage.sqlstates import State, state_of

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
PASSING = frozenset({State.LOST, State.CROWDED, State.BUSY})
"""What a server says that may be over in a moment."""

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
    """Tell whether another program's lock, or a server that is away, is what an error is about."""
    code = code_of(error)
    if code is not None:
        return code & PRIMARY in BUSY_CODES
    return state_of(error) in PASSING


def is_corrupt(error: BaseException) -> bool:
    """Tell whether an error says that the database is damaged."""
    code = code_of(error)
    return code & PRIMARY in CORRUPT_CODES if code is not None else state_of(error) is State.CORRUPT


def is_unusable(error: BaseException) -> bool:
    """Tell whether an error says that the database can't be used, for whatever file."""
    code = code_of(error)
    return code & PRIMARY in UNUSABLE_CODES if code is not None else state_of(error) in {State.NO_ROOM, State.UNUSABLE}


def is_lost(error: BaseException) -> bool:
    """Tell whether the connection to a server is what an error is about: it is lost, or was never made."""
    return code_of(error) is None and state_of(error) in {State.LOST, State.CROWDED}


def in_words(error: BaseException, name: str | Path) -> VisionflowError | None:
    """Say what happened to the database of this name; None where the error is none of one that can't be used."""
    if isinstance(error, peewee.DatabaseError | peewee.InterfaceError | sqlite3.DatabaseError):
        code = code_of(error)
        return _of_server(error, str(name)) if code is None else _of_sqlite(code, error, Path(name))
    if isinstance(error, MemoryError):
        return SystemicError(f"too little memory: {LIMITS[errno.ENOMEM]}; {GOES_ON}")
    if isinstance(error, OSError) and (advice := _advice(error)):
        where = f" at {error.filename}" if error.filename else ""
        return SystemicError(f"the system refuses{where}: {error.strerror or error}: {advice}; {GOES_ON}")
    return None


SAID: dict[State, tuple[type[VisionflowError], str]] = {
    State.LOST: (BusyError, "{} does not answer ({}): look whether the server runs, and the network; " + GOES_ON),
    State.CROWDED: (
        BusyError,
        "{} has no connection left ({}): raise max_connections there, or lower postgresql.connections; " + GOES_ON,
    ),
    State.BUSY: (
        BusyError,
        "another session of {} holds what is needed, or the server is too slow ({}): pg_stat_activity shows which; "
        + GOES_ON,
    ),
    State.CORRUPT: (CorruptError, "{} is corrupt ({}); nothing more is written to it. Restore a backup"),
    State.NO_ROOM: (DatabaseError, "disk full: no room on the server of {} ({}). Make room there; " + GOES_ON),
    State.UNUSABLE: (
        DatabaseError,
        "{} can't be used ({}): look at rights, password, certificates and the server's log; " + GOES_ON,
    ),
}
"""What a server's state means, and what to do about it: filled in are the database's name and what was said."""


def _of_server(error: BaseException, name: str) -> VisionflowError | None:
    state = state_of(error)
    if state is None:
        return None
    kind, words = SAID[state]
    return kind(words.format(name, " ".join(str(error).split())))


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
def told(name: str | Path) -> Iterator[None]:
    """Raise what happens to this database meanwhile in words: DatabaseError, CorruptError or BusyError."""
    try:
        yield
    except VisionflowError:
        raise
    except Exception as error:
        if (words := in_words(error, name)) is None:
            raise
        raise words from error
