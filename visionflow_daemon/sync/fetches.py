"""How many fetches run at once: each is a process, and servers that hang must not keep the healthy ones waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import structlog

from visionflow_daemon.errors import StoppedError
from visionflow_daemon.git.credentials import server_of

log = structlog.get_logger()

QUICK = 4
"""Fetches that run at once, as long as they are quick."""

SLOW = 4
"""Fetches that run beside these, once they are slow."""

PATIENCE = 3.0
"""Seconds after which a fetch is slow."""

LOOK = 0.5
"""Seconds after which who waits looks up."""

WORTH_TELLING = 1.0
"""Seconds of waiting that an operator may ask about."""


class _Fetch:
    """One fetch, from when it is asked for to its end."""

    def __init__(self, location: str) -> None:
        self.location = location
        self.server = server_of(location)
        self.began: float | None = None
        self.is_slow = False
        self.may_begin = threading.Event()


class Line:
    """Says who may fetch: the quick ones, a few at a time, and beside them a few that are slow.

    A fetch that outlasts PATIENCE becomes a slow one, and leaves its place to the next, as long as there is room among
    the slow ones. There, whoever was slow the last time has to wait from the start, and so has who asks a server that
    another one is waiting for: servers that hang wait for each other alone.
    """

    def __init__(self) -> None:
        self._waiting: list[_Fetch] = []
        self._under_way: list[_Fetch] = []
        self._were_slow: set[str] = set()

    def ask(self, location: str) -> _Fetch:
        """Ask for a fetch, behind those who have asked before."""
        fetch = _Fetch(location)
        self._waiting.append(fetch)
        return fetch

    def admit(self, now: float) -> list[_Fetch]:
        """Let those begin who may, and give them; they are under way then."""
        late = [each for each in self._under_way if each.began is not None and now - each.began > PATIENCE]
        slow = sum(each.is_slow for each in self._under_way)
        for each in late:
            if not each.is_slow and slow < SLOW:
                each.is_slow = True
                slow += 1
        left = {True: SLOW - slow, False: QUICK - (len(self._under_way) - slow)}
        servers = {each.server for each in late}
        begun = []
        for fetch in self._waiting:
            if max(left.values()) <= 0:
                break
            fetch.is_slow = fetch.location in self._were_slow or fetch.server in servers
            if left[fetch.is_slow] > 0:
                left[fetch.is_slow] -= 1
                fetch.began = now
                begun.append(fetch)
        self._under_way += begun
        self._waiting = [each for each in self._waiting if each.began is None] if begun else self._waiting
        return begun

    def end(self, fetch: _Fetch, now: float) -> None:
        """Note that a fetch is over, or is not waited for any more."""
        if fetch.began is None:
            self._waiting.remove(fetch)
            return
        self._under_way.remove(fetch)
        if now - fetch.began > PATIENCE:
            self._were_slow.add(fetch.location)
        else:
            self._were_slow.discard(fetch.location)


class Fetches:
    """The places for fetches of a process; safe to use from many threads."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._line = Line()
        self._looked_at = float("-inf")

    @contextmanager
    def place(self, location: str, stop: threading.Event) -> Iterator[None]:
        """Wait for a place, and have it while the block runs. Raises StoppedError when `stop` is set meanwhile."""
        with self._lock:
            fetch = self._line.ask(location)
            self._admit()
        try:
            self._wait(fetch, stop)
            yield
        finally:
            with self._lock:
                self._line.end(fetch, self._monotonic())
                self._admit()

    def _wait(self, fetch: _Fetch, stop: threading.Event) -> None:
        asked = self._monotonic()
        while not fetch.may_begin.wait(LOOK):
            with self._lock:  # for all who wait: whoever is under way may be slow by now
                if self._monotonic() - self._looked_at >= LOOK:
                    self._admit()
            if stop.is_set():
                raise StoppedError("stopped while other fetches were waited for")
        if (waited := self._monotonic() - asked) >= WORTH_TELLING:
            log.info("fetch waited", seconds=round(waited, 1))

    def _admit(self) -> None:
        self._looked_at = self._monotonic()
        for fetch in self._line.admit(self._looked_at):
            fetch.may_begin.set()
