"""Serves what the daemon shows, to few at a time and to none for long."""

from __future__ import annotations

import http.client
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from socket import AF_INET, AF_INET6, SHUT_WR
from socketserver import TCPServer
from typing import Any
from urllib.parse import unquote

import structlog
from prometheus_client.registry import Collector

from visionflow_daemon.errors import ConfigError
from visionflow_daemon.ops import answers
from visionflow_daemon.ops.answers import Answer
from visionflow_daemon.ops.board import Board
from visionflow_daemon.ops.health import ALIVE_SECONDS, READY_INTERVALS
from visionflow_daemon.ops.inbound.receiver import Receiver, Request
from visionflow_daemon.ops.metrics import Metrics
from visionflow_daemon.ops.readers import Readers
from visionflow_daemon.ops.request_reader import bounded_reader, discard, read_body

log = structlog.get_logger()

LINE_BYTES = 2_048
HEAD_BYTES = 16_384
"""Bytes of a request line, and of all that a request may send."""

REQUEST_SECONDS = 5.0
"""Seconds for a whole request to come in, and again for its answer to be taken."""

CONNECTIONS = 32
WAIT_SECONDS = 1.0
"""Connections served at a time, and how long one more waits for its turn before it is refused."""

HOOKS = "/hooks/"
BODY_SECONDS = 10.0
"""Where webhooks are received, and the seconds for the body of one: their senders wait no longer, either."""

UNREAD_BYTES = 1 << 20
UNREAD_SECONDS = 1.0
"""How much of a refused body is thrown away, so that its sender comes to read why."""

BREATH_SECONDS = 0.2
BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: close\r\n\r\n"
SECURITY = {
    "Cache-Control": "no-store",
    "Connection": "close",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


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


class Handler(BaseHTTPRequestHandler):
    """Answers one request of a connection, and closes it. Nothing that a client sends is given back."""

    protocol_version = "HTTP/1.1"
    timeout = REQUEST_SECONDS
    server: Server
    allowed: tuple[str, ...] = ("GET", "HEAD")
    is_body_read = False

    def setup(self) -> None:
        """Bound what the connection may send, and how long it may take."""
        super().setup()
        self.rfile = self.reader = bounded_reader(self.connection, HEAD_BYTES, REQUEST_SECONDS)

    def handle(self) -> None:
        """Answer one request."""
        self.close_connection = True
        self.command, self.requestline, self.request_version = "", "", self.protocol_version
        try:
            self.raw_requestline = self.rfile.readline(LINE_BYTES + 1)
            if len(self.raw_requestline) > LINE_BYTES:
                self.send_error(HTTPStatus.REQUEST_URI_TOO_LONG)
            elif self.raw_requestline and self.parse_request():
                self._answer()
            self._drain()
        except http.client.LineTooLong:
            self.send_error(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        except (TimeoutError, ConnectionError):
            pass  # who is slow or gone gets no answer

    def _answer(self) -> None:
        is_hook = self.path.startswith(HOOKS)
        if is_hook:
            self.allowed = ("POST",)
        if self.command not in self.allowed:
            self.send_error(HTTPStatus.METHOD_NOT_ALLOWED)
        elif is_hook:  # by whatever name it comes: what no signature proves is refused
            self._give(self._received)
        elif not self._is_meant():
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST)
        elif route := self.server.routes.get(self.path.partition("?")[0]):
            self._give(route)
        else:
            self.send_error(HTTPStatus.NOT_FOUND)

    def _give(self, make: Callable[[], Answer]) -> None:
        try:
            answer = make()
        except (TimeoutError, ConnectionError):
            raise
        except Exception:
            log.exception("http answer failed")
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR)
        else:
            self._send(answer)

    def _received(self) -> Answer:
        ontology_id = unquote(self.path.partition("?")[0].removeprefix(HOOKS))
        peer = str(self.client_address[0])
        reply = self.server.receiver.receive(Request(ontology_id, self.headers, peer, self._read_body))
        return answers.text(reply.status, reply.words, retry_after=reply.retry_after)

    def _read_body(self, length: int) -> bytes:
        self.is_body_read = True
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return read_body(self.reader, length, BODY_SECONDS)

    def handle_expect_100(self) -> bool:
        """Let a client send its body when it is wanted, not before."""
        return True

    def _is_meant(self) -> bool:
        """Refuse names that a web page may have pointed at this machine's loopback address (DNS rebinding)."""
        host = (self.headers.get("Host") or "localhost").strip().lower()
        if not self.server.is_loopback or host.startswith("[::1]"):
            return True
        name = host.partition(":")[0]
        if name in self.server.names:
            return True
        try:
            ip_address(name)
        except ValueError:
            return False
        return True

    def _send(self, answer: Answer, **extra: str) -> None:
        self.send_response_only(answer.status)
        headers = {
            "Content-Type": answer.content_type,
            "Content-Length": str(len(answer.body)),
            "Content-Security-Policy": answer.policy,
            **({"Retry-After": str(answer.retry_after)} if answer.retry_after else {}),
            **SECURITY,
            **extra,
        }
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _drain(self) -> None:
        """Let the client take the answer although it may still send: closing at once would reset the connection."""
        with suppress(OSError):
            self.wfile.flush()
            self.connection.shutdown(SHUT_WR)
            if self.command == "POST" and not self.is_body_read:
                discard(self.reader, UNREAD_BYTES, UNREAD_SECONDS)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:  # noqa: ARG002
        """Refuse in fixed words: the base class repeats what the client sent."""
        status = HTTPStatus(code)
        self.request_version = self.protocol_version
        extra = {"Allow": ", ".join(self.allowed)} if status is HTTPStatus.METHOD_NOT_ALLOWED else {}
        self._send(answers.text(status, status.phrase.lower()), **extra)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing: what clients ask is no event of the daemon's."""


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
    metrics = Metrics(board, readers, rules.ready_intervals)
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
