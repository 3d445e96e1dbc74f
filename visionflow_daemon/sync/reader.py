"""Reads pages: most in the worker's thread, and what a thread could not stop or survive in a child (ADR 0014)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from types import TracebackType
from typing import Self

import pygit2
import structlog

from visionflow_daemon.apart import Apart
from visionflow_daemon.errors import DeadlineError, DiedError, PageError, StartError, TransientError
from visionflow_daemon.formats.choose import read_page
from visionflow_daemon.git.repository import Network, blob_size, configure, open_repository, read_blob
from visionflow_daemon.model import ApartRules, EntryKind, Page, Reading, TreeEntry
from visionflow_daemon.sync.shared import PerThread

log = structlog.get_logger()

CRASHES = frozenset({"SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGABRT"})
"""What ends a process by its own doing; all other signals come from outside."""

_children: PerThread[int, Apart] = PerThread()
"""The child of each thread, by how much memory it may map; however many passes a worker works for, it has one."""


class Reader:
    """Reads the pages of one repository, for one thread.

    A file is read in a child process if it is large; all are if `is_careful`, as after a pass that was cut off, perhaps
    by one of them. The child is the thread's: all its readers share it. While it is at work, `away` is entered.
    `unread` has the reason for each blob that is known to be out of reach.
    """

    def __init__(
        self,
        path: Path,
        reading: Reading,
        rules: ApartRules,
        *,
        unread: Mapping[str, str] | None = None,
        is_careful: bool = False,
        stop: threading.Event | None = None,
        away: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._path = path
        self._reading = reading
        self._rules = rules
        self._unread = unread or {}
        self._is_careful = is_careful
        self._away = away
        self._stop = stop
        self._repository = open_repository(path)
        self._held = ExitStack()

    def __enter__(self) -> Self:
        memory = self._rules.memory_bytes
        self._child = self._held.enter_context(_children.of(memory, lambda: Apart(memory)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._held.close()
        self._repository.free()

    def read(self, entry: TreeEntry) -> Page:
        """Read the page that a path of a tree leads to. Raises PageError, and ObjectError where the blob is missing."""
        if reason := self._unread.get(entry.blob):
            raise PageError(reason)
        if entry.kind is not EntryKind.BLOB:
            return Page(format=entry.kind.value, skip_reason=f"a {entry.kind.value}, which is not followed")
        if self._is_careful:
            try:
                return self._read_apart(entry)
            except StartError as error:
                log.warning("pages are read without care", reason=str(error))
                self._is_careful = False
        if blob_size(self._repository, entry.blob) < self._rules.from_bytes:
            return _read(self._repository, entry, self._reading)
        return self._read_apart(entry)

    def _read_apart(self, entry: TreeEntry) -> Page:
        try:
            with self._away():
                self._child.stop = self._stop
                return self._child.call(self._rules.seconds, read_entry, self._path, entry, self._reading)
        except DeadlineError:
            raise PageError(
                f"reading it takes longer than {self._rules.seconds:g} seconds: make it smaller, or raise "
                "reading.apart.seconds and let `visionflow-daemon retry` have it tried again"
            ) from None
        except DiedError as error:
            if error.signal in CRASHES:
                raise PageError(f"the parser crashes on it: {error}") from None
            raise TransientError(f"the process that read it was lost, as where memory runs out: {error}") from None


def read_entry(path: Path, entry: TreeEntry, reading: Reading) -> Page:
    """Read one page of a repository; run in a child. Raises PageError and ObjectError."""
    configure(Network())  # of a process of its own, with nothing to fetch
    repository = open_repository(path)
    try:
        return _read(repository, entry, reading)
    finally:
        repository.free()


def _read(repository: pygit2.Repository, entry: TreeEntry, reading: Reading) -> Page:
    limit = max(reading.limits.page_bytes, reading.limits.rdf_bytes)
    return read_page(entry.path, read_blob(repository, entry.blob, limit), reading)
