"""Lets one worker work at a time, and another while that one waits."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Turn:
    """Held by the one worker that works, until it has to wait; the others stand by.

    Where every step needs the interpreter lock, and SQLite's write lock, threads that work at once only hand these to
    each other, and drop each other's page caches (ADR 0010).
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._is_held = False
        self._back = 0
        """How many workers are back from a wait; they go before those that stand by."""

    def __enter__(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._is_held and not self._back)
            self._is_held = True

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._is_held = False
            self._changed.notify_all()

    def give_way(self) -> None:
        """Let those go on that are back from a wait; for who holds the turn, between two tasks."""
        if self._back:
            self.__exit__()
            self.__enter__()

    @contextmanager
    def away(self) -> Iterator[None]:
        """Leave the turn to others while something is waited for; for who holds the turn."""
        self.__exit__()
        try:
            yield
        finally:
            with self._changed:
                self._back += 1
                self._changed.wait_for(lambda: not self._is_held)
                self._back -= 1
                self._is_held = True

    def left_for(self, wait: Callable[[float], None]) -> Callable[[float], None]:
        """Make a wait that leaves the turn to others meanwhile; for who holds the turn."""

        def waiting(seconds: float) -> None:
            with self.away():
                wait(seconds)

        return waiting
