"""Compares a database with what its files say, read afresh, and mends what differs.

What is due is built as a second database, in a file of its own, and laid beside the first: memory stays that of a sync,
and the first may be written meanwhile, since it is read in one snapshot.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pygit2

from visionflow_daemon.errors import ConfigError, PageError, TransientError
from visionflow_daemon.formats.choose import reading_digest
from visionflow_daemon.git import changes
from visionflow_daemon.git.repository import open_repository
from visionflow_daemon.model import KnownFile, Page, TreeEntry, timestamp
from visionflow_daemon.storage import checkpoint, derive, files
from visionflow_daemon.storage.checkpoint import Tally
from visionflow_daemon.storage.compare import Difference, compare
from visionflow_daemon.storage.database import Database
from visionflow_daemon.storage.facts import Touched
from visionflow_daemon.storage.hold import held_by_us
from visionflow_daemon.storage.legacy import remainder
from visionflow_daemon.storage.migrate import migrate
from visionflow_daemon.storage.reload import page_of
from visionflow_daemon.storage.sqlite import SqliteDatabase
from visionflow_daemon.storage.writer import Content, Failure, Writer
from visionflow_daemon.sync.job import Job, Services, selection, selection_digest
from visionflow_daemon.sync.plan import beside
from visionflow_daemon.sync.reader import Reader
from visionflow_daemon.sync.retry import FailureClass

ROUNDS = 3
"""How often a repair looks again at what it mended."""


POLL = 0.1
"""Seconds between two looks at a database that a pass is writing."""


@dataclass(frozen=True, slots=True)
class Due:
    """What the database should hold of one file. `is_stale`: of its last good content, as the ledger has it."""

    entry: TreeEntry
    is_stale: bool = False


def differences(job: Job, services: Services, repository_path: Path, scratch: Path) -> Iterator[Difference]:
    """Give every row that is missing, too many or different, kind by kind and file by file.

    What is due is the tree that the database claims to hold, of a commit or with files on disk laid over it, and for
    the files of its ledger their last good content. Waits for a running pass as long as for the lock. `scratch` is the
    folder for the second database.
    Raises ConfigError where the two can't be compared, and SourceError for a repository that can't be read.
    """
    repository = open_repository(repository_path)
    try:
        with (
            Reader(repository_path, job.reading, job.apart) as reader,
            _scratch_database(scratch) as expected,
            _settled(job, services) as treeish,
        ):
            yield from _fill(job, services, repository, reader, treeish, expected)
            yield from compare(expected, services.database, job.ontology_id)
    finally:
        repository.free()


def repair(job: Job, services: Services, repository_path: Path, scratch: Path) -> list[Difference]:
    """Mend what differs, file by file, and give what still does. Raises LockedError while a pass is running."""
    with held_by_us(services.database, job.ontology_id, job.lock_timeout, services.sleep) as database:
        services = replace(services, database=database)
        for _ in range(ROUNDS):
            found = list(differences(job, services, repository_path, scratch))
            if not found:
                return []
            _mend(job, services, repository_path, found)
        return list(differences(job, services, repository_path, scratch))


@contextmanager
def _settled(job: Job, services: Services) -> Iterator[str]:
    """Read the database in one snapshot in which no pass is under way, and give the commit or tree that it holds."""
    deadline = time.monotonic() + job.lock_timeout
    while True:
        with services.database.snapshot():
            held = checkpoint.load(services.database, job.ontology_id)
            if held is None:
                raise ConfigError(f"nothing was synced into ontology {job.ontology_id!r} yet: run a pass first")
            if held.is_clean and held.treeish is not None:
                if held.digest != selection_digest(job):
                    raise ConfigError(
                        "globs, rollout, prefixes, limits or the parser are not those of the last pass: give the same "
                        "options, or run a pass with these first"
                    )
                yield held.treeish
                return
        if time.monotonic() >= deadline:
            raise ConfigError("a pass is running, or the last one was cut off: run a pass to its end first")
        services.sleep(POLL)


@contextmanager
def _scratch_database(folder: Path) -> Iterator[Database]:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(prefix="verify-", dir=folder) as place:
        database = SqliteDatabase(Path(place) / "expected.db", is_scratch=True)
        try:
            database.connected()
            migrate(database)
            yield database
        finally:
            database.close()


def _fill(
    job: Job, services: Services, repository: pygit2.Repository, reader: Reader, treeish: str, expected: Database
) -> Iterator[Difference]:
    """Feed the second database what is due; give the files whose record differs from the tree."""
    remainder.copy(services.database, expected, job.ontology_id, timestamp(services.now()))
    writer = Writer(expected, job.ontology_id, lambda: timestamp(services.now()))
    digest = reading_digest(job.reading)
    tree = changes.walk(repository, treeish, selection(job))
    known_files = files.known_files(services.database, job.ontology_id)
    done = 0
    services.watcher.started(files.totals(services.database, job.ontology_id).files)
    try:
        for entry, known in beside(tree, known_files):
            if odd := _odd_record(entry, known):
                yield odd
            if (due := _due(entry, known)) is not None:
                page = _page(job, services, reader, due)
                if isinstance(page, PageError):
                    yield Difference("file", (due.entry.path, page.reason), None, (), due.entry.path)
                elif page is not None:
                    writer.save(Content(due.entry.path, due.entry.blob, digest), page)
            done += 1
            services.watcher.moved(Tally(saved=done))
    finally:
        services.watcher.ended()


def _due(entry: TreeEntry | None, known: KnownFile | None) -> Due | None:
    """Say what content of a file the database should hold; None for none."""
    if entry is None:
        return None
    if known is not None and known.is_failed and known.blob == entry.blob:
        return Due(replace(entry, blob=known.blob_saved), is_stale=True) if known.blob_saved is not None else None
    return Due(entry)


def _odd_record(entry: TreeEntry | None, known: KnownFile | None) -> Difference | None:
    """Compare the record of a file with the tree: the content last tried has to be the tree's."""
    due = (entry.path, entry.blob) if entry is not None else None
    there = (known.path, known.blob) if known is not None else None
    if due == there:
        return None
    path = (due or there or (b"",))[0]
    return Difference("source_file", (path,), due, there, path)


