"""How long a PostgreSQL server may be silent: its client library waits for an answer for ever.

A statement's time limit is kept by the server, and one that is stopped keeps none; TCP's limits notice that a machine
is gone, but not that a process hangs. So each wait is looked at here: it ends where the limit is long over, or soon
after the program is told to end. The connection is closed then, as if it were lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import peewee
import psycopg
from psycopg.waiting import Ready, Wait

Result = TypeVar("Result")

BEYOND = 5.0
"""Seconds that an answer may come later than the server was told to give up."""

AT_THE_END = 2.0
"""Seconds that a silent server is waited for once the program is told to end."""


class Silence:
    """What one database's connections bear. `is_over` tells whether the program is to end."""

    def __init__(self, statement_timeout: float, is_over: Callable[[], bool]) -> None:
        self._longest = statement_timeout + BEYOND
        self._is_over = is_over
        self._is_given_up = False

    def unborne(self, seconds: float, *, is_patient: bool) -> str | None:
        """Say why a silence of so many seconds is borne no longer; None where it is."""
        if seconds > AT_THE_END and self._is_over():
            self._is_given_up = True
            return "the server is silent, and the program is to end"
        if seconds > self._longest and not is_patient:
            return f"the server has been silent for {seconds:.0f} seconds"
        return None

    def connect(self, **given: Any) -> Connection:  # noqa: ANN401 - what psycopg takes
        """Connect. Raises psycopg's OperationalError: at once, where the end has come, and the server was silent."""
        if self._is_given_up:
            raise psycopg.OperationalError("the server was silent, and the program is to end")
        try:
            connection = Connection.connect(**given)
        except psycopg.errors.ConnectionTimeout:
            self._is_given_up = self._is_over()
            raise
        connection.silence = self
        return connection


class Connection(psycopg.Connection[Any]):
    """A connection that bears a silence of its server for a while alone; one that is patient, any statement's."""

    silence: Silence | None = None
    is_patient = False

    def wait(self, gen: Generator[Wait, Ready | int, Result], *given: Any, **named: Any) -> Result:  # noqa: ANN401
        """Wait for what the server has to say."""
        return super().wait(self._heard(gen), *given, **named)

    def wait_by(self, gen: Generator[Wait, Ready | int, Result]) -> Result:
        """Wait for what the server has to say, by a generator that calls `bear` itself where nothing comes."""
        return super().wait(gen)

    def bear(self, heard_at: float) -> None:
        """Bear that nothing was heard since a moment. Raises OperationalError where that is borne no longer."""
        silent = time.monotonic() - heard_at
        if self.silence and (why := self.silence.unborne(silent, is_patient=self.is_patient)):
            self.pgconn.finish()
            raise psycopg.OperationalError(why)

    def _heard(self, gen: Generator[Wait, Ready | int, Result]) -> Generator[Wait, Ready | int, Result]:
        """Pass on what a wait is about and what comes of it, and look at the time where nothing comes."""
        heard_at = time.monotonic()
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if ready:
                    heard_at = time.monotonic()
                else:
                    self.bear(heard_at)
                wanted = gen.send(ready)
        except StopIteration as end:
            result: Result = end.value
            return result


class Adapter(peewee.Psycopg3Adapter):
    """How Peewee connects: through what a database's connections bear."""

    def connect(self, db: Any, **params: Any) -> Connection:  # noqa: ANN401 - as Peewee has it
        """Connect."""
        silence: Silence = params.pop("silence")
        return silence.connect(conninfo=db.database, **params)
