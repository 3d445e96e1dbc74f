"""Webhooks over real sockets: who gets in, who is turned away, and what it costs."""

from __future__ import annotations

import io
import json
import socket
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
import structlog

from tests import log_lines
from tests.ops.inbound.support import (
    OTHER_SECRET,
    PUSH,
    SECRET,
    SIGNING,
    Sent,
    gitea,
    github,
    gitlab,
    gogs,
    message,
    plain,
    standard,
)
from tests.ops.support import Clock, Response, Told, Web, answer
from tests.support import eventually
from visionflow_daemon import logs
from visionflow_daemon.config.secrets import WebhookSecret
from visionflow_daemon.config.values import WebhookConfig
from visionflow_daemon.ops import http
from visionflow_daemon.ops.board import Board
from visionflow_daemon.ops.http import serve
from visionflow_daemon.ops.inbound import receiver as receiving
from visionflow_daemon.ops.inbound.limits import Offenders, networks
from visionflow_daemon.ops.inbound.receiver import LOGGED, Door, Doors, Receiver, Request

PROXIES = networks(("127.0.0.0/8",))
BURST = int(Offenders.EACH.burst)


def doors(**rules: int) -> Doors:
    secret, other, signing = map(WebhookSecret.of, (SECRET, OTHER_SECRET, SIGNING))
    of = {
        "kg": Door((secret, signing), "main"),
        "other": Door((other,), "main"),
        "of head": Door((secret,)),
        "é/ü?": Door((secret,), "main"),
    }
    return Doors(of, WebhookConfig(**{"body_bytes": 10_000, **rules}), PROXIES)


@dataclass
class Desk:
    """A server that receives webhooks, and what it asked for."""

    web: Web
    receiver: Receiver
    clock: Clock
    asked: list[tuple[str, str]] = field(default_factory=list)

    def post(self, sent: Sent, ontology_id: str = "kg", **more: str) -> Response:
        """Send a request."""
        return self.web.post(f"/hooks/{ontology_id}", sent.body, {**sent.headers, **more})

    def counted(self) -> dict[str, float]:
        """Give the metric, as it is served."""
        lines = [line for line in self.web.get("/metrics").body.splitlines() if "webhooks_total{" in line]
        return {line.split('"')[1]: float(line.split()[-1]) for line in lines if not line.endswith(" 0.0")}


@contextmanager
def desk_of(board: Board, told: Told, clock: Clock, wanted: Doors) -> Iterator[Desk]:
    asked: list[tuple[str, str]] = []
    receiver = Receiver(
        lambda *each: asked.append(each), now=lambda: clock.now().timestamp(), monotonic=clock.monotonic
    )
    receiver.use(wanted)
    with serve(board, told.readers(), receiver=receiver) as server:
        yield Desk(Web(server.server_address[1]), receiver, clock, asked)