def _page(job: Job, services: Services, reader: Reader, due: Due) -> Page | PageError | None:
    """Read what is due; content that is out of reach is taken from the database, of a stale file alone."""
    try:
        return reader.read(due.entry)
    except (PageError, TransientError) as error:
        if due.is_stale:
            return page_of(services.database, job.ontology_id, due.entry.path)
        return error if isinstance(error, PageError) else PageError(str(error))


def _mend(job: Job, services: Services, repository_path: Path, found: Iterable[Difference]) -> None:
    """Save the files that differ again, then derive again what differs without them."""
    held = checkpoint.load(services.database, job.ontology_id)
    treeish = held.treeish if held is not None else None
    touched = Touched()
    paths = set()
    claimed = set()  # of the file `legacy:`, which lets go of it when a file that claims it is saved again
    for difference in found:
        key = tuple(map(str, difference.key))
        if difference.path is not None:
            paths.add(difference.path)
        elif difference.kind.startswith("legacy_"):
            claimed.add(key[1] if difference.kind == "legacy_axiom" else key[0])
        elif difference.kind == "class":
            touched.classes.add(key[0])
        elif difference.kind in {"property", "property_use"}:
            touched.properties.add(key[0])
        else:
            (touched.parents_gone if difference.expected is None else touched.parents_came).add((key[0], key[1]))
    paths |= remainder.claimants(services.database, job.ontology_id, claimed)
    with services.database.transaction():
        derive.recount(services.database, job.ontology_id)
    repository = open_repository(repository_path)
    try:
        with Reader(repository_path, job.reading, job.apart) as reader:
            for path in sorted(paths):
                entry = changes.find(repository, treeish, path) if treeish is not None else None
                _mend_file(job, services, reader, path, entry)
    finally:
        repository.free()
    with services.database.transaction():
        derive.recount(services.database, job.ontology_id)
        derive.derive(services.database, job.ontology_id, touched, timestamp(services.now()))


def _mend_file(job: Job, services: Services, reader: Reader, path: bytes, entry: TreeEntry | None) -> None:
    writer = Writer(services.database, job.ontology_id, lambda: timestamp(services.now()))
    due = _due(entry, files.known_file(services.database, job.ontology_id, path))
    page = _page(job, services, reader, due) if due is not None else None
    if entry is None:
        writer.delete(path)
    elif isinstance(page, PageError):
        content = Content(path, entry.blob, reading_digest(job.reading))
        writer.fail(content, Failure(FailureClass.PAGE.value, page.reason, page.line))
    else:
        writer.mend(path, page)
        if page is not None and due is not None and not due.is_stale:
            writer.save(Content(path, entry.blob, reading_digest(job.reading)), page)
