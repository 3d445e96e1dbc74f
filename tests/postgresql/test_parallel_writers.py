"""Eight writers at once on a PostgreSQL server leave what SQLite's one writer leaves, whatever each of them does."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import peewee
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.histories import PATHS, READING, markdown, turtle
from tests.postgresql.server import PASSWORD, database_name, shared
from visionflow_daemon.errors import PageError, UnforeseenError, VisionflowError
from visionflow_daemon.formats.choose import read_page, reading_digest
from visionflow_daemon.model import Page
from visionflow_daemon.storage.dump import dump
from visionflow_daemon.storage.hold import held_by_us
from visionflow_daemon.storage.migrate import migrate
from visionflow_daemon.storage.postgresql import PostgresDatabase, open_postgresql
from visionflow_daemon.storage.server import Server, ServerRules
from visionflow_daemon.storage.sqlite import SqliteDatabase
from visionflow_daemon.storage.writer import Content, Failure, Writer

WRITERS = 8
DIGEST = reading_digest(READING)

Round = Mapping[str, str | None]
"""What happens at the same time: the content that each of some paths gets, None where it goes."""


@st.composite
def _rounds(draw: st.DrawFn) -> Round:
    paths = draw(st.lists(st.sampled_from(PATHS), min_size=2, max_size=WRITERS, unique=True))
    return {path: draw(st.none() | turtle if path.endswith(".ttl") else st.none() | markdown) for path in paths}


histories = st.lists(_rounds(), min_size=1, max_size=4)


def _blob(content: str) -> str:
    return hashlib.sha1(content.encode()).hexdigest()  # noqa: S324 - git's


def _page(path: str, content: str) -> Page:
    return read_page(path.encode(), content.encode(), READING)


def _save(writer: Writer, path: str, content: str) -> None:
    """Save a page, or note that it can't be read, as a pass does."""
    read = Content(path.encode(), _blob(content), DIGEST)
    try:
        page = _page(path, content)
    except PageError as error:
        writer.fail(read, Failure("page", error.reason, error.line))
    else:
        writer.save(read, page)


@dataclass
class Writers:
    """Eight threads with a connection each, and a server's database for any number of ontologies."""

    database: PostgresDatabase
    folder: Path
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(WRITERS))
    count: int = 0

    def live(self, history: list[Round], *, is_fenced: bool = True) -> tuple[list[bytes], list[bytes]]:
        """Let all of each round happen at once; give the dump, and that of one writer who saved what was saved."""
        self.count += 1
        ontology_id, good = f"o{self.count}", {}
        with held_by_us(self.database, ontology_id, 5.0) as fenced:
            writer = Writer(fenced if is_fenced else self.database, ontology_id, lambda: "t")
            for each in history:
                self._at_once(writer, each)
                for path, content in each.items():
                    if content is None:
                        good.pop(path, None)
                        continue
                    with suppress(PageError):
                        _page(path, content)
                        good[path] = content
        with self.database.snapshot():
            lived = list(dump(self.database, ontology_id))
        return lived, self._alone(ontology_id, good)

    def _at_once(self, writer: Writer, changes: Round) -> None:
        start = threading.Barrier(len(changes))

        def change(path: str, content: str | None) -> None:
            start.wait()
            if content is None:
                writer.delete(path.encode())
            else:
                _save(writer, path, content)

        for done in [self.threads.submit(change, *each) for each in changes.items()]:
            done.result(60)

    def _alone(self, ontology_id: str, good: Mapping[str, str]) -> list[bytes]:
        (self.folder / "alone.db").unlink(missing_ok=True)
        alone = SqliteDatabase(self.folder / "alone.db", is_scratch=True)
        try:
            migrate(alone)
            writer = Writer(alone, ontology_id, lambda: "t")
            for path, content in good.items():
                _save(writer, path, content)
            return list(dump(alone, ontology_id))
        finally:
            alone.close()

    def deadlocks(self) -> int:
        """Count the deadlocks that the server has met in the database."""
        asked = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        return int((self.database.row(asked) or (0,))[0])

    def close(self) -> None:
        """Close all connections."""
        all_here = threading.Barrier(WRITERS)

        def close() -> None:
            all_here.wait()
            self.database.close()

        for done in [self.threads.submit(close) for _ in range(WRITERS)]:
            done.result(60)
        self.threads.shutdown()
        self.database.close()
        self.database.end()


@pytest.fixture
def writers(tmp_path: Path) -> Iterator[Writers]:
    """Eight writers, and a database of their own."""
    url = shared().new_database(database_name(tmp_path))
    database = open_postgresql(url, Server(ServerRules(), lambda: PASSWORD))
    migrate(database)
    made = Writers(database, tmp_path)
    yield made
    made.close()


def _run(check: Callable[[list[Round]], None], examples: int) -> None:
    phases, checks = [Phase.generate], list(HealthCheck)
    rules = settings(max_examples=examples, deadline=None, database=None, phases=phases, suppress_health_check=checks)
    rules(given(histories)(check))()


def _see_that_all_is_exact(writers: Writers, examples: int) -> None:
    def check(history: list[Round]) -> None:
        lived, alone = writers.live(history)
        assert lived == alone

    _run(check, examples)
    assert writers.deadlocks() == 0


def test_eight_writers_leave_what_one_leaves(writers: Writers) -> None:
    _see_that_all_is_exact(writers, 60)


@pytest.mark.deep
def test_eight_writers_leave_what_one_leaves_a_thousand_times(writers: Writers) -> None:
    _see_that_all_is_exact(writers, 1_000)


def _goes_wrong(writers: Writers, *, is_fenced: bool = True) -> bool:
    """Tell whether any history ends otherwise than with one writer, or meets the server's own refusals."""
    is_wrong = False

    def check(history: list[Round]) -> None:
        nonlocal is_wrong
        if is_wrong:
            return
        try:
            lived, alone = writers.live(history, is_fenced=is_fenced)
            is_wrong = lived != alone
        except (peewee.DatabaseError, VisionflowError):
            is_wrong = True

    _run(check, 500)
    return is_wrong


def test_without_the_order_of_the_lease_they_would_not(writers: Writers) -> None:
    assert _goes_wrong(writers, is_fenced=False)


class Careless(PostgresDatabase):
    """A database that believes what was foreseen."""

    def demand(self, sql: str, parameters: Sequence[Any], unmet: Exception) -> None:
        """Demand only what isn't about others' facts."""
        if not isinstance(unmet, UnforeseenError):
            super().demand(sql, parameters, unmet)


def test_without_a_second_look_they_would_not(writers: Writers) -> None:
    careless = copy(writers.database)
    careless.__class__ = Careless
    assert _goes_wrong(replace(writers, database=careless))
