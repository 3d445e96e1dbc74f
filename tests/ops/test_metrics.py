"""The metrics, read back by Prometheus' own parser and held against their documentation."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.ops.support import START, Clock, Told, Web, summary
from tests.support import PROJECT
from visionflow_daemon.errors import ExitCode
from visionflow_daemon.model import timestamp
from visionflow_daemon.ops.board import Board
from visionflow_daemon.ops.readers import Held
from visionflow_daemon.ops.standing import Outcome
from visionflow_daemon.storage.checkpoint import Tally
from visionflow_daemon.sync.breaker import Breaker, Guarded
from visionflow_daemon.sync.meter import Load

DOC = (PROJECT / "docs" / "metrics.md").read_text()
ROW = re.compile(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", re.MULTILINE)
WEBHOOKS = {"asked", "ignored", "pinged", "malformed", "refused", "limited"}
NOTIFICATIONS = {"sent", "failed", "given_up"}
FILES = {"saved", "skipped", "failed", "deleted"}
OUTCOMES = {outcome.value for outcome in Outcome} | FILES | WEBHOOKS | NOTIFICATIONS | {"taken"}
STEPS = {"fetch", "parse", "save", "record"}


def samples(web: Web) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Give all samples by name and labels."""
    got = web.get("/metrics")
    assert got.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(got.body)
        for sample in family.samples
    }


def value(web: Web, name: str, **labels: str) -> float:
    """Give one sample of the source `kg`."""
    return samples(web)["visionflow_" + name, tuple(sorted({"ontology_id": "kg", **labels}.items()))]


def a_full_board(board: Board, clock: Clock) -> None:
    board.head_found("kg", "c" * 40, is_there=False)
    board.pass_done("kg", summary(tally=Tally(saved=3, failed=1)))
    board.next_due("kg", clock.now() + timedelta(seconds=60))


def test_the_documentation_names_exactly_what_is_exposed(web: Web, board: Board, clock: Clock) -> None:
    a_full_board(board, clock)
    exposed = {
        (f"{family.name}_total" if family.type == "counter" else family.name, family.type)
        for family in text_string_to_metric_families(web.get("/metrics").body)
    }
    assert {(name, kind) for name, kind, _ in ROW.findall(DOC)} == exposed


def test_every_label_takes_values_from_a_short_list_that_is_documented(web: Web, board: Board, clock: Clock) -> None:
    a_full_board(board, clock)
    board.pass_failed("kg", "can't fetch https://example.org/<script>", ExitCode.REMOTE)
    documented = {name: set(re.findall(r"`(\w+)`", labels)) for name, _, labels in ROW.findall(DOC)}
    for name, labels in samples(web):
        base = re.sub(r"_(bucket|sum|count)$", "", name)
        if base.startswith("visionflow_"):
            assert {label for label, _ in labels} - {"ontology_id", "le"} == documented[base]
        for label, text in labels:
            match label:
                case "ontology_id":
                    assert text == "kg"
                case "outcome":
                    assert text in OUTCOMES
                case "step":
                    assert text in STEPS
                case "place":
                    assert text in {"database", "state"}
                case "breaker":
                    assert text in set(Guarded)
                case "le":
                    assert text == "+Inf" or float(text) > 0
                case _:
                    assert (base, label) in {("visionflow_build_info", "version"), ("visionflow_build_info", "python")}


def test_figures_of_a_source(web: Web, board: Board, clock: Clock) -> None:
    a_full_board(board, clock)
    board.pass_failed("kg", "no answer", ExitCode.REMOTE)
    assert value(web, "last_success_timestamp_seconds") == clock.now().timestamp()
    assert value(web, "next_pass_timestamp_seconds") == clock.now().timestamp() + 60
    assert value(web, "passes_total", outcome="changed") == 1
    assert value(web, "passes_total", outcome="remote") == 1
    assert value(web, "passes_total", outcome="held") == 0
    assert value(web, "files_total", outcome="saved") == 3
    assert value(web, "consecutive_failures") == 1
    assert (value(web, "ledger_files"), value(web, "classes"), value(web, "axioms")) == (2, 40, 80)
    assert value(web, "pass_duration_seconds_count") == 1
    assert value(web, "pass_duration_seconds_bucket", le="0.1") == 0
    assert value(web, "pass_duration_seconds_bucket", le="0.25") == 1
    assert value(web, "pass_duration_seconds_sum") == pytest.approx(0.2)


