"""The page: hostile text stays text, and everything an operator asks for stands there."""

from __future__ import annotations

import re
from base64 import b64encode
from datetime import timedelta
from hashlib import sha256
from html.parser import HTMLParser

import pytest

from tests.ops.support import TOTALS, Clock, Told, Web, failure, run, summary
from visionflow_daemon.errors import ExitCode
from visionflow_daemon.model import timestamp
from visionflow_daemon.ops.board import Board
from visionflow_daemon.ops.readers import Held
from visionflow_daemon.ops.words import ahead, span
from visionflow_daemon.storage.checkpoint import Tally
from visionflow_daemon.sync.breaker import Breaker, Guarded

HOSTILE = "</code></td><script>alert(1)</script><img src=x onerror='a' title=\"b\">\u202e\x1b[31m\x00\u2028&amp;\udcff"


class Reader(HTMLParser):
    """Collects a page's tags and text, as a browser would see them."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect a tag."""
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        """Collect text."""
        self.text += data


def read(web: Web) -> Reader:
    """Ask for the page, and read it."""
    got = web.get("/")
    assert got.status == 200
    reader = Reader()
    reader.feed(got.body)
    return reader


def test_text_from_anywhere_stays_text(web: Web, board: Board, told: Told, clock: Clock) -> None:
    plain = read(web)
    board.source_known("x" + HOSTILE, "https://u:p@example.org/" + HOSTILE, HOSTILE, 60)
    board.pass_begun("x" + HOSTILE, HOSTILE)
    board.head_found("x" + HOSTILE, HOSTILE, is_there=False)
    board.head_found("kg", HOSTILE, is_there=False)
    board.planned("x" + HOSTILE, 5)
    clock.pass_by(1)
    board.pass_failed("kg", HOSTILE, ExitCode.REMOTE)
    board.pass_done("kg", summary(commit=HOSTILE))
    board.pass_failed("kg", HOSTILE, ExitCode.REMOTE)
    told.breakers = [Breaker(Guarded.REMOTE, 5, HOSTILE, HOSTILE, timestamp(clock.now() + timedelta(1)))]
    told.held = Held(
        TOTALS,
        HOSTILE,
        HOSTILE,
        (run(status=HOSTILE, plan_reason=HOSTILE), run(error=HOSTILE, started_at=HOSTILE)),
        (failure(HOSTILE, HOSTILE),),
        HOSTILE,
    )
    page = read(web)
    assert page.tags.count("script") == plain.tags.count("script") == 1
    assert "img" not in page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert page.text.count("<script>alert(1)</script>") > 8
    assert not set("\u202e\x1b\x00\u2028") & set(page.text)


def test_the_policy_allows_the_page_s_own_style_and_script_alone(web: Web) -> None:
    got = web.get("/")
    policy = got.headers["Content-Security-Policy"]
    for tag in ("style", "script"):
        (inline,) = re.findall(rf"<{tag}>(.*?)</{tag}>", got.body, re.DOTALL)
        digest = b64encode(sha256(inline.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert " style=" not in got.body
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", got.body)


def test_the_tab_s_icon_tells_the_state(web: Web, board: Board) -> None:
    def dot() -> str:
        (found,) = re.findall(r"fill='%23(\w+)'", web.get("/").body)
        return str(found)

    stale = dot()
    board.pass_done("kg", summary())
    in_step = dot()
    board.pass_begun("kg", "poll")
    assert len({stale, in_step, dot()}) == 3


def test_live_progress_is_shown(web: Web, board: Board, clock: Clock) -> None:
    board.pass_begun("kg", "a commit came")
    assert "Looking for changes: a commit came" in read(web).text
    board.planned("kg", 4_000)
    clock.pass_by(10)
    board.moved("kg", Tally(saved=990, failed=10))
    page = read(web)
    assert "1,000 of 4,000 files, 10 failed" in page.text
    assert "100 files/s · 30 s left" in page.text
    assert {("max", "4000"), ("value", "1000")} <= set(page.attributes)


def test_passes_failures_breakers_and_what_is_due_are_shown(web: Web, board: Board, told: Told, clock: Clock) -> None:
    board.pass_done("kg", summary())
    board.pass_failed("kg", "no answer", ExitCode.REMOTE)
    board.next_due("kg", clock.now() + timedelta(seconds=90))
    due = timestamp(clock.now() + timedelta(seconds=30))
    told.breakers = [Breaker(Guarded.REMOTE, 5, "2026-05-04T11:00:00Z", "name not known", due)]
    failures = tuple(failure(f"pages/{n}.md", "bad JSON", n) for n in range(1, 51))
    told.held = Held(TOTALS.__class__(900, 1, 120, 3, 40, 5, 6, 7, 80, 0), None, None, (run(),) * 40, failures)
    text = read(web).text
    for part in (
        "failing",
        "no answer (exit code 4, remote)",
        "Breaker of the remote open, next try in 30 s.",
        "5 failed in a row since 05-04 11:00: name not known",
        "in 1 min 30 s",
        "Failed files: 120, the first 50 of them",
        "pages/50.md",
        "line 50",
        "bad JSON",
        "finished",
        "keeps its last good facts",
    ):
        assert part in text


def test_the_lag_is_told_in_words(web: Web, board: Board, clock: Clock) -> None:
    def figures() -> dict[str, str]:
        return dict(re.findall(r"<dt>(.*?)</dt><dd class=\"\w*\">(.*?)</dd>", web.get("/").body))

    assert figures()["behind the head"] == "unknown"
    board.head_found("kg", "a" * 40, is_there=False)
    clock.pass_by(90)
    assert figures()["behind the head"] == "for 1 min 30 s"
    assert "head aaaaaaaaaaaa" in read(web).text
    board.pass_done("kg", summary())
    assert figures()["behind the head"] == "no"
    assert "head aaaaaaaaaaaa" not in read(web).text


def test_a_page_without_sources_and_one_without_a_database_are_pages(web: Web, board: Board, told: Told) -> None:
    told.held = Held(problem="there is no database at /var/lib/kg.db")
    assert "The database can't be read. there is no database at /var/lib/kg.db" in read(web).text
    board.source_gone("kg")
    assert "No source is known yet." in read(web).text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.4, "59 s"), (60, "1 min"), (90, "1 min 30 s"), (3_600, "1 h"), (90_061, "1 d 1 h"), (-5, "0 s")],
)
def test_spans_are_told_in_two_units(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_what_is_overdue_is_due_now(clock: Clock) -> None:
    assert ahead(clock.now() - timedelta(seconds=5), clock.now()) == "now"
    assert ahead(None, clock.now()) == "not planned"
