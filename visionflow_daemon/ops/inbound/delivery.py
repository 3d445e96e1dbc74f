"""Reads what a signed request is about. Of its body only a branch's name is of use, and nothing is trusted."""

from __future__ import annotations

from email.message import Message
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qs

import orjson

EVENT_HEADERS = ("X-GitHub-Event", "X-Gitea-Event", "X-Forgejo-Event", "X-Gogs-Event", "X-Gitlab-Event")
GITLAB_PUSH, GITLAB_SYSTEM = "Push Hook", "System Hook"
PUSHES = ("push", GITLAB_PUSH, GITLAB_SYSTEM)
BRANCHES = "refs/heads/"
MOST_FIELDS = 16
"""Fields of a form that are looked at."""

MOST_VALUES = 20_000
"""Values, and escapes of a form, in a body that is read: each may take a hundred times its size in memory."""


class Wish(StrEnum):
    """What a request asks for, as its sender is told."""

    SYNC = "accepted: a pass follows"
    PING = "pong"
    OTHER_EVENT = "ignored: not a push"
    OTHER_BRANCH = "ignored: another branch"
    UNCLEAR = "refused: the body is no push that can be read"


def wish_of(headers: Message, body: bytes, branch: str | None) -> Wish:
    """Say what a request asks for; `branch` is the source's, None where it is not known."""
    event = next((str(value) for name in EVENT_HEADERS if (value := headers.get(name)) is not None), None)
    if event == "ping":
        return Wish.PING
    if event is not None and event not in PUSHES:
        return Wish.OTHER_EVENT
    if body.count(b",") + body.count(b"%") > MOST_VALUES:
        return Wish.SYNC  # a look too many costs less than to read it
    payload = _payload(headers, body)
    if event == GITLAB_SYSTEM and payload.get("event_name") != "push":
        return Wish.OTHER_EVENT
    ref = payload.get("ref")
    if not isinstance(ref, str):
        return Wish.SYNC if event is None else Wish.UNCLEAR  # a plain caller need say nothing
    return Wish.SYNC if _is_meant(ref, branch) else Wish.OTHER_BRANCH


def _is_meant(ref: str, branch: str | None) -> bool:
    if not ref.startswith("refs/"):
        return branch in {None, ref}
    return ref.startswith(BRANCHES) and branch in {None, ref.removeprefix(BRANCHES)}


def _payload(headers: Message, body: bytes) -> dict[str, Any]:
    """Give the JSON object that a body is, or that a form holds as `payload`; empty where there is none."""
    text: bytes | str = body
    try:
        if headers.get_content_type() == "application/x-www-form-urlencoded":
            # What curl sends is called a form, too, whatever it is.
            (text,) = parse_qs(body.decode(), max_num_fields=MOST_FIELDS).get("payload", [body])
        found = orjson.loads(text)
    except ValueError:  # neither a form nor JSON, or nested too deep
        return {}
    return found if isinstance(found, dict) else {}
