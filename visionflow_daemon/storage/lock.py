"""Keeps two passes from writing one ontology at once: a lock file beside the database."""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from hashlib import sha256
from pathlib import Path

from visionflow_daemon.errors import DatabaseError, LockedError
from visionflow_daemon.storage import trouble

LOCK_NAME = re.compile(r"^\.[A-Za-z0-9_-]{0,40}-[0-9a-f]{8}\.lock$")
POLL = 0.1
"""Seconds between two looks at a lock that another pass holds."""


def lock_path(database: Path, ontology_id: str) -> Path:
    """Give the lock file of one ontology in one database."""
    readable = re.sub(r"[^A-Za-z0-9_-]", "", ontology_id)[:40]
    return database.with_name(f"{database.name}.{readable}-{sha256(ontology_id.encode()).hexdigest()[:8]}.lock")


@contextmanager
def ontology_lock(
    database: Path, ontology_id: str, wait: float, sleep: Callable[[float], None] = time.sleep
) -> Iterator[None]:
    """Hold the lock of one ontology; the system lets go of it when the process ends, however it ends.

    Waits up to `wait` seconds. Raises LockedError when another pass still holds it then.
    """
    with _held(lock_path(database, ontology_id), f"ontology {ontology_id!r}", wait, sleep):
        yield


@contextmanager
def all_locks(database: Path, ontologies: Iterable[str], wait: float) -> Iterator[None]:
    """Hold the locks of these ontologies, and of all others that ever had one beside the database."""
    wanted = {lock_path(database, each): f"ontology {each!r}" for each in ontologies}
    for path in database.parent.iterdir():
        if path.name.startswith(f"{database.name}.") and LOCK_NAME.search(path.name.removeprefix(database.name)):
            wanted.setdefault(path, "an ontology of it")
    with ExitStack() as locks:
        for path in sorted(wanted):
            locks.enter_context(_held(path, wanted[path], wait, time.sleep))
        yield


@contextmanager
def _held(path: Path, what: str, wait: float, sleep: Callable[[float], None]) -> Iterator[None]:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise trouble.in_words(error, path) or DatabaseError(
            f"can't make the lock file {path}: {error.strerror}. It lies beside the database: "
            "look at the rights and the mount of that folder"
        ) from error
    try:
        _acquire(descriptor, path, what, wait, sleep)
        with suppress(OSError):  # on a full disk the lock holds all the same; others just can't say who holds it
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _acquire(descriptor: int, path: Path, what: str, wait: float, sleep: Callable[[float], None]) -> None:
    deadline = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"
                raise LockedError(
                    f"another pass (process {holder}) is writing {what}: it holds {path}. "
                    "Wait for it, or give --lock-timeout more seconds"
                ) from None
            sleep(POLL)
        else:
            return
