"""What a signed request is about; the body is as hostile as any page."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable

import orjson
import pytest

from tests.ops.inbound.support import PUSH, Sent, gitea, github, gitlab, gogs, message
from visionflow_daemon.ops.inbound.delivery import Wish, wish_of

JSON = {"Content-Type": "application/json"}


def wish(sent: Sent, branch: str | None = "main") -> Wish:
    return wish_of(message(sent.headers), sent.body, branch)


def of_ref(ref: object) -> dict[str, object]:
    return {**PUSH, "ref": ref}


@pytest.mark.parametrize("send", [github, gitea, gogs])
def test_a_push_is_told_from_other_events_and_branches(send: Callable[..., Sent]) -> None:
    assert wish(send()) is Wish.SYNC
    assert wish(send(), "trunk") is Wish.OTHER_BRANCH
    assert wish(send(), None) is Wish.SYNC
    assert wish(send(of_ref("refs/heads/feature/main"))) is Wish.OTHER_BRANCH
    assert wish(send(of_ref("refs/heads/feature/main")), "feature/main") is Wish.SYNC
    for branch in ("main", None):
        assert wish(send(of_ref("refs/tags/main")), branch) is Wish.OTHER_BRANCH
    for event in ("issues", "create", "delete", "pull_request", "", "PUSH"):
        assert wish(send(PUSH, event)) is Wish.OTHER_EVENT


def test_githubs_ping_is_one() -> None:
    assert wish(github({"zen": "Keep it logically awesome.", "hook_id": 1}, "ping")) is Wish.PING
    assert wish(github({"zen": "Keep it logically awesome."}, "ping", is_form=True)) is Wish.PING


def test_a_form_holds_the_payload() -> None:
    assert wish(github(is_form=True)) is Wish.SYNC
    assert wish(github(is_form=True), "trunk") is Wish.OTHER_BRANCH


def test_gitlabs_events() -> None:
    assert wish(gitlab()) is Wish.SYNC
    assert wish(gitlab("refs/heads/other")) is Wish.OTHER_BRANCH
    assert wish(gitlab("refs/tags/v1", "Tag Push Hook", "tag_push")) is Wish.OTHER_EVENT
    assert wish(gitlab(event="Issue Hook", name="issue")) is Wish.OTHER_EVENT
    assert wish(gitlab(event="System Hook")) is Wish.SYNC
    assert wish(gitlab(event="System Hook", name="project_create")) is Wish.OTHER_EVENT


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"Hello, World!",
        b"{",
        b"[]",
        b"null",
        b'"main"',
        b"\xff\xfe",
        b'{"ref": null}',
        b'{"ref": {"ref": "refs/heads/main"}}',
        b'{"reference": "x"}',
        b"[" * 100_000,
        b'{"ref":' * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"ref": "\\ud800"}',
        b'{"ref": 1e999999}',
        b"9" * 100_000,
    ],
)
def test_a_body_that_names_no_branch_is_a_plain_callers_and_no_forges(body: bytes) -> None:
    for headers in ({}, JSON, {"Content-Type": "application/x-www-form-urlencoded"}, {"Content-Type": "\x00/;;="}):
        assert wish(Sent(headers, body)) is Wish.SYNC
        assert wish(Sent({**headers, "X-GitHub-Event": "push"}, body)) is Wish.UNCLEAR


@pytest.mark.parametrize("ref", ["refs/heads/main", "main"])
def test_a_plain_caller_may_name_a_branch_also_where_curl_calls_it_a_form(ref: str) -> None:
    for content_type in ("application/json", "application/x-www-form-urlencoded", "text/plain"):
        sent = Sent({"Content-Type": content_type}, orjson.dumps({"ref": ref}))
        assert wish(sent) is Wish.SYNC
        assert wish(sent, "trunk") is Wish.OTHER_BRANCH
        assert wish(sent, None) is Wish.SYNC


@pytest.mark.parametrize(
    "ref",
    [
        "",
        "refs/heads/",
        "refs/heads/main/",
        "refs/heads/MAIN",
        "refs/heads/main\n",
        "refs/heads/ma\u200bin",
        "x" * 900_000,
    ],
)
def test_a_branch_is_compared_as_it_is(ref: str) -> None:
    assert wish(Sent(JSON, orjson.dumps({"ref": ref}))) is Wish.OTHER_BRANCH


@pytest.mark.parametrize(
    "body",
    [
        b'{"ref":"refs/heads/other","a":[' + b"[]," * 330_000 + b"[]]}",
        b'{"ref":"refs/heads/other","a":[' + b'{"a":{}},' * 100_000 + b"{}]}",
        b"payload=" + b"%5b" * 330_000,
    ],
)
def test_a_body_of_many_values_is_not_read_and_counts_as_a_push(body: bytes) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for headers in (JSON, form, {**JSON, "X-GitHub-Event": "push"}):
        tracemalloc.start()
        assert wish(Sent(headers, body)) is Wish.SYNC
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
        tracemalloc.stop()


def test_a_form_of_a_million_fields_costs_no_time() -> None:
    began = time.process_time()
    assert wish(Sent({"Content-Type": "application/x-www-form-urlencoded"}, b"a=&" * 340_000)) is Wish.SYNC
    assert time.process_time() - began < 1