@pytest.fixture
def desk(board: Board, told: Told, clock: Clock) -> Iterator[Desk]:
    with desk_of(board, told, clock, doors()) as made:
        yield made


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """The log, as it is written."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    logs.configure("json", "debug")
    yield stream
    structlog.reset_defaults()


def events(stream: io.StringIO, event: str) -> list[dict[str, object]]:
    text = stream.getvalue().splitlines()
    complaints = [each for line in text if (each := log_lines.complaint(line)) is not None]
    assert not complaints
    return [found for line in text if (found := json.loads(line))["event"] == event]


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (github(), "webhook of github"),
        (github(is_form=True), "webhook of github"),
        (gitea(), "webhook of gitea"),
        (gitea(kin="Forgejo"), "webhook of gitea"),
        (gogs(), "webhook of gitea"),
        (gitlab(), "webhook of gitlab"),
        (gitlab(token=None, signed_at=Clock().now().timestamp()), "webhook of gitlab"),
        (Sent(standard(b"{}", Clock().now().timestamp()), b"{}"), "webhook of standard"),
        (Sent(plain()), "webhook of plain"),
        (Sent(plain(b"\x00\xff no JSON"), b"\x00\xff no JSON"), "webhook of plain"),
    ],
)
def test_a_signed_push_of_each_sender_asks_for_a_pass(desk: Desk, sent: Sent, why: str) -> None:
    got = desk.post(sent)
    assert (got.status, got.body) == (202, "accepted: a pass follows\n")
    assert desk.asked == [("kg", why)]
    assert got.headers["X-Content-Type-Options"] == "nosniff"


def test_what_asks_for_nothing_is_answered_and_wakes_nobody(desk: Desk, lines: io.StringIO) -> None:
    for sent, status, words in (
        (github({"zen": "Speak like a human."}, "ping"), 200, "pong\n"),
        (github({**PUSH, "ref": "refs/heads/<script>"}), 202, "ignored: another branch\n"),
        (gitlab(event="Note Hook"), 202, "ignored: not a push\n"),
        (github("Hello"), 400, "refused: the body is no push that can be read\n"),
    ):
        got = desk.post(sent)
        assert (got.status, got.body) == (status, words)
    assert desk.asked == []
    assert desk.counted() == {"pinged": 1, "ignored": 2, "malformed": 1}
    assert [(each["sender"], each["ontology_id"]) for each in events(lines, "webhook received")] == [
        ("github", "kg"),
        ("github", "kg"),
        ("gitlab", "kg"),
        ("github", "kg"),
    ]


def test_the_branch_that_head_names_is_the_one_last_seen(desk: Desk) -> None:
    push = github({**PUSH, "ref": "refs/heads/trunk"})
    assert desk.post(push, "of%20head").body.startswith("accepted")
    desk.receiver.seen("of head", "main")
    assert desk.post(push, "of%20head").body.startswith("ignored")
    desk.receiver.seen("of head", "HEAD")  # a checkout on no branch
    assert desk.post(push, "of%20head").body.startswith("accepted")
    assert [name for name, _ in desk.asked] == ["of head", "of head"]


@pytest.mark.parametrize("path", ["%C3%A9%2F%C3%BC%3F", "%C3%A9/%C3%BC%3f?x=1"])
def test_an_id_is_percent_encoded(desk: Desk, path: str) -> None:
    assert desk.post(Sent(plain()), path).status == 202
    assert [name for name, _ in desk.asked] == ["é/ü?"]


def test_unknown_unarmed_and_wrongly_signed_are_all_alike(desk: Desk) -> None:
    wrong = Sent(plain(b"x", OTHER_SECRET), b"x")
    answers = {
        desk.post(wrong).raw,
        desk.post(Sent({}, b"x")).raw,
        desk.post(Sent({"X-Hub-Signature-256": "sha256=é\xff"}, b"x")).raw,
        desk.post(wrong, "nobody").raw,
        desk.post(wrong, "").raw,
        desk.post(wrong, "%FF%00../..").raw,
        desk.post(Sent(plain(b"x"), b"x"), "other").raw,
    }
    assert len(answers) == 1
    assert b" 404 " in answers.pop()
    assert desk.asked == []
    assert desk.counted() == {"refused": 7}


def test_a_refusal_takes_the_same_work_whatever_is_asked(clock: Clock) -> None:
    receiver = Receiver(lambda *_: None, monotonic=clock.monotonic)
    receiver.use(doors())
    body = bytes(1_000_000)
    headers = message({"Content-Length": "9", "X-Hub-Signature-256": "sha256=0"})

    def seconds(ontology_id: str) -> float:
        clock.pass_by(60)
        began = time.perf_counter()
        receiver.receive(Request(ontology_id, headers, "192.0.2.1", lambda _: body))
        return time.perf_counter() - began

    took = {name: min(seconds(name) for _ in range(15)) for name in ("other", "nobody", "other", "nobody")}
    assert 0.5 < took["nobody"] / took["other"] < 2


def test_without_any_secret_nothing_is_found_and_nothing_read(board: Board, told: Told, clock: Clock) -> None:
    with desk_of(board, told, clock, Doors()) as desk:
        got = desk.post(Sent(plain(b"x" * 5_000), b"x" * 5_000))
        assert (got.status, desk.asked) == (404, [])


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_a_hook_takes_nothing_but_post(desk: Desk, method: str) -> None:
    got = desk.web.get("/hooks/kg", method)
    assert (got.status, got.headers["Allow"]) == (405, "POST")


def test_nothing_else_takes_post(desk: Desk) -> None:
    for path in ("/", "/status", "/hooks", "/hook/kg"):
        got = desk.web.post(path, b"x", plain(b"x"))
        assert (got.status, got.headers["Allow"]) == (405, "GET, HEAD")


# What is sent


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"POST /hooks/kg HTTP/1.1\r\n\r\n", 411),
        (b"POST /hooks/kg HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", 411),
        (b"POST /hooks/kg HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx", 411),
        (b"POST /hooks/kg HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxy", 400),
        (b"POST /hooks/kg HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST /hooks/kg HTTP/1.1\r\nContent-Length: +1\r\n\r\nx", 400),
        (b"POST /hooks/kg HTTP/1.1\r\nContent-Length: 1e3\r\n\r\nx", 400),
        (b"POST /hooks/kg HTTP/1.1\r\nContent-Length: \xb2\r\n\r\nxx", 400),
        (b"POST /hooks/kg HTTP/1.1\r\nContent-Length: \r\n\r\n", 400),
        (b"POST /hooks/kg HTTP/1.1\r\nContent-Length: 10001\r\n\r\n", 413),
        (b"POST /hooks/kg HTTP/1.1\r\nContent-Length: 10001\r\n\r\n" + b"x" * 10_001, 413),
        (b"POST /hooks/kg HTTP/1.1\r\nContent-Length: 900000\r\n\r\n" + b"x" * 900_000, 413),
        (b"POST /hooks/kg HTTP/1.1\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\n", 413),
        (b"POST /hooks/kg HTTP/1.1\r\nX: " + b"x" * 20_000 + b"\r\n\r\n", 431),
        (b"POST /hooks/kg\r\n\r\n", 400),
    ],
)
def test_a_length_is_told_and_is_not_too_large(desk: Desk, request_: bytes, status: int) -> None:
    assert desk.web.send(request_).status == status
    assert desk.asked == []
    assert desk.post(Sent(plain())).status == 202


def test_who_sends_too_much_may_send_it_all_and_then_read_why(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "UNREAD_SECONDS", 20)
    with desk.web.connect() as connection:
        connection.sendall(b"POST /hooks/kg HTTP/1.1\r\nContent-Length: 900000\r\n\r\n")
        assert connection.recv(1, socket.MSG_PEEK) == b"H"
        for _ in range(9_000):
            connection.sendall(b"x" * 100)  # the answer is there, and the connection is not broken off
        assert answer(connection).status == 413


def test_a_body_of_the_limit_is_read_whole_in_however_many_pieces(desk: Desk) -> None:
    body = b"x" * 10_000
    head = f"POST /hooks/kg HTTP/1.1\r\nContent-Length: 10000\r\n{headers_of(plain(body))}\r\n".encode()
    with desk.web.connect() as connection:
        for at in range(0, len(body), 700):
            connection.sendall((head if at == 0 else b"") + body[at : at + 700])
        assert answer(connection).status == 202


def headers_of(headers: dict[str, str]) -> str:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items())


def test_a_body_that_is_shorter_than_told_is_refused(desk: Desk) -> None:
    with desk.web.connect() as connection:
        connection.sendall(f"POST /hooks/kg HTTP/1.1\r\nContent-Length: 9\r\n{headers_of(plain(b'x'))}\r\nx".encode())
        connection.shutdown(1)
        assert answer(connection).status == 400
    assert desk.asked == []


def test_what_comes_behind_a_request_is_none(desk: Desk) -> None:
    one = f"POST /hooks/kg HTTP/1.1\r\nContent-Length: 1\r\n{headers_of(plain(b'x'))}\r\nx".encode()
    got = desk.web.send(one * 20)
    assert got.raw.count(b"HTTP/1.1 ") == 1
    assert len(desk.asked) == 1
    # What is told to be the body is the body, whatever it looks like.
    two = b"GET /livez HTTP/1.1\r\n\r\n"
    got = desk.web.send(f"POST /hooks/kg HTTP/1.1\r\nContent-Length: {len(two)}\r\n\r\n".encode() + two)
    assert (got.status, got.raw.count(b"HTTP/1.1 ")) == (404, 1)


def test_a_body_that_trickles_is_let_go(desk: Desk, monkeypatch: pytest.MonkeyPatch, lines: io.StringIO) -> None:
    monkeypatch.setattr(http, "BODY_SECONDS", 0.6)
    with desk.web.connect() as connection:
        connection.sendall(f"POST /hooks/kg HTTP/1.1\r\nContent-Length: 9000\r\n{headers_of(plain(b'x'))}\r\n".encode())
        began = time.monotonic()
        connection.settimeout(0.1)
        ended = False
        while not ended and time.monotonic() - began < 10:
            try:
                connection.sendall(b"x")
                ended = not connection.recv(1)
            except TimeoutError:
                continue
            except ConnectionError:
                ended = True
        assert ended
        assert 0.4 < time.monotonic() - began < 3
    eventually(lambda: desk.counted() == {"malformed": 1})
    assert events(lines, "webhook refused")[0]["reason"] == "its body did not come, or not in time"
    assert desk.asked == []


def test_who_asks_before_sending_is_told_to_go_on_only_where_the_body_is_wanted(desk: Desk) -> None:
    for length, first in ((1, b"HTTP/1.1 100 Continue\r\n\r\n"), (10_001, b"HTTP/1.1 413 ")):
        with desk.web.connect() as connection:
            told = {"Content-Length": str(length), "Expect": "100-continue", **plain(b"x")}
            connection.sendall(f"POST /hooks/kg HTTP/1.1\r\n{headers_of(told)}\r\n".encode())
            assert connection.recv(4_096).startswith(first)
            if length == 1:
                connection.sendall(b"x")
                assert answer(connection).status == 202


def test_bodies_wait_for_their_turn_and_health_is_asked_beside_them(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "WAIT_SECONDS", 0.05)
    head = f"POST /hooks/kg HTTP/1.1\r\nContent-Length: 1\r\n{headers_of(plain(b'x'))}\r\n".encode()
    slow = [desk.web.connect() for _ in range(receiving.BODIES)]
    try:
        for connection in slow:
            connection.sendall(head)
        eventually(lambda: desk.post(Sent(plain())).status == 503)
        assert desk.post(Sent(plain())).headers["Retry-After"] == "1"
        assert desk.web.get("/livez").status == 200
        for connection in slow:
            connection.sendall(b"x")
            assert answer(connection).status == 202
    finally:
        for connection in slow:
            connection.close()
    assert desk.post(Sent(plain())).status == 202


# How often


def test_an_address_that_is_refused_too_often_is_turned_away_unread(desk: Desk) -> None:
    bad, good = Sent(plain(b"x", OTHER_SECRET), b"x"), Sent(plain())
    here, there = "198.51.100.7", "203.0.113.9"
    answers = [desk.post(bad, **{"X-Forwarded-For": here}).status for _ in range(BURST + 5)]
    assert answers == [404] * BURST + [429] * 5
    turned_away = desk.web.post("/hooks/kg", b"", {**bad.headers, "X-Forwarded-For": here}, length=10_000)
    assert turned_away.status == 429  # though the body never came
    assert 1 <= int(turned_away.headers["Retry-After"]) <= 5
    assert desk.post(good, **{"X-Forwarded-For": there}).status == 202
    assert desk.post(good).status == 202
    desk.clock.pass_by(5)
    assert desk.post(good, **{"X-Forwarded-For": here}).status == 202
    assert desk.counted() == {"refused": BURST, "limited": 6, "asked": 3}


def test_nobody_but_a_proxy_is_believed_where_a_request_comes_from(board: Board, told: Told, clock: Clock) -> None:
    wanted = doors()
    with desk_of(board, told, clock, Doors(wanted.of, wanted.rules, ())) as desk:
        bad = Sent(plain(b"x", OTHER_SECRET), b"x")
        answers = [desk.post(bad, **{"X-Forwarded-For": f"192.0.2.{n}"}).status for n in range(BURST + 2)]
    assert answers == [404] * BURST + [429] * 2


def test_a_flood_of_bad_requests_fills_neither_log_nor_memory(desk: Desk, lines: io.StringIO) -> None:
    statuses: Counter[int] = Counter()
    for number in range(600):
        forwarded = f"2001:db8:{number:x}::1"
        statuses[desk.post(Sent({}, b"x"), **{"X-Forwarded-For": forwarded}).status] += 1
    assert statuses == {404: 600}
    told = events(lines, "webhook refused")
    assert len(told) == LOGGED.burst
    assert desk.post(Sent(plain())).status == 202
    desk.clock.pass_by(10)
    desk.post(Sent({}, b"x"), **{"X-Forwarded-For": "192.0.2.1"})
    assert events(lines, "webhook refused")[-1] | {"timestamp": ""} == {
        "timestamp": "",
        "level": "warning",
        "event": "webhook refused",
        "address": "192.0.2.1",
        "reason": "its signature is wrong, or missing",
        "unlogged": 600 - LOGGED.burst,
    }


def test_signed_requests_beyond_the_rate_are_told_so_and_none_is_lost(board: Board, told: Told, clock: Clock) -> None:
    with desk_of(board, told, clock, doors(requests_per_minute=30)) as desk:
        got = [desk.post(Sent(plain())) for _ in range(40)]
        assert [each.status for each in got] == [202] * 30 + [429] * 10
        assert got[-1].headers["Retry-After"] == "2"
        assert len(desk.asked) == 40
        assert desk.post(Sent(plain(b"", OTHER_SECRET)), "other").status == 202
        clock.pass_by(2)
        assert desk.post(Sent(plain())).status == 202


def test_pings_and_other_branches_count_as_requests_and_never_ask(board: Board, told: Told, clock: Clock) -> None:
    with desk_of(board, told, clock, doors(requests_per_minute=30)) as desk:
        other = github({**PUSH, "ref": "refs/heads/other"})
        assert Counter(desk.post(other).status for _ in range(31)) == {202: 30, 429: 1}
        assert len(desk.asked) == 1  # the last one is not read, and may be about ours


def test_a_hundred_at_once_are_all_heard(desk: Desk) -> None:
    statuses: Counter[int] = Counter()

    def ask() -> None:
        statuses[desk.post(github()).status] += 1

    threads = [threading.Thread(target=ask) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == {202: 100}
    assert len(desk.asked) == 100


# The configuration, faults, secrets


def test_new_doors_hold_from_the_next_request_on(desk: Desk) -> None:
    desk.receiver.use(Doors({"kg": Door((WebhookSecret.of(OTHER_SECRET),))}, WebhookConfig(requests_per_minute=1)))
    assert desk.post(Sent(plain())).status == 404
    assert desk.post(Sent(plain(b"", OTHER_SECRET)), "other").status == 404
    got = [desk.post(Sent(plain(b"", OTHER_SECRET))).status for _ in range(2)]
    assert got == [202, 429]


def test_a_fault_of_ours_is_an_error_in_fixed_words(board: Board, told: Told, clock: Clock, lines: io.StringIO) -> None:
    def broken(*_: str) -> None:
        raise ZeroDivisionError("hush")

    receiver = Receiver(broken, now=lambda: clock.now().timestamp(), monotonic=clock.monotonic)
    receiver.use(doors())
    with serve(board, told.readers(), receiver=receiver) as server:
        got = Web(server.server_address[1]).post("/hooks/kg", b"", plain())
    assert (got.status, got.body) == (500, "internal server error\n")
    assert len(events(lines, "http answer failed")) == 1


def test_no_secret_and_no_word_of_a_request_is_told_to_anyone(desk: Desk, lines: io.StringIO) -> None:
    given = []
    for sent in (
        gitlab(),
        gitlab(token=SECRET + "!"),
        Sent(plain(b"opensesame")),
        github({**PUSH, "ref": "opensesame"}),
    ):
        given += [desk.post(sent).raw, desk.post(sent, "opensesame").raw]
    given += [desk.web.get(path).raw for path in ("/", "/status", "/metrics", "/livez", "/readyz")]
    shown = b"".join(given).decode() + lines.getvalue()
    assert lines.getvalue()
    for word in (SECRET, OTHER_SECRET, SIGNING, "opensesame", "octo"):
        assert word not in shown


def test_a_request_costs_milliseconds(desk: Desk) -> None:
    took = []
    for _ in range(50):
        began = time.perf_counter()
        desk.post(github())
        took.append(time.perf_counter() - began)
    assert statistics.median(took) < 0.1
