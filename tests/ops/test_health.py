"""When the daemon counts as alive, and when as ready."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.ops.support import Clock, Told, Web, summary
from visionflow_daemon.errors import ExitCode
from visionflow_daemon.model import timestamp
from visionflow_daemon.ops.board import Board
from visionflow_daemon.sync.breaker import Breaker, Guarded


def test_a_source_is_ready_for_three_intervals_after_a_success(web: Web, board: Board, clock: Clock) -> None:
    assert web.get("/readyz").status == 503
    assert web.get("/readyz").body == "kg: not ready: no pass has come through yet\n"
    board.pass_done("kg", summary())
    assert web.get("/readyz").body == "kg: ready: in step\n"
    clock.pass_by(180)
    assert web.get("/readyz").status == 200
    clock.pass_by(1)
    got = web.get("/readyz")
    assert (got.status, got.body) == (503, "kg: not ready: last in step 181 s ago, and 180 s are allowed\n")
    board.pass_done("kg", summary())
    assert web.get("/readyz").status == 200


def test_after_a_restart_what_the_last_process_found_counts(web: Web, told: Told, clock: Clock) -> None:
    told.checked = timestamp(clock.now() - timedelta(seconds=100))
    assert web.get("/readyz").status == 200
    told.checked = timestamp(clock.now() - timedelta(seconds=200))
    assert web.get("/readyz").status == 503


@pytest.mark.parametrize("note", ["", "yesterday", "2026-05-04T12:00:00", "<script>"])
def test_a_note_that_cannot_be_read_is_none(web: Web, told: Told, note: str) -> None:
    told.checked = note
    assert web.get("/readyz").body == "kg: not ready: no pass has come through yet\n"


def test_an_open_breaker_is_not_ready_until_it_closes(web: Web, board: Board, told: Told, clock: Clock) -> None:
    board.pass_done("kg", summary())
    due = timestamp(clock.now() + timedelta(seconds=30))
    told.breakers = [Breaker(Guarded.REMOTE, 5, timestamp(clock.now()), "no answer", due)]
    got = web.get("/readyz")
    assert (got.status, got.body) == (
        503,
        f"kg: not ready: the circuit breaker of the remote is open, next try {due}\n",
    )
    told.breakers = [Breaker(Guarded.REMOTE)]
    assert web.get("/readyz").status == 200


def test_one_stale_source_among_several_is_enough_and_named(web: Web, board: Board) -> None:
    board.pass_done("kg", summary())
    board.source_known("other", "/srv/pages", None, 60)
    got = web.get("/readyz")
    assert got.status == 503
    assert got.body.splitlines() == ["kg: ready: in step", "other: not ready: no pass has come through yet"]
    board.source_gone("other")
    assert web.get("/readyz").status == 200


def test_with_no_source_known_nothing_is_ready(web: Web, board: Board) -> None:
    board.source_gone("kg")
    assert web.get("/readyz").status == 503
    assert web.get("/livez").status == 200


def test_failures_alone_do_not_end_readiness_before_its_time(web: Web, board: Board) -> None:
    board.pass_done("kg", summary())
    board.pass_failed("kg", "no answer", ExitCode.REMOTE)
    assert web.get("/readyz").status == 200


def test_a_loop_that_says_nothing_for_long_is_dead(web: Web, board: Board, clock: Clock) -> None:
    clock.pass_by(601)
    got = web.get("/livez")
    assert (got.status, got.body) == (503, "the loop has been silent for 601 seconds\n")
    board.tick()
    assert web.get("/livez").status == 200


def test_one_pass_that_is_stuck_is_enough_however_well_others_do(web: Web, board: Board, clock: Clock) -> None:
    board.source_known("other", "/srv/pages", None, 60)
    board.next_due("other", clock.now() + timedelta(hours=6))
    board.pass_begun("kg", "interval")
    for _ in range(10):
        clock.pass_by(100)
        board.lives("kg")
        board.pass_begun("other", "interval")
        board.pass_done("other", summary())
        assert web.get("/livez").status == 200
    clock.pass_by(601)
    board.pass_begun("other", "interval")
    assert web.get("/livez").status == 503, "the others covered for it"
    board.pass_done("other", summary())
    assert web.get("/livez").status == 503
    board.lives("kg")
    assert web.get("/livez").status == 200
    board.lives("unknown")
    board.pass_done("kg", summary())
    board.lives("kg")
    assert web.get("/livez").status == 200


def test_a_loop_that_sleeps_until_its_next_pass_lives(web: Web, board: Board, clock: Clock) -> None:
    board.next_due("kg", clock.now() + timedelta(hours=6))
    clock.pass_by(5 * 3_600)
    assert web.get("/livez").status == 200
    clock.pass_by(3_600 + 601)
    assert web.get("/livez").status == 503
