"""The storage as a machine: after every single write it holds what a fresh database fed the same pages holds."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests import engines
from tests.storage.test_exact import PATHS, blob_of, database_in, pages
from visionflow_daemon.model import Page
from visionflow_daemon.storage.dump import dump
from visionflow_daemon.storage.migrate import migrate
from visionflow_daemon.storage.sqlite import SqliteDatabase
from visionflow_daemon.storage.writer import Content, Failure, Writer

path = st.sampled_from(PATHS)


class Storage(RuleBasedStateMachine):
    """One ontology in one database, and the pages that it was fed."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.database = database_in(self.folder.name, "lived.db")
        self.writer = Writer(self.database, "o", lambda: "t")
        self.held: dict[bytes, Page] = {}

    @rule(path=path, page=pages())
    def save(self, path: bytes, page: Page) -> None:
        """Save a page."""
        self.writer.save(Content(path, blob_of(page), "d"), page)
        self.held[path] = page

    @rule(path=path)
    def fail(self, path: bytes) -> None:
        """Let a file fail: it keeps what it said."""
        self.writer.fail(Content(path, "0" * 40, "d"), Failure("page", "broken"))

    @rule(path=path)
    def delete(self, path: bytes) -> None:
        """Delete a file."""
        self.writer.delete(path)
        self.held.pop(path, None)

    @invariant()
    def holds_what_a_fresh_one_holds(self) -> None:
        """Compare with a fresh database."""
        with tempfile.TemporaryDirectory() as folder:
            fresh = SqliteDatabase(Path(folder) / "fresh.db", is_scratch=True)
            migrate(fresh)
            writer = Writer(fresh, "o", lambda: "t")
            for held in sorted(self.held, reverse=True):
                writer.save(Content(held, blob_of(self.held[held]), "d"), self.held[held])
            assert list(dump(self.database, "o")) == list(dump(fresh, "o"))
            fresh.close()

    def teardown(self) -> None:
        """Put everything away."""
        self.database.close()
        engines.drop(Path(self.folder.name) / "lived.db")
        self.folder.cleanup()


TestStorage = Storage.TestCase
TestStorage.settings = settings(
    max_examples=engines.examples(40), stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
