"""Makes the answer to each path: health, figures, and the page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any

import orjson

from visionflow_daemon.model import timestamp
from visionflow_daemon.ops import page
from visionflow_daemon.ops.board import Board
from visionflow_daemon.ops.health import is_alive, readiness
from visionflow_daemon.ops.metrics import Metrics, program_version
from visionflow_daemon.ops.overview import not_followed
from visionflow_daemon.ops.readers import Readers
from visionflow_daemon.ops.standing import Snapshot, SourceStanding

NO_CONTENT_POLICY = "default-src 'none'; frame-ancestors 'none'"
PLAIN = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent. `retry_after` is in seconds; 0 says nothing of it."""

    status: HTTPStatus
    content_type: str
    body: bytes
    policy: str = NO_CONTENT_POLICY
    retry_after: int = 0


def text(status: HTTPStatus, *lines: str, retry_after: int = 0) -> Answer:
    """Answer with lines of text."""
    body = "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")
    return Answer(status, PLAIN, body, retry_after=retry_after)


def routes(
    board: Board, readers: Readers, metrics: Metrics, ready_intervals: float, alive_seconds: float
) -> dict[str, Callable[[], Answer]]:
    """Say which function answers which path."""

    def livez() -> Answer:
        snapshot = board.snapshot()
        if is_alive(snapshot, alive_seconds):
            return text(HTTPStatus.OK, "alive")
        return text(
            HTTPStatus.SERVICE_UNAVAILABLE, f"the loop has been silent for {snapshot.quiet_seconds:,.0f} seconds"
        )

    def readyz() -> Answer:
        found = readiness(board.snapshot(), readers, ready_intervals)
        if not found:
            return text(HTTPStatus.SERVICE_UNAVAILABLE, "not ready: no source is known yet")
        lines = [f"{each.ontology_id}: {'ready' if each.is_ready else 'not ready'}: {each.reason}" for each in found]
        is_ready = all(each.is_ready for each in found)
        return text(HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE, *lines)

    def status() -> Answer:
        body = orjson.dumps(status_of(board.snapshot(), readers, ready_intervals), option=OPTIONS, default=str)
        return Answer(HTTPStatus.OK, "application/json", body + b"\n")

    def exposed() -> Answer:
        return Answer(HTTPStatus.OK, "text/plain; version=0.0.4; charset=utf-8", metrics.text())

    def status_page() -> Answer:
        html = page.render(board.snapshot(), readers, ready_intervals, program_version())
        return Answer(HTTPStatus.OK, "text/html; charset=utf-8", html.encode("utf-8", "replace"), page.POLICY)

    return {"/livez": livez, "/readyz": readyz, "/status": status, "/metrics": exposed, "/": status_page}


OPTIONS = orjson.OPT_INDENT_2 | orjson.OPT_UTC_Z | orjson.OPT_OMIT_MICROSECONDS | orjson.OPT_NON_STR_KEYS


def status_of(snapshot: Snapshot, readers: Readers, ready_intervals: float) -> dict[str, Any]:
    """Say in one document all that the page shows, but for past passes and failed files."""
    ready = {each.ontology_id: each for each in readiness(snapshot, readers, ready_intervals)}
    return {
        "version": program_version(),
        "at": snapshot.at,
        "started_at": snapshot.started_at,
        "ready": bool(ready) and all(each.is_ready for each in ready.values()),
        "sources": [
            {
                **_source(source, readers, timestamp(snapshot.at)),
                "ready": ready[source.ontology_id].is_ready,
                "reason": ready[source.ontology_id].reason,
                "last_success": ready[source.ontology_id].last_success,
            }
            for source in snapshot.sources
        ],
        "not_followed": not_followed(snapshot, readers),
        "backup": asdict(backups) if (backups := readers.backups()) else None,
    }


def _source(source: SourceStanding, readers: Readers, now: str) -> dict[str, Any]:
    held = readers.held(source.ontology_id)
    told = asdict(source)
    told["counts"]["seconds"] = told["counts"].pop("durations")["seconds"]
    measured = told.pop("measured")
    told["load"] = measured.pop("load")
    told["retries"] = {step: each["again"] for step, each in measured.items()}
    told["commit"] = source.commit or held.commit
    told["branch"] = source.branch or held.branch
    told["overlay"] = held.overlay
    told["holds"] = asdict(held.totals) if held.totals else None
    told["rollout_percent"] = held.rollout_percent
    told["held_by"] = held.lease.holder if held.lease else None
    told["held_since"] = held.lease.since if held.lease else None
    told["is_held_here"] = held.lease is not None and held.lease.is_ours
    told["daemons"] = held.daemons
    told["database_problem"] = held.problem
    told["breakers"] = [
        {"guards": each.guards, "state": each.state(now), "failures": each.failures, "retry_at": each.retry_at}
        for each in readers.breakers(source.ontology_id)
    ]
    return told
