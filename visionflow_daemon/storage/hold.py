"""Holds an ontology for whoever writes it: one pass at a time, on this machine or on any."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from visionflow_daemon.storage.database import Database
from visionflow_daemon.storage.lock import ontology_lock

if TYPE_CHECKING:
    from visionflow_daemon.storage.postgresql import PostgresDatabase


@contextmanager
def held_by_us(
    database: Database, ontology_id: str, wait: float, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Database]:
    """Hold an ontology, and give the database through which alone it may be written meanwhile.

    Waits up to `wait` seconds for who holds it. Raises LockedError when they still do then.
    """
    if database.address.path is not None:
        with ontology_lock(database.address.path, ontology_id, wait, sleep):
            yield database
        return
    from visionflow_daemon.storage.lease import leased  # noqa: PLC0415 - for servers alone

    with leased(cast("PostgresDatabase", database), ontology_id, wait, sleep) as fenced:
        yield fenced
