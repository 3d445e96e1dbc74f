"""What the board tells of a source, with a clock of the test's own."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.ops.support import Clock, summary
from visionflow_daemon.errors import ExitCode
from visionflow_daemon.ops.board import Board
from visionflow_daemon.ops.standing import Activity, Head, Outcome, SourceStanding
from visionflow_daemon.storage.checkpoint import Tally


def only(board: Board) -> SourceStanding:
    (source,) = board.snapshot().sources
    return source


def test_a_source_is_idle_until_its_pass_begins(board: Board) -> None:
    assert only(board).activity is Activity.IDLE
    board.pass_begun("kg", "a commit came")
    source = only(board)
    assert source.activity is Activity.RUNNING
    assert source.progress is not None
    assert (source.progress.why, source.progress.planned, source.progress.done) == ("a commit came", None, 0)


def test_rate_and_time_left_follow_the_last_half_minute(board: Board, clock: Clock) -> None:
    board.pass_begun("kg", "first")
    board.planned("kg", 1_000)
    progress = only(board).progress
    assert progress is not None
    assert (progress.rate, progress.seconds_left) == (None, None)
    clock.pass_by(2)
    board.moved("kg", Tally(saved=90, failed=10))
    progress = only(board).progress
    assert progress is not None
    assert (progress.done, progress.failed, progress.rate, progress.seconds_left) == (100, 10, 50.0, 18.0)
    for done in range(101, 161):  # sixty seconds, one file in each: the fast start is forgotten
        clock.pass_by(1)
        board.moved("kg", Tally(saved=done))
    progress = only(board).progress
    assert progress is not None
    assert progress.rate == pytest.approx(1.0)
    assert progress.seconds_left == pytest.approx(840)


def test_a_pass_that_stands_still_slows_down(board: Board, clock: Clock) -> None:
    board.pass_begun("kg", "first")
    board.planned("kg", 100)
    clock.pass_by(1)
    board.moved("kg", Tally(saved=10))
    clock.pass_by(9)
    progress = only(board).progress
    assert progress is not None
    assert (progress.rate, progress.seconds_left) == (1.0, 90.0)


def test_success_forgets_failures_in_a_row_but_not_the_last_one(board: Board, clock: Clock) -> None:
    board.pass_failed("kg", "no answer", ExitCode.REMOTE)
    clock.pass_by(5)
    board.pass_failed("kg", "no answer again", ExitCode.REMOTE)
    source = only(board)
    assert source.last_failure is not None
    assert (source.consecutive_failures, source.last_failure.reason) == (2, "no answer again")
    assert source.last_failure.code is ExitCode.REMOTE
    assert source.last_success is None
    board.pass_begun("kg", "poll")
    board.pass_done("kg", summary())
    source = only(board)
    assert (source.consecutive_failures, source.last_success, source.commit) == (0, clock.now(), "c" * 40)
    assert source.last_failure is not None


def test_a_stopped_pass_is_no_success(board: Board) -> None:
    board.pass_begun("kg", "poll")
    board.pass_done("kg", summary(is_whole=False))
    source = only(board)
    assert (source.activity, source.last_success, source.commit) == (Activity.IDLE, None, None)
    assert source.counts.passes == {Outcome.STOPPED: 1}


def test_files_are_counted_while_a_pass_runs_and_once(board: Board) -> None:
    board.pass_begun("kg", "one")
    board.moved("kg", Tally(saved=3))
    assert only(board).counts.files == Tally(saved=3)
    board.pass_done("kg", summary(tally=Tally(saved=4, deleted=1)))
    assert only(board).counts.files == Tally(saved=4, deleted=1)
    board.pass_begun("kg", "two")
    board.moved("kg", Tally(saved=2))
    board.pass_failed("kg", "disk full", ExitCode.DATABASE)
    assert only(board).counts.files == Tally(saved=6, deleted=1)
    assert sum(only(board).counts.durations.counts) == 2


def test_what_is_said_of_a_source_that_is_gone_is_dropped(board: Board) -> None:
    board.pass_begun("kg", "poll")
    board.source_gone("kg")
    board.moved("kg", Tally(saved=1))
    board.pass_done("kg", summary())
    board.pass_failed("kg", "late", ExitCode.REMOTE)
    board.next_due("kg", None)
    board.head_found("kg", "a" * 40, is_there=False)
    board.planned("kg", 4)
    assert board.snapshot().sources == ()


def test_a_source_told_again_keeps_what_is_known_of_it(board: Board) -> None:
    board.pass_done("kg", summary(ledger=2))
    board.source_known("kg", "https://example.org/other.git", None, 10)
    source = only(board)
    assert (source.location, source.interval, source.branch) == ("https://example.org/other.git", 10, "main")
    assert (source.ledger, source.commit) == (2, "c" * 40)


def test_secrets_and_controls_are_taken_out_whoever_sends_them(board: Board) -> None:
    board.source_known("kg", "https://user:geheim@example.org/r.git?token=geheim", "ma\u202ein", 60)
    board.pass_begun("kg", "asked \x1b[31m")
    board.pass_failed(
        "kg", "can't fetch https://x:geheim@example.org/r.git?key=geheim \x07" + "a" * 5_000, ExitCode.REMOTE
    )
    told = repr(board.snapshot())
    assert "geheim" not in told
    source = only(board)
    assert source.location == "https://example.org/r.git"
    assert source.branch == r"ma\xe2\x80\xaein"
    assert source.last_failure is not None
    assert "\x07" not in source.last_failure.reason
    assert len(source.last_failure.reason) < 2_100


def test_a_location_is_redacted_again(board: Board) -> None:
    board.source_known("kg", "https://example.org/r.git#geheim", None, 60)
    assert only(board).location == "https://example.org/r.git"


def test_the_next_due_time_and_the_quiet_are_told(board: Board, clock: Clock) -> None:
    when = clock.now() + timedelta(minutes=1)
    board.next_due("kg", when)
    clock.pass_by(7)
    assert only(board).next_due == when
    assert board.snapshot().quiet_seconds == 7
    board.tick()
    assert board.snapshot().quiet_seconds == 0


def test_the_lag_counts_from_the_first_commit_that_the_database_lacks(board: Board, clock: Clock) -> None:
    assert only(board).head is None
    board.pass_begun("kg", "interval")
    board.head_found("kg", "a" * 40, is_there=False)
    clock.pass_by(5)
    board.pass_failed("kg", "disk full", ExitCode.DATABASE)
    seen = clock.now()
    board.head_found("kg", "b" * 40, is_there=False)
    clock.pass_by(7)
    board.pass_done("kg", summary(is_whole=False))
    assert only(board).head == Head("b" * 40, seen, 12)
    board.pass_done("kg", summary(commit="b" * 40))
    clock.pass_by(3)
    assert only(board).head == Head("b" * 40, seen, 0)


def test_a_head_that_the_database_has_ends_the_lag(board: Board, clock: Clock) -> None:
    board.head_found("kg", "a" * 40, is_there=False)
    clock.pass_by(5)
    board.head_found("kg", "9" * 40, is_there=True)  # the branch was set back to what is synced
    assert only(board).head == Head("9" * 40, clock.now(), 0)
    board.head_found("kg", "b" * 40, is_there=False)
    clock.pass_by(2)
    assert only(board).head == Head("b" * 40, clock.now() - timedelta(seconds=2), 2)


def test_a_remote_that_gives_no_answer_leaves_the_head_as_it_was_seen(board: Board, clock: Clock) -> None:
    board.head_found("kg", "a" * 40, is_there=True)
    seen = clock.now()
    clock.pass_by(600)
    board.pass_begun("kg", "interval")
    board.pass_failed("kg", "no answer", ExitCode.REMOTE)
    assert only(board).head == Head("a" * 40, seen, 0)


def test_what_is_measured_belongs_to_the_source(board: Board) -> None:
    board.source_known("other", "/srv/pages", None, 60)
    board.meter("kg").fetch.took(0.2)
    board.meter("gone").fetch.took(0.2)
    kg, other = board.snapshot().sources
    assert (sum(kg.measured.fetch.counts), sum(other.measured.fetch.counts)) == (1, 0)
    board.source_gone("kg")
    board.source_known("kg", "/srv/pages", None, 60)
    assert sum(board.snapshot().sources[1].measured.fetch.counts) == 0
