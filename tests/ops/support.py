"""A clock, a board and summaries for the tests of what the daemon shows."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from visionflow_daemon.ops.board import Board
from visionflow_daemon.ops.readers import Disk, Held, Readers
from visionflow_daemon.ops.standing import BackupStanding
from visionflow_daemon.storage.checkpoint import LastRun, Tally
from visionflow_daemon.storage.files import Totals
from visionflow_daemon.storage.ledger import LedgerEntry
from visionflow_daemon.sync.breaker import Breaker, Guarded
from visionflow_daemon.sync.plan import Plan, Way
from visionflow_daemon.sync.run import Summary

START = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
NOTHING = Tally()


@dataclass(slots=True)
class Clock:
    """A clock that moves when a test says so."""

    seconds: float = 0.0

    def now(self) -> datetime:
        """Give the time of day."""
        return START + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        """Give the seconds since the start."""
        return self.seconds

    def pass_by(self, seconds: float) -> None:
        """Move the clock."""
        self.seconds += seconds


def board_at(clock: Clock) -> Board:
    """Make a board that knows one source, `kg`."""
    board = Board(clock.now, clock.monotonic)
    board.source_known("kg", "https://example.org/kg.git", "main", 60)
    return board


def summary(
    *,
    ontology_id: str = "kg",
    tally: Tally = NOTHING,
    ledger: int = 0,
    is_whole: bool = True,
    seconds: float = 0.2,
    commit: str = "c" * 40,
) -> Summary:
    """Tell of a pass."""
    run_id = "r1" if tally.done else None
    plan = Plan(Way.DIFF, "a test", (), tally.done, (), 0)
    return Summary(
        ontology_id, "https://example.org/kg.git", "main", commit, plan, tally, 0, seconds, ledger, run_id, is_whole
    )


TOTALS = Totals(10, 1, 2, 3, 40, 5, 6, 7, 80, 0)


@dataclass(slots=True)
class Told:
    """What database and state directory say, as a test wants it."""

    held: Held = field(default_factory=lambda: Held(TOTALS))
    breakers: list[Breaker] = field(default_factory=lambda: [Breaker(guarded) for guarded in Guarded])
    checked: str | None = None
    ontologies: list[str] = field(default_factory=list)
    backups: BackupStanding | None = None

    def readers(self) -> Readers:
        """Give readers that say so."""
        return Readers(
            lambda _: self.held,
            lambda _: self.breakers,
            lambda _: self.checked,
            lambda: [Disk(place, 30, 100) for place in ("database", "state")],
            lambda: self.ontologies,
            lambda: self.backups,
        )


def run(**more: object) -> LastRun:
    """Tell of a recorded pass."""
    fields: dict[str, object] = {
        "run_id": "r",
        "status": "finished",
        "started_at": "2026-05-04T11:00:00Z",
        "progress_at": "2026-05-04T11:00:09Z",
        "finished_at": "2026-05-04T11:00:09Z",
        "plan": "diff",
        "plan_reason": "changes",
        "planned": 12,
        "saved": 9,
        "skipped": 1,
        "failed": 2,
        "deleted": 0,
        "error": None,
    }
    return LastRun(**{**fields, **more})  # type: ignore[arg-type]


def failure(path: str, reason: str, line: int | None = 3) -> LedgerEntry:
    """Tell of a failed file."""
    when = "2026-05-04T11:00:00Z"
    return LedgerEntry(path, "page", reason, line, 1, when, when, None, "b" * 40, is_stale=True)


@dataclass(frozen=True, slots=True)
class Response:
    """What a server answered."""

    status: int
    headers: dict[str, str]
    body: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Web:
    """Asks a server over real sockets, byte by byte where a test wants it."""

    port: int

    def connect(self) -> socket.socket:
        """Open a connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def send(self, request: bytes) -> Response:
        """Send bytes, and read the answer to its end."""
        with self.connect() as connection:
            with suppress(ConnectionError):  # refused before all was sent
                connection.sendall(request)
            return answer(connection)

    def get(self, path: str, method: str = "GET", host: str = "localhost") -> Response:
        """Ask for a path."""
        return self.send(f"{method} {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())

    def post(
        self, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None, length: int | None = None
    ) -> Response:
        """Send a body, of this length or of the one that is told."""
        told = {"Host": "hooks.example.org", "Content-Length": str(len(body) if length is None else length)}
        head = "".join(f"{name}: {value}\r\n" for name, value in {**told, **(headers or {})}.items())
        return self.send(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body)


def answer(connection: socket.socket) -> Response:
    """Read an answer to its end; status 0 where there is none."""
    raw = b""
    with suppress(ConnectionError):
        while part := connection.recv(65_536):
            raw += part
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    return Response(int(first.split()[1]) if first else 0, headers, body.decode(), raw)
