"""Takes an ontology out of the database, part by part, and goes on with that where it was cut off."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

import structlog

from visionflow_daemon.errors import StoppedError
from visionflow_daemon.storage import checkpoint, forget
from visionflow_daemon.storage.database import Database
from visionflow_daemon.sync.job import Services
from visionflow_daemon.sync.retry import persistently

log = structlog.get_logger()


def remove(
    database: Database, ontology_id: str, sleep: Callable[[float], None], stop: Event, *, with_inferred: bool = False
) -> None:
    """Remove all rows of an ontology that is marked, but for the mark; for who holds the ontology.

    Raises StoppedError when told to stop: what is left then stays marked.
    """
    while persistently(lambda: forget.remove_part(database, ontology_id, with_inferred=with_inferred), sleep):
        if stop.is_set():
            raise StoppedError("stopped while an ontology was removed")


def finish(services: Services, ontology_id: str) -> None:
    """Go on with a removal that was cut off, if there was one: a pass begins with nothing then."""
    held = checkpoint.load(services.database, ontology_id)
    if held is None or not held.is_forgotten:
        return
    log.info("removal continued", reason="it was cut off, and the ontology is synced again")
    remove(services.database, ontology_id, services.sleep, services.stop)
    forget.unmark(services.database, ontology_id)
