"""Requests as forges send them, signed with a test's own secret."""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from dataclasses import dataclass
from email.message import Message
from urllib.parse import quote_plus

import orjson

SECRET = "a secret of sixteen characters, and more"  # noqa: S105 - nothing is behind it
OTHER_SECRET = "another secret, of another source"  # noqa: S105 - nor behind this one
SIGNING = "whsec_" + b64encode(bytes(range(32))).decode()

Headers = dict[str, str]


def message(headers: Headers) -> Message:
    """Give headers as the server reads them."""
    found = Message()
    for name, value in headers.items():
        found[name] = value
    return found


def hexed(body: bytes, secret: str = SECRET) -> str:
    """Give the HMAC-SHA256 of a body in hexadecimal."""
    return hmac.digest(secret.encode(), body, "sha256").hex()


def plain(body: bytes = b"", secret: str = SECRET) -> Headers:
    """Sign as a plain caller."""
    return {"X-Visionflow-Signature": f"sha256={hexed(body, secret)}"}


def standard(body: bytes, sent: float, secret: str = SIGNING, identity: str = "msg_1") -> Headers:
    """Sign by Standard Webhooks."""
    key = b64decode(secret.removeprefix("whsec_"))
    mac = hmac.digest(key, f"{identity}.{sent:.0f}.".encode() + body, "sha256")
    return {
        "webhook-id": identity,
        "webhook-timestamp": f"{sent:.0f}",
        "webhook-signature": f"v1,{b64encode(mac).decode()}",
    }


@dataclass(frozen=True, slots=True)
class Sent:
    """A request."""

    headers: Headers
    body: bytes = b""


PUSH = {
    "ref": "refs/heads/main",
    "before": "6113728f27ae82c7b1a177c8d03f9e96e0adf246",
    "after": "59b20b8d5c6ff8d09518454d4dd8b7b30f095ab5",
    "repository": {"name": "pages", "full_name": "octo/pages", "default_branch": "main", "private": True},
    "pusher": {"name": "octo", "email": "octo@example.org"},
    "commits": [{"id": "59b20b8d5c6ff8d09518454d4dd8b7b30f095ab5", "message": "Ein Wort\u2028mehr", "added": ["a.md"]}],
}


def github(payload: object = PUSH, event: str = "push", *, is_form: bool = False, secret: str = SECRET) -> Sent:
    """Send as GitHub does, SHA-1 included."""
    body = orjson.dumps(payload)
    if is_form:
        body = b"payload=" + quote_plus(body).encode()
    sha1 = hmac.digest(secret.encode(), body, "sha1").hex()
    return Sent(
        {
            "User-Agent": "GitHub-Hookshot/044aadd",
            "Accept": "*/*",
            "Content-Type": "application/x-www-form-urlencoded" if is_form else "application/json",
            "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958",
            "X-GitHub-Event": event,
            "X-GitHub-Hook-ID": "292430182",
            "X-Hub-Signature": f"sha1={sha1}",
            "X-Hub-Signature-256": f"sha256={hexed(body, secret)}",
        },
        body,
    )


def gitea(payload: object = PUSH, event: str = "push", *, kin: str = "Gitea") -> Sent:
    """Send as Gitea and Forgejo do, with the headers of all that they descend from."""
    sent = github(payload, event)
    names = {"Gitea": ("Gitea", "Gogs"), "Forgejo": ("Forgejo", "Gitea", "Gogs")}[kin]
    more = {"X-Gitea-Event-Type": event}
    for name in names:
        more |= {f"X-{name}-Event": event, f"X-{name}-Signature": hexed(sent.body), f"X-{name}-Delivery": "f6266f16"}
    return Sent({**sent.headers, **more}, sent.body)


def gogs(payload: object = PUSH, event: str = "push") -> Sent:
    """Send as Gogs does."""
    body = orjson.dumps(payload)
    headers = {"Content-Type": "application/json", "X-Gogs-Event": event, "X-Gogs-Signature": hexed(body)}
    return Sent(headers, body)


def gitlab(
    ref: str = "refs/heads/main",
    event: str = "Push Hook",
    name: str = "push",
    *,
    token: str | None = SECRET,
    signed_at: float | None = None,
) -> Sent:
    """Send as GitLab does: with a secret token, a signing token, or both."""
    payload = {
        "object_kind": name,
        "event_name": name,
        "before": "95790bf891e76fee5e1747ab589903a6a1f80f22",
        "after": "da1560886d4f094c3e6c9ef40349f7d38b5d27d7",
        "ref": ref,
        "checkout_sha": "da1560886d4f094c3e6c9ef40349f7d38b5d27d7",
        "project": {"id": 15, "path_with_namespace": "mike/pages", "default_branch": "main"},
        "total_commits_count": 4,
    }
    body = orjson.dumps(payload)
    headers = {
        "User-Agent": "GitLab/18.11.0",
        "Content-Type": "application/json",
        "X-Gitlab-Event": event,
        "X-Gitlab-Instance": "https://gitlab.example.org",
        "X-Gitlab-Webhook-UUID": "13792a34-cac6-4fda-95a8-c58e00a3954e",
        "Idempotency-Key": "f5e57144-c1e9-4d02-a5b1-bc2a1b0b3d1c",
    }
    if token is not None:
        headers["X-Gitlab-Token"] = token
    if signed_at is not None:
        headers |= standard(body, signed_at)
    return Sent(headers, body)
