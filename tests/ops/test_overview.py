"""The overview: the gravest state of all sources in a few words, and a tile for each of several."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta

import pytest

from tests.ops.support import TOTALS, Clock, Told, Web, summary
from visionflow_daemon.errors import ExitCode
from visionflow_daemon.ops.board import Board
from visionflow_daemon.ops.readers import Held
from visionflow_daemon.ops.standing import BackupStanding
from visionflow_daemon.storage.files import Totals

CLEAN = Totals(10, 0, 0, 0, 40, 0, 0, 0, 80, 0)


def title(web: Web) -> str:
    """Give what the tab is called."""
    found = re.search(r"<title>(.*?) · visionflow-daemon</title>", web.get("/").body)
    assert found
    return found[1]


def dot(web: Web) -> str:
    """Give the colour of the tab's icon."""
    (found,) = re.findall(r"fill='%23(\w+)'", web.get("/").body)
    return str(found)


def test_the_gravest_state_is_told_first(web: Web, board: Board, told: Told, clock: Clock) -> None:
    seen = [(title(web), dot(web))]
    for name in ("kg", "b", "c"):
        board.source_known(name, "/srv/kg", "main", 60)
        board.pass_done(name, summary(ontology_id=name))
    told.held = Held(CLEAN)
    seen.append((title(web), dot(web)))
    board.pass_begun("b", "interval")
    seen.append((title(web), dot(web)))
    board.pass_failed("b", "deletions", ExitCode.HELD)
    seen.append((title(web), dot(web)))
    board.pass_failed("c", "no answer", ExitCode.REMOTE)
    seen.append((title(web), dot(web)))
    board.source_known("d", "/srv/kg", "main", 60)
    seen.append((title(web), dot(web)))
    clock.pass_by(1_000)
    seen.append((title(web), dot(web)))
    assert [word for word, _ in seen] == [
        "not ready",
        "all in step",
        "1 of 3 syncing",
        "1 of 3 held",
        "1 of 3 failing",
        "2 of 4 in trouble",
        "4 of 4 not ready",
    ]
    assert len({colour for _, colour in seen}) == 4


def test_failed_files_are_no_trouble_of_the_source(web: Web, board: Board, told: Told) -> None:
    board.pass_done("kg", summary())
    told.held = Held(TOTALS)
    assert title(web) == "in step, with failed files"
    board.source_known("b", "/srv/b", "main", 60)
    board.pass_done("b", summary(ontology_id="b"))
    assert title(web) == "all in step, with failed files"
    told.held = Held(problem="no database")
    assert title(web) == "2 of 2 in step, database unreadable"


def test_a_first_pass_under_way_is_no_trouble(web: Web, board: Board) -> None:
    board.pass_begun("kg", "start")
    board.planned("kg", 10)
    assert title(web) == "syncing"
    assert "Not ready" not in web.get("/").body
    board.pass_failed("kg", "no answer", ExitCode.REMOTE)
    board.pass_begun("kg", "interval")
    assert title(web) == "not ready"


@pytest.mark.parametrize("count", [1, 2, 12])
def test_each_of_several_sources_has_a_tile_that_leads_to_it(web: Web, board: Board, count: int) -> None:
    for number in range(1, count):
        board.source_known(f"s{number}", "/srv/x", "main", 60)
    body = web.get("/").body
    leads = re.findall(r'<a href="#([^"]+)" class="tile">', body)
    assert leads == ([f"source-{number}" for number in range(count)] if count > 1 else [])
    assert re.findall(r'<section id="([^"]+)"', body) == [f"source-{number}" for number in range(count)]
    assert body.count("<details open>") == 0


def test_what_happens_again_and_again_is_told_once(web: Web, board: Board) -> None:
    board.pass_done("kg", summary())
    for _ in range(3):
        board.pass_failed("kg", "412 of 974 classes would go", ExitCode.HELD)
    body = web.get("/").body
    assert "Held 3 times in a row, last 0 s ago." in body
    assert body.count("412 of 974 classes would go") == 1


def test_what_else_the_database_holds_is_named_and_of_many_some(web: Web, told: Told) -> None:
    assert "not followed" not in web.get("/").body
    told.ontologies = ["kg", "<old>"]
    assert "Held and not followed here: <b>&lt;old&gt;</b>" in web.get("/").body
    assert json.loads(web.get("/status").body)["not_followed"] == ["<old>"]
    told.ontologies = [f"o{number:03}" for number in range(200)]
    page = web.get("/").body
    assert "<b>o009</b> and 190 more" in page
    assert "o010" not in page


def test_backups_are_told_where_the_daemon_takes_them(web: Web, told: Told, clock: Clock) -> None:
    assert "Newest backup" not in web.get("/").body
    assert json.loads(web.get("/status").body)["backup"] is None
    told.backups = BackupStanding(3600.0, None, 0, is_failing=False)
    assert "Newest backup: none is there yet</p>" in web.get("/").body
    told.backups = BackupStanding(3600.0, clock.now() - timedelta(hours=2), 1_234, is_failing=True)
    page = web.get("/").body
    assert "Newest backup: taken 2 h ago, 1,234 bytes" in page
    assert '<span class="dot bad">the last one failed</span>' in page
    assert json.loads(web.get("/status").body)["backup"]["bytes"] == 1_234


def test_files_on_disk_that_are_not_committed_are_told(web: Web, told: Told) -> None:
    assert "not committed" not in web.get("/").body
    told.held = replace(told.held, overlay="c" * 40)
    assert "with files on disk that are not committed" in web.get("/").body
    assert json.loads(web.get("/status").body)["sources"][0]["overlay"] == "c" * 40
