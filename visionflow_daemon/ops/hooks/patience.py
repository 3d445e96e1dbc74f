"""How long a delivery may take: its hook's timeout, and a moment where the daemon is about to end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

GRACE = 2.0
"""Seconds that a delivery may still take when the daemon is to end."""


class Closing(threading.Event):
    """Set when the daemon is about to end; `ends_at` is when deliveries are to be over."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic = monotonic
        self.ends_at = float("inf")

    def set(self) -> None:
        """Let all deliveries end soon."""
        if not self.is_set():
            self.ends_at = self._monotonic() + GRACE
        super().set()


class Patience:
    """The time that one delivery has left, whatever it waits for."""

    def __init__(self, seconds: float, closing: Closing, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._closing = closing
        self._monotonic = monotonic
        self._ends_at = monotonic() + seconds

    def left(self) -> float:
        """Give the seconds that are left. Raises TimeoutError when there are none."""
        now = self._monotonic()
        if self._closing.ends_at <= now:
            raise TimeoutError("the daemon ends")
        if self._ends_at <= now:
            raise TimeoutError(f"it takes longer than {self._seconds:g} seconds")
        return min(self._ends_at, self._closing.ends_at) - now
