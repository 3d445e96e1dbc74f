"""Remembers the circuit breakers of an ontology from pass to pass, in the state directory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import orjson
import structlog

from visionflow_daemon.errors import OpenError
from visionflow_daemon.model import timestamp
from visionflow_daemon.sync.breaker import Breaker, Guarded, Rules, State, failed
from visionflow_daemon.sync.checked import note_path
from visionflow_daemon.sync.retry import guarded_by

log = structlog.get_logger()

FOLDER = "breakers"


class Breakers:
    """The breakers of one ontology of one database."""

    def __init__(self, state: Path, database: str, ontology_id: str) -> None:
        self._path = note_path(state, FOLDER, database, ontology_id)

    def all(self) -> dict[Guarded, Breaker]:
        """Give all breakers; one that was never needed, or can't be read, is closed."""
        held = {guarded: Breaker(guarded) for guarded in Guarded}
        try:
            for fields in orjson.loads(self._path.read_bytes()):
                breaker = Breaker(**fields | {"guards": Guarded(fields["guards"])})
                held[breaker.guards] = breaker
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return held

    def try_pass(self, now: datetime) -> None:
        """Raise OpenError while a breaker is open."""
        for breaker in self.all().values():
            state = breaker.state(timestamp(now))
            if state is State.OPEN:
                raise OpenError(
                    f"the circuit breaker of the {breaker.guards} is open until {breaker.retry_at}: "
                    f"{breaker.failures} time(s) in a row since {breaker.since}: {breaker.reason}. "
                    "`visionflow-daemon retry` lets the next pass try at once"
                )
            if state is State.HALF_OPEN:
                log.info("breaker half-open", breaker=breaker.guards, failures=breaker.failures, since=breaker.since)

    def open_until(self, now: datetime) -> datetime | None:
        """Say when the next pass may try; None where it may at once."""
        waiting = [
            breaker.retry_at
            for breaker in self.all().values()
            if breaker.retry_at is not None and breaker.state(timestamp(now)) is State.OPEN
        ]
        return datetime.fromisoformat(max(waiting)) if waiting else None

    def note(self, error: Exception, rules: Rules, now: datetime, draw: Callable[[], float] | None = None) -> None:
        """Count what a pass failed with, where a breaker guards against it; `draw` gives the jitter, from 0 to 1."""
        guarded, reason = guarded_by(error)
        if guarded is None:
            return
        from random import random  # noqa: PLC0415 - for failures alone

        held = self.all()
        at_once = guarded is Guarded.FILES
        breaker = failed(held[guarded], reason, rules, now, at_once=at_once, jitter=(draw or random)())
        if breaker.retry_at is not None:
            log.warning(
                "breaker opened",
                breaker=guarded,
                failures=breaker.failures,
                since=breaker.since,
                retry_at=breaker.retry_at,
                reason=reason,
            )
        self._write([each for each in (held | {guarded: breaker}).values() if each.failures])

    def close(self) -> list[Breaker]:
        """Forget all failures: a pass came through, or an operator wants the next one to try. Give what there was."""
        had = [breaker for breaker in self.all().values() if breaker.failures]
        if had:
            self._write([])
        return had

    def _write(self, breakers: list[Breaker]) -> None:
        try:
            if not breakers:
                self._path.unlink(missing_ok=True)
                return
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            fresh = self._path.with_suffix(".new")
            fresh.write_bytes(orjson.dumps([asdict(breaker) for breaker in breakers]))
            fresh.replace(self._path)
        except OSError as error:
            log.warning("state directory not writable", directory=str(self._path.parent), reason=str(error.strerror))
