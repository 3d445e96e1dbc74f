"""Serves what the daemon shows, to few at a time and to none for long."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from ipaddress import ip_address
from socket import AF_INET, AF_INET6
from socketserver import TCPServer
from typing import Any

import structlog
from prometheus_client.registry import Collector

from visionflow_daemon.errors import ConfigError
from visionflow_daemon.ops import answers
from visionflow_daemon.ops.answers import Answer
from visionflow_daemon.ops.board import Board
from visionflow_daemon.ops.handler import Handler
from visionflow_daemon.ops.health import ALIVE_SECONDS, READY_INTERVALS
from visionflow_daemon.ops.inbound.receiver import Receiver
from visionflow_daemon.ops.metrics import Metrics
from visionflow_daemon.ops.readers import Readers

log = structlog.get_logger()

CONNECTIONS = 32
WAIT_SECONDS = 1.0
"""Connections served at a time, and how long one more waits for its turn before it is refused."""

BREATH_SECONDS = 0.2
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Rules:
    """When the daemon counts as ready and alive, and by which names, beside addresses, a loopback server is called."""

    ready_intervals: float = READY_INTERVALS
    alive_seconds: float = ALIVE_SECONDS
    names: frozenset[str] = frozenset({"localhost"})


class Server(ThreadingHTTPServer):
    """A server whose threads are counted."""

    daemon_threads = True
    request_queue_size = 128
    allow_reuse_address = True

    def __init__(
        self,
        address: tuple[str, int],
        routes: dict[str, Callable[[], Answer]],
        names: frozenset[str],
        receiver: Receiver,
    ) -> None:
        self.address_family = AF_INET6 if ":" in address[0] else AF_INET
        self.routes = routes
        self.names = names
        self.receiver = receiver
        self._slots = threading.BoundedSemaphore(CONNECTIONS)
        super().__init__(address, Handler)
        self.is_loopback = ip_address(str(self.server_address[0])).is_loopback

    def server_bind(self) -> None:
        """Bind, without asking a name server what we are called, as HTTPServer does."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = "visionflow-daemon", self.server_address[1]

    def get_request(self) -> tuple[Any, Any]:
        """Accept a connection; where that fails, as without free file descriptors, take a breath before the next."""
        try:
            return super().get_request()
        except OSError:
            time.sleep(BREATH_SECONDS)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as the base class has it
        """Serve a connection when a slot is free; refuse it when none is soon."""
        if not self._slots.acquire(timeout=WAIT_SECONDS):
            with suppress(OSError):
                request.settimeout(0)
                request.sendall(BUSY)
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:  # no thread could be started
            self._slots.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as above
        """Serve a connection, and free its slot."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401, ARG002 - as above
        """Log what went wrong, where the base class prints it."""
        log.debug("http connection failed", reason=str(sys.exc_info()[1]))


def _ask_nobody(_: str, __: str) -> None:
    """Nobody takes webhooks."""


@contextmanager
def serve(
    board: Board,
    readers: Readers,
    address: tuple[str, int] = ("127.0.0.1", 0),
    rules: Rules | None = None,
    receiver: Receiver | None = None,
    more: Iterable[Collector] = (),
) -> Iterator[Server]:
    """Serve until the context ends, in a thread; `server.server_address` tells the port where 0 was asked for.

    Raises ConfigError where the address can't be had.
    """
    rules = rules or Rules()
    receiver = receiver or Receiver(_ask_nobody)
    metrics = Metrics(board, readers, rules.ready_intervals, rules.alive_seconds)
    for counts in (receiver.counts, *more):
        metrics.add(counts)
    routes = answers.routes(board, readers, metrics, rules.ready_intervals, rules.alive_seconds)
    try:
        server = Server(address, routes, rules.names, receiver)
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"can't serve HTTP on {address[0]}:{address[1]}: {why}") from error
    thread = threading.Thread(target=server.serve_forever, args=(0.25,), name="http", daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