def test_the_lag_and_when_the_head_was_seen(web: Web, board: Board, clock: Clock) -> None:
    assert not any(name == "visionflow_lag_seconds" for name, _ in samples(web)), "it is not known before a head is"
    board.head_found("kg", "a" * 40, is_there=False)
    clock.pass_by(30)
    assert (value(web, "lag_seconds"), value(web, "head_seen_timestamp_seconds")) == (30, START.timestamp())
    board.pass_done("kg", summary())
    assert value(web, "lag_seconds") == 0


def test_only_a_pass_that_was_held_is_held_and_the_next_that_comes_through_ends_it(web: Web, board: Board) -> None:
    assert value(web, "held") == 0
    board.pass_failed("kg", "deletions", ExitCode.HELD)
    assert value(web, "held") == 1
    board.pass_failed("kg", "no answer", ExitCode.REMOTE)
    assert value(web, "held") == 0
    board.pass_failed("kg", "deletions", ExitCode.HELD)
    board.pass_done("kg", summary())
    assert value(web, "held") == 0


def test_steps_retries_and_the_load_are_measured(web: Web, board: Board) -> None:
    meter = board.meter("kg")
    for seconds in (0.0002, 0.0002, 0.7, 500.0):
        meter.parse.took(seconds)
    meter.fetch.took(3.0)
    meter.save.again()
    assert value(web, "parse_duration_seconds_bucket", le="0.00025") == 2
    assert value(web, "parse_duration_seconds_bucket", le="1.0") == 3
    assert value(web, "parse_duration_seconds_bucket", le="120.0") == 3
    assert value(web, "parse_duration_seconds_bucket", le="+Inf") == 4
    assert value(web, "parse_duration_seconds_count") == 4
    assert value(web, "parse_duration_seconds_sum") == pytest.approx(500.7004)
    assert value(web, "fetch_duration_seconds_bucket", le="2.5") == 0
    assert value(web, "fetch_duration_seconds_bucket", le="5.0") == 1
    assert {step: value(web, "retries_total", step=step) for step in STEPS} == dict.fromkeys(STEPS, 0) | {"save": 1}
    with meter.watching(lambda: Load(31, 2)):
        assert (value(web, "queue_depth"), value(web, "active_workers")) == (31, 2)
    assert (value(web, "queue_depth"), value(web, "active_workers")) == (0, 0)


def test_a_loop_that_is_silent_is_not_alive(web: Web, clock: Clock) -> None:
    assert samples(web)["visionflow_alive", ()] == 1
    clock.pass_by(601)
    assert samples(web)["visionflow_alive", ()] == 0


def test_a_breaker_is_closed_open_and_half_open(web: Web, told: Told, clock: Clock) -> None:
    assert value(web, "breaker_state", breaker="remote") == 0
    due = timestamp(clock.now() + timedelta(seconds=30))
    told.breakers = [Breaker(Guarded.REMOTE, 5, timestamp(clock.now()), "no answer", due)]
    assert value(web, "breaker_state", breaker="remote") == 2
    clock.pass_by(30)
    assert value(web, "breaker_state", breaker="remote") == 1


def test_a_database_that_cannot_be_read_takes_no_other_figure_along(web: Web, board: Board, told: Told) -> None:
    told.held = Held(problem="locked")
    board.pass_done("kg", summary())
    found = samples(web)
    assert value(web, "database_readable") == 0
    assert not any(name == "visionflow_classes" for name, _ in found)
    assert value(web, "passes_total", outcome="unchanged") == 1


def test_a_source_that_is_gone_leaves_no_series(web: Web, board: Board, clock: Clock) -> None:
    a_full_board(board, clock)
    board.source_gone("kg")
    assert not [labels for _, labels in samples(web) if ("ontology_id", "kg") in labels]


def test_an_id_with_quotes_and_lines_stays_one_label(web: Web, board: Board) -> None:
    board.source_known('a"b\nc\\', "/srv/pages", None, 60)
    assert ("visionflow_interval_seconds", (("ontology_id", 'a"b\nc\\'),)) in samples(web)
