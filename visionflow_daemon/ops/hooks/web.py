"""Tells a webhook: one POST within a deadline, however slowly the server answers; redirects are not followed."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import urlsplit

from visionflow_daemon.errors import ConfigError
from visionflow_daemon.git.credentials import split_userinfo
from visionflow_daemon.ops.hooks.answer import DELIVERED, Answer
from visionflow_daemon.ops.hooks.connection import Connection
from visionflow_daemon.ops.hooks.patience import Patience
from visionflow_daemon.ops.hooks.proxy import basic, proxy_for

SIGNATURE = "X-Visionflow-Signature"
TRY_AGAIN = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS)


@dataclass(frozen=True, slots=True)
class Secrets:
    """What proves to a webhook who we are; nothing here appears in a repr."""

    key: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)


def post(url: str, document: bytes, secrets: Secrets, headers: Mapping[str, str], patience: Patience) -> Answer:
    """Post a document, and give how it went. No answer holds anything that the server sent but its status."""
    bare, user = split_userinfo(url)
    parts = urlsplit(bare)
    host, is_safe = parts.hostname or "", parts.scheme == "https"
    sent = {**headers, "Content-Type": "application/json", "Connection": "close"}
    if secrets.key is not None:
        sent[SIGNATURE] = f"sha256={hmac.new(secrets.key.encode(), document, hashlib.sha256).hexdigest()}"
    if secrets.token is not None:
        sent["Authorization"] = f"Bearer {secrets.token}"
    elif user.password is not None:
        sent["Authorization"] = basic(user.username or "", user.password)
    path = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
    try:
        proxy = proxy_for(parts.scheme, host)
    except ConfigError as error:
        return Answer(str(error))
    if proxy is not None and not is_safe:
        path = f"http://{parts.netloc}{path}"
        sent |= {"Proxy-Authorization": proxy.authorization} if proxy.authorization else {}
    connection = Connection(host, parts.port, is_safe=is_safe, proxy=proxy, patience=patience)
    try:
        connection.request("POST", path, document, sent)
        return _answer_to(connection.getresponse())
    except ssl.SSLCertVerificationError as error:
        return Answer(f"its certificate is not accepted: {error.verify_message}")
    except TimeoutError as error:
        return Answer(_why_late(error, patience))
    except (OSError, http.client.HTTPException) as error:
        return Answer(_in_words(error))
    except (ValueError, UnicodeError):
        return Answer("its URL, or its token, holds characters that can't be sent", is_final=True)
    finally:
        connection.close()


def _why_late(error: TimeoutError, patience: Patience) -> str:
    """Say which time is over: that of one step is all that was left, or a share of it for one of several addresses."""
    try:
        patience.left()
    except TimeoutError as ours:
        return str(ours)
    return f"it can't be reached: {error}"


def _in_words(error: Exception) -> str:
    """Say what went wrong, with nothing of what the server sent."""
    match error:
        case socket.gaierror():
            return f"its name can't be looked up: {error.strerror}"
        case http.client.HTTPException() | ConnectionResetError() | BrokenPipeError():
            return "it breaks off, or answers with what is no HTTP"
        case OSError():
            return f"it can't be reached: {error.strerror or type(error).__name__}"
    return type(error).__name__


def _answer_to(response: http.client.HTTPResponse) -> Answer:
    status = response.status
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return DELIVERED
    known = {each.value: each.phrase for each in HTTPStatus}
    reason = f"it answers {status} {known.get(status, '')}".rstrip()
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return Answer(f"{reason}: redirects are not followed; give the place itself", is_final=True)
    wait = _seconds(response.getheader("Retry-After"))
    is_final = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR and status not in TRY_AGAIN
    return Answer(reason, is_final=is_final, wait=wait)


def _seconds(given: str | None) -> float | None:
    """Read Retry-After: seconds, or a date."""
    if given is None:
        return None
    if given.isascii() and given.isdecimal():
        return float(given[:9])
    try:
        return max((parsedate_to_datetime(given) - datetime.now(UTC)).total_seconds(), 0.0)
    except (TypeError, ValueError, OverflowError):
        return None
