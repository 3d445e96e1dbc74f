"""Webhooks: what they get, over HTTP and HTTPS, and what becomes of answers of all kinds."""

from __future__ import annotations

import hashlib
import hmac
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from tests.git.servers import free_port
from tests.hooks.support import (
    Fault,
    answers,
    babbles,
    breaks_off,
    certificate,
    floods,
    hangs,
    patience,
    trickles,
    webhook,
)
from visionflow_daemon.ops.hooks.answer import DELIVERED, Answer
from visionflow_daemon.ops.hooks.web import Secrets, post

DOCUMENT = b'{"event": "failing"}'


def tell(url: str, seconds: float = 10, secrets: Secrets | None = None) -> Answer:
    return post(url, DOCUMENT, secrets or Secrets(), {"X-Visionflow-Event": "failing"}, patience(seconds))


def test_it_gets_the_document_signed_and_a_token() -> None:
    with webhook() as hook:
        assert tell(hook.url, secrets=Secrets("key", "token")) == DELIVERED
        (got,) = hook.got
    assert (got.path, got.body) == ("/hook/secret-path?key=1", DOCUMENT)
    signature = hmac.new(b"key", DOCUMENT, hashlib.sha256).hexdigest()
    assert got.headers["X-Visionflow-Signature"] == f"sha256={signature}"
    assert got.headers["Authorization"] == "Bearer token"
    assert got.headers["Content-Type"] == "application/json"
    assert got.headers["Host"] == f"localhost:{hook.port}"
    assert got.headers["X-Visionflow-Event"] == "failing"


def test_a_user_in_the_url_is_told_as_basic_and_not_in_the_path() -> None:
    with webhook() as hook:
        assert tell(hook.url.replace("://", "://me:p%40ss@")) == DELIVERED
        (got,) = hook.got
    assert got.headers["Authorization"] == "Basic bWU6cEBzcw=="
    assert "@" not in got.path + got.headers["Host"]
    assert "X-Visionflow-Signature" not in got.headers


def test_over_https_a_known_certificate_is_accepted_and_others_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cert, key = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with webhook(context) as hook:
        answer = tell(hook.url)
        assert answer.reason is not None
        assert answer.reason.startswith("its certificate is not accepted: ")
        monkeypatch.setenv("SSL_CERT_FILE", str(cert))
        assert tell(hook.url, secrets=Secrets("key")) == DELIVERED
        answer = tell(hook.url.replace("localhost", "127.0.0.1"))
        assert answer.reason is not None
        assert "certificate" in answer.reason
        hook.then = [trickles]
        started = time.monotonic()
        assert tell(hook.url, seconds=1.0) == Answer("it takes longer than 1 seconds")
        assert time.monotonic() - started < 3
        assert len(hook.got) == 2


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        (answers(200), DELIVERED),
        (answers(202), DELIVERED),
        (floods, DELIVERED),
        (answers(500), Answer("it answers 500 Internal Server Error")),
        (answers(503, Retry_After="7"), Answer("it answers 503 Service Unavailable", wait=7.0)),
        (answers(429, Retry_After="120"), Answer("it answers 429 Too Many Requests", wait=120.0)),
        (answers(429, Retry_After="nonsense"), Answer("it answers 429 Too Many Requests")),
        (answers(408), Answer("it answers 408 Request Timeout")),
        (answers(425), Answer("it answers 425 Too Early")),
        (answers(400), Answer("it answers 400 Bad Request", is_final=True)),
        (answers(401), Answer("it answers 401 Unauthorized", is_final=True)),
        (answers(410), Answer("it answers 410 Gone", is_final=True)),
        (answers(499), Answer("it answers 499", is_final=True)),
        (breaks_off, Answer("it breaks off, or answers with what is no HTTP")),
        (babbles, Answer("it breaks off, or answers with what is no HTTP")),
    ],
)
def test_what_it_answers_decides_whether_it_is_asked_again(fault: Fault, answer: Answer) -> None:
    with webhook() as hook:
        hook.then = [fault]
        assert tell(hook.url) == answer


def test_a_date_may_say_when_to_ask_again() -> None:
    with webhook() as hook:
        later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
        hook.then = [answers(503, Retry_After=later), answers(503, Retry_After="Mon, 01 Jan 2001 00:00:00 GMT")]
        assert 80 < (tell(hook.url).wait or 0) <= 90
        assert tell(hook.url).wait == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    with webhook() as other, webhook() as hook:
        hook.then = [answers(status, Location=other.url)]
        answer = tell(hook.url, secrets=Secrets("key", "token"))
        assert answer.is_final
        assert answer.reason is not None
        assert answer.reason.endswith("redirects are not followed; give the place itself")
        assert other.got == []


