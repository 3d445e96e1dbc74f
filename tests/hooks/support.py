"""Events, programs and a web server with faults, for the tests of hooks."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jsonschema

from tests.support import PROJECT, eventually
from visionflow_daemon.ops.hooks.event import Changes, Event, Kind, Trouble
from visionflow_daemon.ops.hooks.patience import Closing, Patience

AT = "2026-05-04T12:00:00Z"
PLACE = ("kg", "https://example.org/kg.git", "main")


def changed(number: int) -> Event:
    """Tell of a pass that brought the source from commit `number - 1` to `number`."""
    changes = Changes(f"{number - 1:040x}", 1, saved=2, skipped=0, failed=1, deleted=3, ledger=number, seconds=0.5)
    return Event(Kind.CHANGED, f"c{number}", AT, *PLACE, f"{number:040x}", changes=changes)


def state(kind: Kind, number: int = 1, reason: str = "no answer") -> Event:
    """Tell of a source that fails, is held, or is in step again."""
    commit = "c" * 40 if kind is Kind.RECOVERED else None
    return Event(kind, f"{kind}{number}", AT, *PLACE, commit, trouble=Trouble(AT, number, reason, 4))


def patience(seconds: float = 10.0) -> Patience:
    """Give the time that a delivery has."""
    return Patience(seconds, Closing())


def program(folder: Path, text: str, name: str = "hook") -> str:
    """Write a Python program that can be run, and give its path."""
    path = folder / name
    path.write_text(f"#!{sys.executable}\nimport json, os, sys, time\n{text}\n")
    path.chmod(0o755)
    return str(path)


SCHEMA = json.loads((PROJECT / "docs" / "notification-schema.json").read_text())


def document(text: str | bytes) -> dict[str, Any]:
    """Read a document, which must be valid by docs/notification-schema.json."""
    found: dict[str, Any] = json.loads(text)
    jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker()).validate(found)
    return found


def recorder(folder: Path, name: str = "hook") -> tuple[str, Callable[[], list[dict[str, Any]]]]:
    """Write a program that notes what it is told; give its path, and what reads the notes."""
    notes = folder / f"{name}.jsonl"
    text = f"line = sys.stdin.read() + '\\n'\nwith open({str(notes)!r}, 'a') as notes: notes.write(line)"

    def told() -> list[dict[str, Any]]:
        return [document(line) for line in notes.read_text().splitlines()] if notes.exists() else []

    return program(folder, text, name), told


@dataclass(frozen=True, slots=True)
class Request:
    """What a webhook got."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The document that it got."""
        return document(self.body)


Fault = Callable[["Handler"], None]
"""What a server does in place of an answer."""


@dataclass
class Webhook:
    """A server: `then` is what it does with the next requests, one after the other; after that it answers 204."""

    port: int = 0
    scheme: str = "http"
    then: list[Fault] = field(default_factory=list)
    got: list[Request] = field(default_factory=list)
    let_go: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """The address of the hook."""
        return f"{self.scheme}://localhost:{self.port}/hook/secret-path?key=1"

    def until(self, count: int, timeout: float = 20) -> list[Request]:
        """Wait until so many requests came."""
        eventually(lambda: len(self.got) >= count, timeout)
        return self.got


class Handler(BaseHTTPRequestHandler):
    """Notes a request, and does what its webhook says."""

    webhook: Webhook
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Take a document."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.webhook.got.append(Request(self.path, dict(self.headers), body))
        fault = self.webhook.then.pop(0) if self.webhook.then else answers(204)
        with suppress(OSError):
            fault(self)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def answers(status: int, **headers: str) -> Fault:
    """Answer with a status."""

    def answer(handler: Handler) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()

    return answer


def hangs(handler: Handler) -> None:
    """Answer nothing until the test is over."""
    handler.webhook.let_go.wait(60)


def trickles(handler: Handler) -> None:
    """Send a byte of a header without end, every now and then, so that no single wait is long."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not handler.webhook.let_go.wait(0.05):
        handler.wfile.write(b"x")
        handler.wfile.flush()


def breaks_off(handler: Handler) -> None:
    """Cut the connection in the middle of the status line."""
    handler.wfile.write(b"HTTP/1.1 20")
    handler.close_connection = True


def babbles(handler: Handler) -> None:
    """Answer with what is no HTTP, and holds what nobody is to see."""
    handler.wfile.write(b"\x1b[31mopensesame\r\n\r\n")
    handler.close_connection = True


def floods(handler: Handler) -> None:
    """Answer well, with a body that does not end."""
    handler.send_response(200)
    handler.end_headers()
    while not handler.webhook.let_go.is_set():
        handler.wfile.write(b"x" * 65_536)


@contextmanager
def webhook(context: ssl.SSLContext | None = None) -> Iterator[Webhook]:
    """Serve a webhook on loopback while the block runs."""
    hook = Webhook()
    handler = type("Bound", (Handler,), {"webhook": hook})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.block_on_close = False
    server.handle_error = lambda *_: None  # type: ignore[method-assign] # clients that break off are what is tested
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        hook.scheme = "https"
    hook.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield hook
    finally:
        hook.let_go.set()
        server.shutdown()
        server.server_close()
        thread.join()


def certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate for localhost that signs itself; give it and its key."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-keyout", str(key), "-out", str(certificate), "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost"),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key
