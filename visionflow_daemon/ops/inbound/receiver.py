"""Takes webhooks in: who may ask for a pass of a source, how much, and how often."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http import HTTPStatus

import structlog

from visionflow_daemon.config.secrets import WebhookSecret, webhook_secrets
from visionflow_daemon.config.values import Config, WebhookConfig
from visionflow_daemon.errors import ConfigError
from visionflow_daemon.ops.inbound.counts import Counts, Outcome
from visionflow_daemon.ops.inbound.delivery import Wish, wish_of
from visionflow_daemon.ops.inbound.limits import Buckets, Network, Offenders, Rate, client_of, networks, site_of
from visionflow_daemon.ops.inbound.proof import NOBODYS, Sender, sender_of

log = structlog.get_logger()

BODIES = 8
WAIT_SECONDS = 1.0
"""Bodies held in memory at a time, and how long one more request waits for its turn before it is refused."""

LOGGED = Rate(burst=10, per_second=0.1)
"""Lines about refused requests: whoever sends them is not to fill the log."""

DETACHED = "HEAD"
WEBHOOK = "webhook"
"""How the reason begins that a pass is asked for with."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request whose head is read. `read_body` reads that many bytes, or fewer where no more come."""

    ontology_id: str
    headers: Message
    peer: str
    read_body: Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered, in words that repeat nothing of the request."""

    status: HTTPStatus
    words: str
    outcome: Outcome
    retry_after: int = 0


@dataclass(frozen=True, slots=True)
class Door:
    """What opens a source to webhooks; `branch` None means the one that HEAD names."""

    secrets: tuple[WebhookSecret, ...]
    branch: str | None = None


@dataclass(frozen=True, slots=True)
class Doors:
    """All sources that webhooks may ask for, and how much they may ask."""

    of: Mapping[str, Door] = field(default_factory=dict)
    rules: WebhookConfig = field(default_factory=WebhookConfig)
    proxies: tuple[Network, ...] = ()


NOT_FOUND = Reply(HTTPStatus.NOT_FOUND, "not found, or the signature is wrong", Outcome.REFUSED)
NO_LENGTH = Reply(HTTPStatus.LENGTH_REQUIRED, "a Content-Length is required", Outcome.MALFORMED)
BAD_LENGTH = Reply(HTTPStatus.BAD_REQUEST, "the Content-Length is wrong", Outcome.MALFORMED)
TOO_LARGE = Reply(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "the body is too large", Outcome.MALFORMED)
BUSY = Reply(HTTPStatus.SERVICE_UNAVAILABLE, "too many requests at a time", Outcome.LIMITED, 1)


def doors_of(config: Config, environment: Mapping[str, str]) -> Doors:
    """Read the secrets that a configuration names. Raises ConfigError with every mistake."""
    found: dict[str, Door] = {}
    problems: list[str] = []
    for at, source in enumerate(config.sources):
        try:
            secrets = webhook_secrets(source, config.base, environment)
        except ConfigError as error:
            problems += [f"sources[{at}].webhook_secret_file: {each}" for each in error.problems]
        else:
            if secrets:
                found[source.ontology_id] = Door(secrets, source.branch)
    if problems:
        raise ConfigError(*problems)
    return Doors(found, config.webhook, networks(config.webhook.proxies))


class Receiver:
    """Decides about requests, in any number of threads; `ask` is called with an ontology and the reason."""

    def __init__(
        self,
        ask: Callable[[str, str], None],
        *,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.counts = Counts()
        self._ask = ask
        self._now = now
        self._monotonic = monotonic
        self._doors = Doors()
        self._seen: dict[str, str] = {}
        self._offenders = Offenders(monotonic)
        self._signed = self._buckets(WebhookConfig())
        self._bodies = threading.BoundedSemaphore(BODIES)
        self._reading = threading.Lock()
        self._telling = threading.Lock()
        self._lines = Buckets(LOGGED, monotonic, most=1)
        self._unlogged = 0

    def use(self, doors: Doors) -> None:
        """Go by this configuration from now on."""
        if doors.rules.requests_per_minute != self._doors.rules.requests_per_minute:
            self._signed = self._buckets(doors.rules)
        self._doors = doors

    def seen(self, ontology_id: str, branch: str) -> None:
        """Note which branch a pass has synced: where HEAD names the branch, it is not known before."""
        self._seen[ontology_id] = branch

    def receive(self, request: Request) -> Reply:
        """Decide about a request. Raises what `read_body` does."""
        doors = self._doors
        forwarded = ",".join(request.headers.get_all("X-Forwarded-For", []))
        address = client_of(request.peer, forwarded, doors.proxies)
        try:
            reply = self._decided(request, doors, address)
        except (TimeoutError, ConnectionError):
            self._offenders.note(site_of(address))
            self.counts.add(Outcome.MALFORMED)
            self._complain(address, "its body did not come, or not in time")
            raise
        self.counts.add(reply.outcome)
        return reply

    def _decided(self, request: Request, doors: Doors, address: str) -> Reply:
        if not doors.of:
            return NOT_FOUND
        if wait := self._offenders.wait(site_of(address)):
            return _limited(wait)
        length = _length(request.headers, doors.rules.body_bytes)
        if isinstance(length, Reply):
            self._complain(address, length.words)
            return length
        if not self._bodies.acquire(timeout=WAIT_SECONDS):
            return BUSY
        try:
            body = request.read_body(length)
            if len(body) < length:
                self._offenders.note(site_of(address))
                self._complain(address, BAD_LENGTH.words)
                return BAD_LENGTH
            return self._judged(request, body, doors, address)
        finally:
            self._bodies.release()

    def _judged(self, request: Request, body: bytes, doors: Doors, address: str) -> Reply:
        door = doors.of.get(request.ontology_id)
        sender = sender_of(request.headers, body, door.secrets if door else (NOBODYS,), self._now())
        if door is None or sender is None:
            self._offenders.note(site_of(address))
            self._complain(address, "its signature is wrong, or missing" if door else "no such source takes webhooks")
            return NOT_FOUND
        if wait := self._signed.take(request.ontology_id):
            self._ask(request.ontology_id, f"{WEBHOOK}s")  # whatever the last one was about is not to be missed
            self._complain(address, "too many requests in a minute")
            return _limited(wait)
        branch = door.branch or self._seen.get(request.ontology_id)
        with self._reading:  # JSON takes many times its size in memory: one body at a time
            wish = wish_of(request.headers, body, None if branch == DETACHED else branch)
        return self._granted(request.ontology_id, sender, wish)

    def _granted(self, ontology_id: str, sender: Sender, wish: Wish) -> Reply:
        with structlog.contextvars.bound_contextvars(ontology_id=ontology_id):
            log.info("webhook received", sender=sender.value, answer=wish.value)
        match wish:
            case Wish.SYNC:
                self._ask(ontology_id, f"{WEBHOOK} of {sender.value}")
                return Reply(HTTPStatus.ACCEPTED, wish.value, Outcome.ASKED)
            case Wish.PING:
                return Reply(HTTPStatus.OK, wish.value, Outcome.PINGED)
            case Wish.UNCLEAR:
                return Reply(HTTPStatus.BAD_REQUEST, wish.value, Outcome.MALFORMED)
            case _:
                return Reply(HTTPStatus.ACCEPTED, wish.value, Outcome.IGNORED)

    def _complain(self, address: str, reason: str) -> None:
        """Log a refused request, now and then."""
        with self._telling:
            if self._lines.take(""):
                self._unlogged += 1
                return
            unlogged, self._unlogged = self._unlogged, 0
        log.warning("webhook refused", address=address, reason=reason, unlogged=unlogged)

    def _buckets(self, rules: WebhookConfig) -> Buckets:
        return Buckets(Rate(rules.requests_per_minute, rules.requests_per_minute / 60), self._monotonic)


def _length(headers: Message, most: int) -> int | Reply:
    """Give the length of a body, or why it is not read."""
    lengths = set(headers.get_all("Content-Length", []))
    if headers.get("Transfer-Encoding") is not None or not lengths:
        return NO_LENGTH
    text = lengths.pop().strip()
    if lengths or not (text.isascii() and text.isdigit()):
        return BAD_LENGTH
    return int(text) if len(text) < 12 and int(text) <= most else TOO_LARGE  # noqa: PLR2004 - far beyond any limit


def _limited(wait: float) -> Reply:
    return Reply(HTTPStatus.TOO_MANY_REQUESTS, "too many requests", Outcome.LIMITED, max(1, math.ceil(wait)))