@pytest.mark.parametrize("fault", [hangs, trickles])
def test_a_slow_server_stretches_nothing(fault: Fault) -> None:
    with webhook() as hook:
        hook.then = [fault]
        started = time.monotonic()
        assert tell(hook.url, seconds=0.7) == Answer("it takes longer than 0.7 seconds")
        assert 0.6 < time.monotonic() - started < 3


def test_a_server_that_greets_by_no_tls_stretches_nothing() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        started = time.monotonic()
        answer = tell(f"https://localhost:{server.getsockname()[1]}/", seconds=0.7)
        assert answer == Answer("it takes longer than 0.7 seconds")
        assert time.monotonic() - started < 3


def test_a_server_that_says_100_without_end_stretches_nothing() -> None:
    is_over = threading.Event()

    def serve(server: socket.socket) -> None:
        line, _ = server.accept()
        with line, suppress(OSError):
            while not is_over.is_set():
                line.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        assert tell(f"http://localhost:{server.getsockname()[1]}/", seconds=0.7).reason is not None
        is_over.set()
        thread.join(20)
        assert not thread.is_alive()


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (f"http://127.0.0.1:{free_port()}/", "it can't be reached: Connection refused"),
        ("http://no-such-host.invalid/", "its name can't be looked up: "),
    ],
)
def test_a_server_that_is_not_there_is_told(url: str, reason: str) -> None:
    answer = tell(url)
    assert answer.reason is not None
    assert answer.reason.startswith(reason)
    assert not answer.is_final


def test_nothing_of_the_server_or_of_us_stands_in_an_answer() -> None:
    secrets = Secrets("opensesame", "opensesame\n")
    assert "opensesame" not in repr(secrets)
    with webhook() as hook:
        assert "opensesame" not in str(tell(hook.url, secrets=secrets))
        hook.then = [babbles]
        assert "opensesame" not in str(tell(hook.url))


@contextmanager
def proxy() -> Iterator[tuple[int, list[str]]]:
    """Serve a proxy on loopback: it notes the head of each request, and opens a way where that is asked for."""
    heads: list[str] = []
    is_over = threading.Event()

    def pass_on(one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while not is_over.is_set() and (part := one.recv(65_536)):
                other.sendall(part)

    def serve(line: socket.socket) -> None:
        with line:
            head = b""
            while b"\r\n\r\n" not in head:
                head += line.recv(65_536)
            heads.append(head.decode())
            if not head.startswith(b"CONNECT"):
                line.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
                return
            host, port = head.split()[1].decode().split(":")
            if host == "refused":
                line.sendall(b"HTTP/1.1 403 opensesame\r\n\r\n")
                return
            with socket.create_connection((host, int(port)), timeout=20) as there:
                line.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                back = threading.Thread(target=pass_on, args=(there, line))
                back.start()
                pass_on(line, there)
                there.shutdown(socket.SHUT_RDWR)
                back.join(20)

    def accept(server: socket.socket) -> None:
        with suppress(OSError):
            while True:
                serve(server.accept()[0])

    server = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=accept, args=(server,), daemon=True)
    thread.start()
    try:
        yield server.getsockname()[1], heads
    finally:
        is_over.set()
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(20)


def test_a_proxy_of_the_environment_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cert, key = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    monkeypatch.setenv("SSL_CERT_FILE", str(cert))
    with proxy() as (port, heads), webhook(context) as hook:
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, f"http://me:p%40ss@127.0.0.1:{port}")
        monkeypatch.setenv("no_proxy", "example.org")
        assert tell(hook.url, secrets=Secrets(token="token")) == DELIVERED  # noqa: S106 - a token of this test alone
        assert tell("http://example.com/a?b=c") == DELIVERED
        assert tell("https://refused/") == Answer("it can't be reached: the proxy opens no way to it")
        assert hook.got[0].headers["Host"] == f"localhost:{hook.port}"
        assert "Proxy-Authorization" not in hook.got[0].headers
    way, plain, _ = heads
    assert way.startswith(f"CONNECT localhost:{hook.port} ")
    assert "token" not in way
    assert plain.startswith("POST http://example.com/a?b=c HTTP/1.1\r\nHost: example.com\r\n")
    for head in (way, plain):
        assert "Proxy-Authorization: Basic bWU6cEBzcw==\r\n" in head


@pytest.mark.parametrize("place", ["socks5://127.0.0.1:1", "http://opensesame@:x", "https://127.0.0.1:1"])
def test_a_proxy_that_can_not_be_used_is_told(monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    monkeypatch.setenv("https_proxy", place)
    assert tell("https://localhost:1/") == Answer("the proxy that https_proxy names is no http://HOST:PORT")
    monkeypatch.setenv("no_proxy", "localhost")
    assert tell("https://localhost:1/") == Answer("it can't be reached: Connection refused")
