"""Shows the daemon's work over HTTP, where the configuration says so."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from visionflow_daemon.config.secrets import server_of
from visionflow_daemon.config.values import Config
from visionflow_daemon.ops import http
from visionflow_daemon.ops.backup_counts import BackupCounts
from visionflow_daemon.ops.board import Board
from visionflow_daemon.ops.inbound.receiver import Receiver
from visionflow_daemon.ops.observer import Observer, Unobserved
from visionflow_daemon.ops.readers import readers_of
from visionflow_daemon.sync.meter import Meter, Unmeasured

log = structlog.get_logger()

SLOWEST_STEP = 600.0
"""Seconds of silence after which the daemon counts as stuck, at least; a fetch may take all of its deadline."""

MARGIN = 60.0


@dataclass(frozen=True, slots=True)
class Shown:
    """Who shows what the daemon does: its observer, what measures a source's passes, who is told that one lives."""

    observer: Observer
    meter_of: Callable[[str], Meter]
    lives: Callable[[str], None]


@contextmanager
def shown(config: Config, state: Path, receiver: Receiver, counts: BackupCounts) -> Iterator[Shown]:
    """Give whom the daemon's loop tells what it does.

    It is served meanwhile, with the counts of backups, and webhooks are received.

    Raises ConfigError.
    """
    where = config.http
    if not where.port:
        yield Shown(Unobserved(), lambda _: Unmeasured(), lambda _: None)
        return
    board = Board()
    rules = http.Rules(
        ready_intervals=where.ready_intervals,
        alive_seconds=max(SLOWEST_STEP, config.network.fetch_timeout + MARGIN, config.reading.apart.seconds + MARGIN),
        names=frozenset({"localhost", *where.names}),
    )
    found = readers_of(config.database, config.base, state, server_of(config, os.environ))
    readers = replace(found, backups=counts.standing)
    with http.serve(board, readers, (where.address, where.port), rules, receiver, [counts]) as server:
        log.info("serving http", address=where.address, port=server.server_address[1])
        yield Shown(board, board.meter, board.lives)
