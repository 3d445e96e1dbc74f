"""Tells whether a request comes from someone who knows a source's secret, and by which scheme it says so."""

from __future__ import annotations

import hmac
import secrets as random
from base64 import b64encode
from collections.abc import Iterable, Iterator
from email.message import Message
from enum import StrEnum

from visionflow_daemon.config.secrets import WebhookSecret

TOLERANCE = 300.0
"""Seconds that a signed time may be away from ours: five minutes, as Standard Webhooks has it."""

MOST_SIGNATURES = 8
"""Signatures of one `webhook-signature` header that are looked at: a sender gives two while it changes its secret."""

NOBODYS = WebhookSecret.of(random.token_hex(32))
"""What a request is checked against where there is no secret: being refused takes the same work, whatever is asked."""

_COMPARING = random.token_bytes(32)


class Sender(StrEnum):
    """Who signs so."""

    GITHUB = "github"
    GITEA = "gitea"
    GITLAB = "gitlab"
    STANDARD = "standard"
    PLAIN = "plain"


SIGNED_BODY = (
    # Gitea and its kin send GitHub's header, too: theirs come first.
    ("X-Gitea-Signature", "", Sender.GITEA),
    ("X-Forgejo-Signature", "", Sender.GITEA),
    ("X-Gogs-Signature", "", Sender.GITEA),
    ("X-Hub-Signature-256", "sha256=", Sender.GITHUB),
    ("X-Visionflow-Signature", "sha256=", Sender.PLAIN),
)
"""Headers that hold the HMAC-SHA256 of the body in hexadecimal behind a prefix. None is X-Hub-Signature, of SHA-1."""


def sender_of(headers: Message, body: bytes, secrets: Iterable[WebhookSecret], now: float) -> Sender | None:
    """Give the sender of a request that is signed with one of these secrets; None for any other. `now` is Unix time."""
    proven = [sender for secret in secrets for sender in _proven(headers, body, secret, now)]
    return proven[0] if proven else None


def _proven(headers: Message, body: bytes, secret: WebhookSecret, now: float) -> Iterator[Sender]:
    digest = hmac.digest(secret.text, body, "sha256").hex()
    for name, prefix, sender in SIGNED_BODY:
        if hmac.compare_digest(_value(headers, name).lower(), f"{prefix}{digest}".encode()):
            yield sender
    if _is_standard(headers, body, secret, now):
        yield Sender.GITLAB if headers.get("X-Gitlab-Event") else Sender.STANDARD
    if _is_token(headers, secret):
        yield Sender.GITLAB


def _is_standard(headers: Message, body: bytes, secret: WebhookSecret, now: float) -> bool:
    """Check a signature by Standard Webhooks, as GitLab's signing tokens make it: of id, time and body."""
    sent = _value(headers, "webhook-timestamp")
    mac = hmac.new(secret.signing_key, b"%s.%s." % (_value(headers, "webhook-id"), sent), "sha256")
    mac.update(body)
    expected = b"v1," + b64encode(mac.digest())
    signatures = _value(headers, "webhook-signature").split()[:MOST_SIGNATURES]
    is_right = any([hmac.compare_digest(each, expected) for each in signatures])  # noqa: C419 - each takes its time
    is_recent = len(sent) < 12 and sent.isdigit() and abs(now - int(sent)) <= TOLERANCE  # noqa: PLR2004 - till 33658
    return is_right and is_recent


def _is_token(headers: Message, secret: WebhookSecret) -> bool:
    """Check GitLab's secret token, which is the secret itself. One that is made for signing is never sent."""
    given, wanted = (
        hmac.digest(_COMPARING, each, "sha256") for each in (_value(headers, "X-Gitlab-Token"), secret.text)
    )  # of one length: comparing tells nothing of the secret's
    return hmac.compare_digest(given, wanted) and not secret.is_for_signing


def _value(headers: Message, name: str) -> bytes:
    """Give a header's bytes, as they came."""
    return str(headers.get(name, "")).strip().encode("latin-1", "replace")
