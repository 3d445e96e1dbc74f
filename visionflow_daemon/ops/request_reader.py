"""Reads a request within a number of bytes and seconds, however slowly it is sent."""

from __future__ import annotations

import http.client
import io
import time
from contextlib import suppress
from socket import socket


class _Bounded(io.RawIOBase):
    """A connection that ends with an error when it has sent too much, or taken too long.

    A socket's own timeout counts from read to read: who sends a byte a second would never meet it.
    """

    def __init__(self, connection: socket, most_bytes: int, seconds: float) -> None:
        self._connection = connection
        self._left = most_bytes
        self._seconds = seconds
        self._until = time.monotonic() + seconds

    def allow(self, most_bytes: int, seconds: float) -> None:
        """Let so many bytes come from now on, for so long."""
        self._left = most_bytes
        self._until = time.monotonic() + seconds

    def readable(self) -> bool:
        """Say that it can be read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read what is there, within the bounds."""
        if self._left <= 0:
            raise http.client.LineTooLong("request")
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        try:
            count = self._connection.recv_into(buffer[: self._left])
        finally:
            self._connection.settimeout(self._seconds)  # the answer has its own time
        self._left -= count
        return count


def bounded_reader(connection: socket, most_bytes: int, seconds: float) -> io.BufferedReader:
    """Give a buffered reader of a connection; it raises TimeoutError, or http.client.LineTooLong."""
    return io.BufferedReader(_Bounded(connection, most_bytes, seconds), 4_096)


def read_body(reader: io.BufferedReader, length: int, seconds: float) -> bytes:
    """Read what comes after a head, within a time of its own: fewer bytes where the client sends no more.

    Raises TimeoutError.
    """
    _allow(reader, length, seconds)
    return reader.read(length)


def discard(reader: io.BufferedReader, most_bytes: int, seconds: float) -> None:
    """Read what a client still sends, so that it comes to read its answer; no more than so much."""
    _allow(reader, most_bytes, seconds)
    with suppress(OSError, http.client.LineTooLong):
        while reader.read1():
            pass


def _allow(reader: io.BufferedReader, most_bytes: int, seconds: float) -> None:
    bounded = reader.raw
    assert isinstance(bounded, _Bounded)  # noqa: S101 - `bounded_reader` made it
    bounded.allow(most_bytes, seconds)
