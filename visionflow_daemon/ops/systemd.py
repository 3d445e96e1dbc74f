"""Tells systemd how the service is doing: sd_notify's protocol, datagrams to the socket that the unit names."""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Callable, MutableMapping
from contextlib import suppress

LONGEST = 30.0
"""Seconds between two signs of life, where nobody watches for them."""

SHORTEST = 0.5
"""Seconds between two signs of life, or two statuses, at least: progress is told of far more often."""


class Notify:
    """The line to systemd; where there is none, nothing is sent.

    `every` is how often, in seconds, it is to be told that all is well: three times as often as the watchdog wants.
    `allowed` is how long the watchdog lets silence last.
    """

    def __init__(self, environment: MutableMapping[str, str], monotonic: Callable[[], float] = time.monotonic) -> None:
        # Taken out of the environment: a child must not speak for us.
        self._address = environment.pop("NOTIFY_SOCKET", "")
        watched = environment.pop("WATCHDOG_USEC", "")
        is_ours = environment.pop("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        seconds = int(watched) / 3_000_000 if watched.isdecimal() and is_ours else 0.0
        self._is_watched = seconds > 0
        self.allowed = 3 * seconds if seconds else math.inf
        self.every = min(seconds or LONGEST, LONGEST)
        self._monotonic = monotonic
        self._beaten_at = self._told_at = float("-inf")
        self._is_ready = False

    def ready(self) -> None:
        """Say, once, that the service does its work."""
        if not self._is_ready:
            self._is_ready = True
            self._send("READY=1")

    def beat(self) -> None:
        """Give a sign of life, unless the last one is fresh."""
        now = self._monotonic()
        if self._is_watched and now - self._beaten_at >= min(SHORTEST, self.every):
            self._beaten_at = now
            self._send("WATCHDOG=1")

    def trigger(self) -> None:
        """Have the watchdog end the process at once; where systemd knows no such word, in its own time."""
        if self._is_watched:
            self._send("WATCHDOG=trigger")

    def status(self, text: str, *, is_progress: bool = False) -> None:
        """Say what is being done, in a line for people; progress only now and then."""
        now = self._monotonic()
        if not is_progress or now - self._told_at >= SHORTEST:
            self._told_at = now
            self._send(f"STATUS={' '.join(text.split())}")

    def reloading(self) -> None:
        """Say that the configuration is being read anew, which `reloaded` ends."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={int(time.clock_gettime(time.CLOCK_MONOTONIC) * 1_000_000)}")

    def reloaded(self) -> None:
        """Say that the configuration was read anew, or refused."""
        if self._is_ready:
            self._send("READY=1")

    def stopping(self) -> None:
        """Say that the service is about to end."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        # An @ stands for the zero byte that an abstract address begins with.
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
            line.settimeout(1.0)  # a manager that doesn't listen holds nobody up
            line.sendto(message.encode("utf-8", "replace"), address)
