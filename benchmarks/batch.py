"""The batch: the way that this program replaces; `python -m benchmarks.batch`.

All files are read, all their facts are kept in memory, and all of them are saved at the end, in one transaction: by
the program's own readers and writer, so that the way is all that differs.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from visionflow_daemon.config.values import DEFAULT_EXCLUDE, DEFAULT_INCLUDE, Config
from visionflow_daemon.formats.choose import reading_digest
from visionflow_daemon.git import changes, repository
from visionflow_daemon.git.repository import Network
from visionflow_daemon.model import ApartRules, timestamp
from visionflow_daemon.storage.migrate import open_migrated
from visionflow_daemon.storage.sqlite import SqliteDatabase
from visionflow_daemon.storage.writer import Content, Writer
from visionflow_daemon.sync.reader import Reader


class OneTransaction(SqliteDatabase):
    """A database whose writes all fall into one transaction."""

    @contextmanager
    def transaction(self, *, in_order: bool = True) -> Iterator[None]:  # noqa: ARG002 - there is one
        """Write within the transaction that stands around all."""
        yield

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Stand around all."""
        with super().transaction():
            yield


def sync(source: Path, path: Path, include: tuple[str, ...]) -> None:
    """Read everything, then save everything. Raises PageError for the first bad page: nothing is saved then."""
    repository.configure(Network())
    reading = Config().reading_rules()
    digest = reading_digest(reading)
    target = repository.find_local(str(source), None, Path.cwd())
    opened = repository.open_repository(target.repository)
    entries = changes.walk(opened, target.commit, changes.selection(include, DEFAULT_EXCLUDE))
    with Reader(target.repository, reading, ApartRules()) as reader:
        read = [(Content(each.path, each.blob, digest), reader.read(each)) for each in entries]
    database = OneTransaction(path)
    now = timestamp(datetime.now(UTC))
    writer = Writer(database, "default", lambda: now)
    with database.whole():
        for content, page in read:
            writer.save(content, page)
    database.close()


def main() -> None:
    """Sync a repository into a new database."""
    parser = argparse.ArgumentParser(description="Reads all, then saves all in one transaction.")
    parser.add_argument("repository", type=Path)
    parser.add_argument("database", type=Path)
    parser.add_argument("--include", action="append")
    given = parser.parse_args()
    database, _ = open_migrated(str(given.database), Path.cwd())
    database.close()
    sync(given.repository, given.database, tuple(given.include or DEFAULT_INCLUDE))


if __name__ == "__main__":
    main()
