"""Fixtures: a clock, a board, readers whose answers a test chooses, and a server to ask."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.ops.support import Clock, Told, Web, board_at
from visionflow_daemon.ops.backup_counts import BackupCounts
from visionflow_daemon.ops.board import Board
from visionflow_daemon.ops.http import serve


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until a test moves it."""
    return Clock()


@pytest.fixture
def board(clock: Clock) -> Board:
    """A board that knows one source, `kg`."""
    return board_at(clock)


@pytest.fixture
def told() -> Told:
    """What database and state directory say."""
    return Told()


@pytest.fixture
def web(board: Board, told: Told) -> Iterator[Web]:
    """A server that shows the board, and that a backup was taken."""
    counts = BackupCounts()
    counts.taken(datetime(2030, 1, 1, tzinfo=UTC), 4_096)
    with serve(board, told.readers(), more=[counts]) as server:
        yield Web(server.server_address[1])
