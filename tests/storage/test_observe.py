"""Who watches the writes is told of each, with the wait for the lock apart."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from visionflow_daemon.storage.migrate import open_migrated


def test_a_write_that_comes_through_is_told_with_its_wait(tmp_path: Path) -> None:
    database, _ = open_migrated(str(tmp_path / "x.db"), tmp_path)
    seen: list[tuple[float, float]] = []
    database.observe = lambda waited, held: seen.append((waited, held))
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with database.transaction():
            entered.set()
            leave.wait(10)
        database.close()

    first = threading.Thread(target=hold)
    first.start()
    assert entered.wait(10)
    threading.Timer(0.05, leave.set).start()
    with database.transaction():
        pass
    first.join()
    database.close()
    (_, held_first), (waited_second, held_second) = sorted(seen, key=lambda times: times[0])
    assert waited_second >= 0.04
    assert held_first >= 0.04 > held_second


def test_a_write_that_fails_is_not_told(tmp_path: Path) -> None:
    database, _ = open_migrated(str(tmp_path / "x.db"), tmp_path)
    seen: list[float] = []
    database.observe = lambda _waited, held: seen.append(held)
    with pytest.raises(ZeroDivisionError), database.transaction():
        _ = 1 / 0
    database.close()
    assert not seen
