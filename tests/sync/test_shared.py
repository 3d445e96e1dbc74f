"""What a worker thread has one of: made for the first who needs it, let go of after the last."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from pathlib import Path

import pytest

from visionflow_daemon.storage.migrate import open_migrated
from visionflow_daemon.sync import apply
from visionflow_daemon.sync.shared import PerThread


class Things:
    """Makes things, and notes what becomes of them."""

    def __init__(self) -> None:
        self.shared: PerThread[str, int] = PerThread()
        self.made: list[int] = []
        self.ended: list[int] = []

    @contextmanager
    def make(self) -> Iterator[int]:
        """Make one."""
        number = len(self.made)
        self.made.append(number)
        yield number
        self.ended.append(number)


def test_one_for_each_thread_and_key_however_many_use_it_in_whatever_order() -> None:
    things = Things()
    users = [things.shared.of("a", things.make) for _ in range(3)]
    assert [user.__enter__() for user in users] == [0, 0, 0]
    users[0].__exit__(None, None, None)
    users[2].__exit__(None, None, None)
    assert things.ended == []
    with things.shared.of("b", things.make) as other:
        assert other == 1
    assert things.ended == [1]
    elsewhere: list[int] = []

    def use() -> None:
        with things.shared.of("a", things.make) as thing:
            elsewhere.append(thing)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert elsewhere == [2]
    users[1].__exit__(None, None, None)
    assert sorted(things.ended) == [0, 1, 2]
    with things.shared.of("a", things.make) as anew:
        assert anew == 3


def test_what_can_not_be_made_is_not_there() -> None:
    things = Things()

    @contextmanager
    def fails() -> Iterator[int]:
        raise LookupError
        yield 0

    with pytest.raises(LookupError), things.shared.of("a", fails):
        raise AssertionError
    with things.shared.of("a", things.make) as thing:
        assert thing == 0


def test_a_connection_stays_for_a_pass_that_holds_the_database_by_another_value(tmp_path: Path) -> None:
    database, _ = open_migrated(str(tmp_path / "kg.db"), tmp_path)
    database.close()
    with apply._connected(database):  # noqa: SLF001 - what its handlers are opened with
        with apply._connected(copy(database)):  # noqa: SLF001 - as above
            assert not database.peewee.is_closed()
        assert not database.peewee.is_closed(), "one pass has closed the connection of another"
    assert database.peewee.is_closed()
