"""Brings one file into the database: read the blob, read the page, save it, or put it into the ledger."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

import structlog
from structlog.typing import FilteringBoundLogger

from visionflow_daemon.errors import BusyError, ObjectError, PageError, TransientError
from visionflow_daemon.model import KnownFile, Page, TreeEntry, display_path, timestamp
from visionflow_daemon.storage import files, trouble
from visionflow_daemon.storage.database import Database
from visionflow_daemon.storage.writer import Content, Failure, Writer
from visionflow_daemon.sync.meter import Meter, Unmeasured
from visionflow_daemon.sync.progress import Outcome
from visionflow_daemon.sync.reader import Reader
from visionflow_daemon.sync.retry import (
    ATTEMPTS,
    FailureClass,
    Result,
    Verdict,
    judge,
    next_attempt,
    persistently,
)
from visionflow_daemon.sync.shared import PerThread

_connections: PerThread[object, None] = PerThread()
"""A worker has one connection for all passes: what one writes makes the page cache of each other stale.

By what keeps the connections: a pass may hold the database by a value of its own.
"""


@contextmanager
def _connection(database: Database) -> Iterator[None]:
    database.connected()
    try:
        yield
    finally:
        database.close()


def _is_of_a_server(error: Exception) -> bool:
    """Tell whether a database server is away, or has no connection left: that is no matter of one file."""
    return isinstance(error, BusyError) or trouble.is_lost(error)


def _connected(database: Database) -> AbstractContextManager[None]:
    return _connections.of(database.peewee, lambda: _connection(database))


@dataclass(frozen=True, slots=True)
class Applier:
    """What all workers of a pass share."""

    open_reader: Callable[[], Reader]
    writer: Writer
    digest: str
    doubt: Callable[[], None]
    """Is called when a blob can't be read: raises DamageError where the repository is to be made anew."""

    report: Callable[[Outcome], None]
    sleep: Callable[[float], None]
    now: Callable[[], datetime]
    meter: Meter = field(default_factory=Unmeasured)
    log: FilteringBoundLogger = field(default_factory=lambda: structlog.get_logger().bind())
    """Bound once: what `get_logger` gives is put together anew for each line, also for those that nobody wants."""

    @contextmanager
    def saver(self) -> Iterator[Callable[[TreeEntry], None]]:
        """Open one worker's own reader and connection, and give the handler that saves a file."""
        with self.open_reader() as reader, _connected(self.writer.database):
            yield lambda entry: self.report(self._save(reader, entry))

    @contextmanager
    def deleter(self) -> Iterator[Callable[[bytes], None]]:
        """Open one worker's own connection, and give the handler that deletes a file's facts."""
        with _connected(self.writer.database):
            yield self._delete

    def _save(self, reader: Reader, entry: TreeEntry) -> Outcome:
        content = Content(entry.path, entry.blob, self.digest)
        try:
            page = persistently(lambda: reader.read(entry), self.sleep, self.meter.parse)
            self._written(lambda: self.writer.save(content, page))
        except Exception as error:
            verdict = judge(error)
            if verdict.failure_class in {FailureClass.SYSTEMIC, FailureClass.FATAL} or _is_of_a_server(error):
                raise
            if isinstance(error, ObjectError):
                self.doubt()
            # The traceback holds what the reader had in its hands: all of it, where memory has run out.
            error.__traceback__ = error.__traceback__ if verdict.is_ours else None
            return self._fail(reader, entry, verdict, error)
        path = display_path(entry.path)
        for warning in page.warnings:
            self.log.warning("statement left out", path=path, line=warning.line, reason=warning.message)
        if page.skip_reason:
            self.log.debug("file skipped", path=path, blob=entry.blob, format=page.format, reason=page.skip_reason)
            return Outcome("skipped", len(page.warnings))
        self.log.debug("file saved", path=path, blob=entry.blob, format=page.format, classes=len(page.classes))
        return Outcome("saved", len(page.warnings))

    def _fail(self, reader: Reader, entry: TreeEntry, verdict: Verdict, error: Exception) -> Outcome:
        content = Content(entry.path, entry.blob, self.digest)
        is_transient = verdict.failure_class is FailureClass.TRANSIENT
        attempts = ATTEMPTS if is_transient else 1
        database = self.writer.database
        known = persistently(
            lambda: files.known_file(database, self.writer.ontology_id, entry.path),
            self.sleep,
            patience=database.patience,
        )
        before = known.attempts if known is not None and known.blob == entry.blob else 0
        due = timestamp(next_attempt(before + attempts, self.now())) if is_transient else None
        failure = Failure(verdict.failure_class.value, verdict.reason, verdict.line, attempts, due)
        kept = self._last_good(reader, entry, known)
        if trouble.is_busy(error):  # who has waited out three attempts for the lock asks once more, not three times
            self.writer.fail(content, failure, kept)
        else:
            self._written(lambda: self.writer.fail(content, failure, kept))
        self.log.warning(
            "file failed",
            path=display_path(content.path),
            blob=content.blob,
            line=verdict.line,
            failure_class=verdict.failure_class.value,
            reason=verdict.reason,
            exc_info=error if verdict.is_ours else None,
        )
        return Outcome("failed", is_transient=is_transient)

    def _written(self, write: Callable[[], Result]) -> Result:
        return persistently(write, self.sleep, self.meter.save, self.writer.database.patience)

    def _last_good(self, reader: Reader, entry: TreeEntry, known: KnownFile | None) -> Page | None:
        """Read a file's last good content anew, where it was read by other rules than today's, and still can be."""
        if known is None or known.blob_saved is None or known.digest_saved == self.digest:
            return None
        try:
            return reader.read(replace(entry, blob=known.blob_saved))
        except (PageError, TransientError):
            return None

    def _delete(self, path: bytes) -> None:
        if self._written(lambda: self.writer.delete(path)):
            self.log.debug("file deleted", path=display_path(path))
        self.report(Outcome("deleted"))
