"""The wire between the program and a server, which tests cut where they like."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

COMMITTED = b"COMMIT\0"
"""How a server says that it has committed."""

Spoil = Callable[[bytes], bool]
"""Is shown what the server says; tells whether the wire is cut before it arrives."""


class Wire:
    """Passes on what both sides say, on a port of its own."""

    def __init__(self, to: int, spoil: Spoil = lambda _: False, port: int = 0) -> None:
        self._to = to
        self._spoil = spoil
        self._listener = socket.create_server(("127.0.0.1", port))
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.port = int(self._listener.getsockname()[1])
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Cut all connections."""
        with self._lock:
            for one in self._open:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
            self.cuts += bool(self._open)

    def close(self) -> None:
        """Take no more connections, and cut those that there are."""
        with suppress(OSError):  # closed already
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._to))
                for each in (client, server):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                with self._lock:
                    self._open |= {client, server}
                for one, other, spoil in ((client, server, None), (server, client, self._spoil)):
                    threading.Thread(target=self._pass_on, args=(one, other, spoil), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket, spoil: Spoil | None) -> None:
        with suppress(OSError):
            while said := one.recv(65_536):
                if spoil is not None and spoil(said):
                    self.cuts += 1
                    break
                other.sendall(said)
        with self._lock:
            for each in (one, other):
                with suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
            self._open.discard(one)
        one.close()


@contextmanager
def wire(port: int, spoil: Spoil = lambda _: False) -> Iterator[Wire]:
    """Lay a wire to a server."""
    laid = Wire(port, spoil)
    try:
        yield laid
    finally:
        laid.close()


def every(number: int) -> Spoil:
    """Lose the answer to each so many-th commit."""
    seen = 0
    lock = threading.Lock()

    def spoil(said: bytes) -> bool:
        nonlocal seen
        if COMMITTED not in said:
            return False
        with lock:
            seen += 1
            return seen % number == 0

    return spoil
