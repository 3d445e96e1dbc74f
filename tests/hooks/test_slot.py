"""What waits, what is news, and what is told in place of several events: all without threads or clocks."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import jsonschema
import pytest

from tests.hooks.support import AT, SCHEMA, changed, document, state
from tests.support import PROJECT
from visionflow_daemon.errors import ExitCode
from visionflow_daemon.ops.hooks import note
from visionflow_daemon.ops.hooks.answer import LONGEST_WAIT, Answer, wait_after
from visionflow_daemon.ops.hooks.condition import Condition, after_failure
from visionflow_daemon.ops.hooks.event import Changes, Event, Kind
from visionflow_daemon.ops.hooks.slot import Slot

FAILED = Answer("no")
NOW = datetime(2026, 5, 4, 12, 0, 9, tzinfo=UTC)


def test_changes_become_one_from_the_first_commit_to_the_last() -> None:
    joined = changed(3).after(changed(2).after(changed(1)))
    assert joined.commit == f"{3:040x}"
    assert joined.changes == Changes(f"{0:040x}", 3, 6, 0, 3, 9, 3, 1.5)
    assert joined.id == "c3"


def test_of_states_the_last_wins() -> None:
    assert state(Kind.RECOVERED).after(state(Kind.FAILING)) == state(Kind.RECOVERED)


def test_what_comes_while_another_is_told_waits_for_its_end() -> None:
    slot = Slot()
    slot.put(changed(1), 0)
    assert slot.take() == changed(1)
    slot.put(changed(2), 1)
    assert slot.event == changed(2).after(changed(1)), "a restart would forget the first"
    slot.delivered(2)
    assert slot.take() == changed(2)


def test_changes_that_could_not_be_told_join_what_came_meanwhile() -> None:
    slot = Slot()
    slot.put(changed(1), 0)
    slot.take()
    slot.put(changed(2), 1)
    slot.failed(due=9)
    assert slot.waiting == changed(2).after(changed(1))
    assert (slot.due, slot.attempts, slot.since) == (9, 1, 0)


def test_a_state_that_came_meanwhile_replaces_what_could_not_be_told_and_inherits_its_wait() -> None:
    slot = Slot()
    slot.put(state(Kind.FAILING), 0)
    slot.take()
    slot.put(state(Kind.RECOVERED), 5)
    slot.failed(due=9)
    assert slot.waiting == state(Kind.RECOVERED)
    assert (slot.due, slot.since, slot.attempts) == (9, 5, 0)


def test_a_state_that_the_hook_is_not_told_drops_what_it_outdates() -> None:
    slot = Slot()
    slot.put(state(Kind.FAILING), 0)
    slot.put(None, 1)
    assert slot.event is None
    slot.put(state(Kind.FAILING), 2)
    slot.take()
    slot.put(None, 3)
    assert slot.event is None
    slot.failed(due=9)
    assert slot.waiting is None


def test_waits_double_up_to_five_minutes_with_a_share_of_chance() -> None:
    assert [wait_after(FAILED, attempts, 0) for attempts in (1, 2, 3, 4, 9, 10, 10_000)] == [
        *(1, 2, 4, 8, 256),
        LONGEST_WAIT,
        LONGEST_WAIT,
    ]
    assert wait_after(FAILED, 3, 1) == 2


@pytest.mark.parametrize(("asked", "wait"), [(0.0, 4), (20.0, 20), (86_400.0, LONGEST_WAIT)])
def test_a_server_may_ask_for_a_longer_wait_within_bounds(asked: float, wait: float) -> None:
    assert wait_after(Answer("no", wait=asked), 3, 0) == wait


def fails(
    before: Condition | None, reason: str, code: ExitCode = ExitCode.REMOTE, mark: str | None = None
) -> tuple[Condition, bool]:
    return after_failure(before, reason, code, mark, AT)


def test_the_first_failure_is_news_and_the_next_ones_are_counted() -> None:
    first, is_news = fails(None, "one")
    assert is_news
    second, is_news = after_failure(first, "two", ExitCode.DATABASE, None, "later")
    assert not is_news
    assert (second.kind, second.trouble.failures, second.trouble.since) == (Kind.FAILING, 2, AT)
    assert (second.trouble.reason, second.trouble.exit_code) == ("two", 6)


def test_held_is_news_once_for_each_mark() -> None:
    held, is_news = fails(None, "9 of 10 classes", ExitCode.HELD, "at 1")
    assert is_news
    assert held.kind is Kind.HELD
    still, is_news = fails(held, "held still", ExitCode.HELD, "at 1")
    assert (is_news, still.trouble.reason, still.trouble.failures) == (False, "9 of 10 classes", 2)
    other, is_news = fails(still, "8 of 10 classes", ExitCode.HELD, "at 2")
    assert (is_news, other.trouble.reason, other.trouble.since) == (True, "8 of 10 classes", AT)


def test_failing_and_held_are_news_to_each_other() -> None:
    failing, _ = fails(None, "no answer")
    held, is_news = fails(failing, "9 of 10 classes", ExitCode.HELD, "at 1")
    assert is_news
    failing, is_news = fails(held, "no answer")
    assert is_news
    assert failing.trouble.failures == 3


@pytest.mark.parametrize("kept", [changed(1), state(Kind.FAILING), state(Kind.RECOVERED), state(Kind.HELD)])
def test_a_note_gives_back_what_was_noted(tmp_path: Path, kept: Event) -> None:
    condition, _ = fails(None, "é\x1b", ExitCode.HELD, "mark")
    path = note.path_of(tmp_path / "state", tmp_path / "kg.db", "kg")
    for each in (note.Note(condition, {"k": [kept]}), note.Note(None, {"k": [kept, changed(2)]}), note.Note()):
        note.store(path, each)
        assert note.load(path) == each
    assert list(path.parent.iterdir()) == [], "there is nothing to remember"


NO_NOTES = ["", "{", "[]", "1", '{"condition": 3, "untold": {}}', '{"condition": null}', "\0" * 99]


@pytest.mark.parametrize("text", NO_NOTES)
def test_a_note_that_can_not_be_read_says_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "note.json").write_text(text)
    assert note.load(tmp_path / "note.json") == note.Note()


def test_the_document_says_when_it_is_sent_and_in_a_line_what_happened() -> None:
    sent = document(changed(7).document(NOW))
    assert (sent["at"], sent["sent_at"]) == (AT, "2026-05-04T12:00:09Z")
    assert sent["text"] == "kg is at 000000000000: 2 saved, 0 skipped, 1 failed, 3 deleted; 7 in the ledger"
    assert state(Kind.FAILING).text == "kg is failing: no answer"
    assert state(Kind.HELD).text == "kg is held: no answer"
    called = state(Kind.FAILING, reason="<!channel> @all <a|b>\x1b").text
    assert not set("<>@\x1b") & set(called)
    assert state(Kind.RECOVERED, 3).text == f"kg is in step again at cccccccccccc: 3 pass(es) failed since {AT}"


@pytest.mark.parametrize("event", [changed(1), *(state(kind) for kind in (Kind.FAILING, Kind.RECOVERED, Kind.HELD))])
def test_the_schema_knows_a_document_from_others(event: Event) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    sent = document(event.document(NOW))
    for key in sent:
        with pytest.raises(jsonschema.ValidationError):
            document(json.dumps({name: value for name, value in sent.items() if name != key}))
    for more in ({"extra": 1}, {"event": "other"}, {"commit": 3}, {"changes": None}, {"trouble": {}}):
        with pytest.raises(jsonschema.ValidationError):
            document(json.dumps(sent | more))


def test_the_page_tells_of_every_field() -> None:
    page = (PROJECT / "docs" / "notifications.md").read_text()
    parts = (SCHEMA, *SCHEMA["$defs"].values())
    for name in {name for part in parts for name in part.get("properties", {})}:
        assert f"`{name}`" in page, name
