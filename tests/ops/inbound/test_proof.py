"""What proves a request: the vectors that others publish, and all that proves nothing."""

from __future__ import annotations

import hmac
from base64 import b64encode

import pytest

from tests.ops.inbound.support import (
    SECRET,
    SIGNING,
    Headers,
    Sent,
    gitea,
    github,
    gitlab,
    gogs,
    hexed,
    message,
    plain,
    standard,
)
from visionflow_daemon.config.secrets import WebhookSecret
from visionflow_daemon.ops.inbound.proof import TOLERANCE, Sender, sender_of

NOW = 1_700_000_000.0
PUBLISHED = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BEYOND_ASCII = "Straße nach Überlingen 🗝"


def sender(headers: Headers, body: bytes = b"", *secrets: str, now: float = NOW) -> Sender | None:
    return sender_of(message(headers), body, map(WebhookSecret.of, secrets or (SECRET,)), now)


def test_githubs_own_vector_holds() -> None:
    signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    headers = {"X-Hub-Signature-256": signature}
    assert sender(headers, b"Hello, World!", "It's a Secret to Everybody") is Sender.GITHUB
    assert sender(headers, b"Hello, World?", "It's a Secret to Everybody") is None


def test_the_vector_of_standard_webhooks_holds() -> None:
    headers = {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    body = b'{"test": 2432232314}'
    assert sender(headers, body, PUBLISHED, now=1_614_265_330) is Sender.STANDARD
    both = headers | {"webhook-signature": f"v1a,AAAA v1,{'A' * 43}= {headers['webhook-signature']}"}
    assert sender(both, body, PUBLISHED, now=1_614_265_330) is Sender.STANDARD
    for changed in ({"webhook-id": "msg_2"}, {"webhook-timestamp": "1614265331"}, {"webhook-signature": "v1,"}):
        assert sender(headers | changed, body, PUBLISHED, now=1_614_265_330) is None


@pytest.mark.parametrize(
    ("away", "holds"), [(0, True), (-TOLERANCE, True), (TOLERANCE, True), (-301, False), (301, False)]
)
def test_a_signed_time_may_be_five_minutes_away(away: float, *, holds: bool) -> None:
    found = sender(standard(b"x", NOW + away), b"x", SIGNING)
    assert (found is not None) == holds


@pytest.mark.parametrize("stamp", ["", "now", "-1", "1e9", "1700000000.0", "²²", "9" * 4_000, "1700000000 x"])
def test_a_time_that_is_none_proves_nothing(stamp: str) -> None:
    mac = hmac.digest(WebhookSecret.of(SIGNING).signing_key, f"msg_1.{stamp}.x".encode("latin-1"), "sha256")
    headers = {"webhook-id": "msg_1", "webhook-timestamp": stamp, "webhook-signature": f"v1,{b64encode(mac).decode()}"}
    assert sender(headers, b"x", SIGNING) is None


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (github(), Sender.GITHUB),
        (github(is_form=True), Sender.GITHUB),
        (gitea(), Sender.GITEA),
        (gitea(kin="Forgejo"), Sender.GITEA),
        (gogs(), Sender.GITEA),
        (gitlab(), Sender.GITLAB),
    ],
    ids=["github", "github form", "gitea", "forgejo", "gogs", "gitlab"],
)
def test_each_forge_is_known_by_its_headers(sent: Sent, expected: Sender) -> None:
    assert sender(sent.headers, sent.body) is expected
    assert sender(sent.headers, sent.body, "a secret that nobody signs with") is None
    if expected is not Sender.GITLAB:  # whose token says nothing of the body
        assert sender(sent.headers, sent.body + b" ") is None


def test_gitlabs_signing_token_holds_also_beside_a_secret_token() -> None:
    for token in (None, "some other token"):
        sent = gitlab(token=token, signed_at=NOW)
        assert sender(sent.headers, sent.body, SIGNING) is Sender.GITLAB
        assert sender(sent.headers, sent.body + b" ", SIGNING) is None


def test_a_signing_token_is_no_token_to_be_sent() -> None:
    assert sender({"X-Gitlab-Token": SIGNING}, b"", SIGNING) is None
    assert sender({"X-Gitlab-Token": SECRET}, b"", SECRET) is Sender.GITLAB


def test_any_of_several_secrets_holds() -> None:
    for secret in (SECRET, SIGNING):
        assert sender(plain(b"x", secret), b"x", SECRET, SIGNING) is Sender.PLAIN
    assert sender(standard(b"x", NOW), b"x", SECRET, SIGNING) is Sender.STANDARD


def test_a_secret_beyond_ascii_is_compared_by_its_bytes() -> None:
    assert sender(plain(b"x", BEYOND_ASCII), b"x", BEYOND_ASCII) is Sender.PLAIN
    as_the_server_reads_it = BEYOND_ASCII.encode().decode("latin-1")
    assert sender({"X-Gitlab-Token": as_the_server_reads_it}, b"", BEYOND_ASCII) is Sender.GITLAB


RIGHT = hexed(b"x")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Hub-Signature": "sha1=" + hmac.digest(SECRET.encode(), b"x", "sha1").hex()},
        {"X-Hub-Signature": f"sha256={RIGHT}"},
        {"X-Hub-Signature-256": RIGHT},
        {"X-Hub-Signature-256": f"sha256={RIGHT[:-1]}"},
        {"X-Hub-Signature-256": f"sha256={RIGHT}0"},
        {"X-Hub-Signature-256": f"sha1={RIGHT}"},
        {"X-Hub-Signature-256": "sha256="},
        {"X-Hub-Signature-256": ""},
        {"X-Hub-Signature-256": "sha256=\xff\xfe" + RIGHT[2:]},
        {"X-Hub-Signature-256": "sha256=" + "é" * 64},
        {"X-Visionflow-Signature": "\udcff" * 64},
        {"X-Gitea-Signature": "0" * 64},
        {"X-Gitea-Signature": f"sha256={RIGHT}"},
        {"X-Gitlab-Token": ""},
        {"X-Gitlab-Token": SECRET[:-1]},
        {"X-Gitlab-Token": RIGHT},
        {"Authorization": f"Bearer {SECRET}"},
        {"webhook-signature": f"v1,{RIGHT}"},
    ],
)
def test_what_proves_nothing(headers: Headers) -> None:
    assert sender(headers, b"x") is None


def test_upper_case_and_space_around_are_no_matter() -> None:
    assert sender({"x-hub-signature-256": f"  SHA256={RIGHT.upper()} "}, b"x") is Sender.GITHUB


def test_a_secret_shows_in_no_repr() -> None:
    assert SECRET not in repr(WebhookSecret.of(SECRET))
    assert repr(bytes(range(32)))[2:10] not in repr(WebhookSecret.of(SIGNING))
