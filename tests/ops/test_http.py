"""The server over real sockets: what it answers, and what it bears."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections import Counter

import pytest

from tests.ops.support import Clock, Told, Web, answer, summary
from tests.support import eventually
from visionflow_daemon.errors import ConfigError
from visionflow_daemon.ops import handler, http
from visionflow_daemon.ops.board import Board
from visionflow_daemon.ops.http import serve
from visionflow_daemon.storage.checkpoint import Tally
from visionflow_daemon.sync.meter import Load

PATHS = ("/livez", "/readyz", "/status", "/metrics", "/")


@pytest.mark.parametrize("path", PATHS)
def test_every_path_answers_with_all_that_keeps_a_browser_safe(web: Web, path: str) -> None:
    got = web.get(path)
    assert got.status == (503 if path == "/readyz" else 200)
    assert got.headers["X-Content-Type-Options"] == "nosniff"
    assert got.headers["X-Frame-Options"] == "DENY"
    assert got.headers["Cache-Control"] == "no-store"
    policy = got.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "Server" not in got.headers
    head = web.get(path, "HEAD")
    assert (head.status, head.body) == (got.status, "")
    assert head.headers.keys() == got.headers.keys()
    assert int(head.headers["Content-Length"]) > 0


def test_status_tells_live_progress_and_time_left(web: Web, board: Board, clock: Clock) -> None:
    board.pass_begun("kg", "a commit came")
    board.planned("kg", 100)
    clock.pass_by(2)
    board.moved("kg", Tally(saved=49, failed=1))
    (source,) = json.loads(web.get("/status").body)["sources"]
    assert source["activity"] == "running"
    progress = source["progress"]
    assert [progress[key] for key in ("done", "planned", "failed", "rate", "seconds_left")] == [50, 100, 1, 25.0, 2.0]
    assert source["holds"]["classes"] == 40
    board.pass_done("kg", summary(tally=Tally(saved=100), ledger=1))
    (source,) = json.loads(web.get("/status?x=1").body)["sources"]
    assert (source["activity"], source["progress"], source["ledger"]) == ("idle", None, 1)
    assert source["last_success"] == "2026-05-04T12:00:02Z"


def test_status_tells_lag_retries_and_load(web: Web, board: Board, clock: Clock) -> None:
    (source,) = json.loads(web.get("/status").body)["sources"]
    assert (source["head"], source["counts"]["seconds"]) == (None, 0)
    board.head_found("kg", "a" * 40, is_there=False)
    clock.pass_by(5)
    meter = board.meter("kg")
    meter.fetch.again()
    with meter.watching(lambda: Load(3, 1)):
        (source,) = json.loads(web.get("/status").body)["sources"]
    assert source["head"] == {"commit": "a" * 40, "seen_at": "2026-05-04T12:00:00Z", "lag_seconds": 5}
    assert source["retries"] == {"fetch": 1, "parse": 0, "save": 0, "record": 0}
    assert source["load"] == {"queued": 3, "in_hand": 1}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "<script>"])
def test_only_get_and_head_are_answered(web: Web, method: str) -> None:
    got = web.get("/status", method)
    assert got.status == 405
    assert got.headers["Allow"] == "GET, HEAD"
    assert "script" not in got.raw.decode()


@pytest.mark.parametrize("path", ["/<script>alert(1)</script>", "/etc/passwd", "/../x", "/status/", "/static/", "*"])
def test_an_unknown_path_is_not_found_and_not_repeated(web: Web, path: str) -> None:
    got = web.get(path)
    assert (got.status, got.body) == (404, "not found\n")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 60_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(200)) + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(50_000)) + b"\r\n", 431),
        (b"<b>nonsense</b>\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 505),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 \r\n\r\n", 400),
    ],
    ids=["long line", "long header", "many headers", "very many headers", "nonsense", "version", "tls"],
)
def test_what_is_too_long_or_no_request_is_refused_in_fixed_words(web: Web, request_: bytes, status: int) -> None:
    got = web.send(request_)
    assert got.status in {status, 0}  # 0: reset, since more was on its way than is read
    assert b"aaa" not in got.raw
    assert b"nonsense" not in got.raw
    assert web.get("/livez").status == 200


def test_a_slow_client_is_let_go_however_it_trickles(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handler, "REQUEST_SECONDS", 0.6)
    with web.connect() as connection:
        began = time.monotonic()
        connection.settimeout(0.1)
        ended = False
        while not ended and time.monotonic() - began < 10:
            try:
                connection.sendall(b"G")
                ended = not connection.recv(1)
            except TimeoutError:
                continue
            except ConnectionError:
                ended = True
        assert ended
        assert 0.4 < time.monotonic() - began < 3


def test_a_hundred_at_once_are_answered(web: Web) -> None:
    statuses: Counter[int] = Counter()

    def ask() -> None:
        statuses[web.get("/status").status] += 1

    threads = [threading.Thread(target=ask) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == {200: 100}


def test_more_than_the_slots_are_refused_and_cost_no_thread(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "WAIT_SECONDS", 0.05)
    before = threading.active_count()
    silent = [web.connect() for _ in range(http.CONNECTIONS)]
    try:
        eventually(lambda: web.get("/livez").status in {503, 0})
        assert threading.active_count() - before <= http.CONNECTIONS
    finally:
        for connection in silent:
            connection.close()
    eventually(lambda: web.get("/livez").status == 200)


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost:80", 200), ("127.0.0.1:9", 200), ("[::1]:9", 200), ("evil.example", 421), ("LOCALHOST", 200)],
)
def test_a_name_pointed_at_the_loopback_address_is_refused(web: Web, host: str, status: int) -> None:
    got = web.get("/livez", host=host)
    assert got.status == status
    assert "evil" not in got.raw.decode()


def test_a_half_closed_client_still_gets_its_answer(web: Web) -> None:
    with web.connect() as connection:
        connection.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
        connection.shutdown(socket.SHUT_WR)
        assert answer(connection).body == "alive\n"


def test_an_answer_that_fails_is_an_error_in_fixed_words(board: Board, told: Told) -> None:
    told.checked = None

    def broken(_: str) -> None:
        raise ZeroDivisionError("secret")

    readers = told.readers()
    object.__setattr__(readers, "held", broken)
    with serve(board, readers) as server:
        got = Web(server.server_address[1]).get("/")
    assert (got.status, got.body) == (500, "internal server error\n")


def test_an_address_in_use_is_told_in_words(board: Board, told: Told, web: Web) -> None:
    message = rf"can't serve HTTP on 127.0.0.1:{web.port}: "
    with pytest.raises(ConfigError, match=message), serve(board, told.readers(), ("127.0.0.1", web.port)):
        pass


def test_no_secret_of_a_location_is_shown_on_any_path(web: Web, board: Board) -> None:
    board.source_known("kg", "https://user:geheim@example.org/kg.git?token=geheim#geheim", None, 60)
    assert all("geheim" not in web.get(path).body for path in PATHS)
    assert "https://example.org/kg.git" in web.get("/").body
