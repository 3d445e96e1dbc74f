"""The notifier in one process, with real programs and servers: what is told, what is kept, and what it costs."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from tests.hooks.support import answers, changed, hangs, program, recorder, state, webhook
from tests.ops.support import summary
from tests.support import eventually
from visionflow_daemon import logs
from visionflow_daemon.config.values import Config, NotificationConfig
from visionflow_daemon.errors import ExitCode
from visionflow_daemon.ops.hooks import note
from visionflow_daemon.ops.hooks.answer import DELIVERED, Answer
from visionflow_daemon.ops.hooks.event import Kind
from visionflow_daemon.ops.hooks.notifier import Notifier
from visionflow_daemon.ops.hooks.outbox import Fate, Outbox
from visionflow_daemon.ops.hooks.patience import GRACE, Closing
from visionflow_daemon.ops.observer import Each, Unobserved
from visionflow_daemon.storage.checkpoint import Tally
from visionflow_daemon.sync.run import Summary

ALL = ("changed", "failing", "recovered", "held")
NO = Answer("no")


@pytest.fixture(autouse=True)
def logged() -> Iterator[None]:
    """Log to standard error, so that what is logged can be looked at."""
    logs.configure("json", "debug", to_stderr=True)
    yield
    structlog.reset_defaults()


def config(tmp_path: Path, *hooks: NotificationConfig) -> Config:
    return Config(database=str(tmp_path / "kg.db"), notifications=hooks, base=tmp_path)


def listening(tmp_path: Path, *hooks: NotificationConfig) -> Notifier:
    """Make a notifier that knows one source, `kg`."""
    made = Notifier(tmp_path / "state")
    made.configured(config(tmp_path, *hooks))
    made.source_known("kg", "https://me:opensesame@example.org/kg.git", None, 60)
    return made


def saving(number: int = 1, before: str | None = "b" * 40) -> Summary:
    return replace(summary(tally=Tally(saved=number), commit=f"{number:040x}"), from_commit=before)


def notes(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "state" / note.FOLDER
    return sorted(folder.iterdir()) if folder.exists() else []


# What is news


def test_each_turn_is_told_once_and_a_change_beside_it(tmp_path: Path) -> None:
    command, told = recorder(tmp_path)
    with closing(listening(tmp_path, NotificationConfig(ALL, (command,)))) as notifier:
        notifier.pass_done("kg", summary())
        notifier.pass_done("kg", saving(4))
        eventually(lambda: len(told()) == 1)
        for _ in range(3):
            notifier.pass_failed("kg", "no answer from https://me:opensesame@example.org/x", ExitCode.REMOTE)
        eventually(lambda: len(told()) == 2)
        for _ in range(3):
            notifier.pass_failed("kg", "9 of 10 classes", ExitCode.HELD, "mark")
        eventually(lambda: len(told()) == 3)
        notifier.pass_done("kg", saving(5))
        eventually(lambda: len(told()) == 5)
        notifier.pass_done("kg", summary())
    first, failing, held, recovered, last = told()
    assert (first["event"], failing["event"], held["event"]) == ("changed", "failing", "held")
    assert (first["commit"], first["changes"]["from_commit"], first["changes"]["saved"]) == (f"{4:040x}", "b" * 40, 4)
    assert failing["trouble"]["reason"] == "no answer from https://example.org/x"
    assert (failing["trouble"]["exit_code"], failing["trouble"]["failures"]) == (4, 1)
    assert (held["trouble"]["exit_code"], held["trouble"]["failures"]) == (5, 4)
    assert (recovered["event"], recovered["commit"], recovered["trouble"]["failures"]) == ("recovered", f"{5:040x}", 6)
    assert last["event"] == "changed"
    assert {each["source"] for each in told()} == {"https://example.org/kg.git"}
    assert len({each["id"] for each in told()}) == 5
    assert notes(tmp_path) == []


@pytest.mark.parametrize(
    ("tally", "before", "is_told"),
    [
        (Tally(), "a" * 40, False),
        (Tally(saved=1), "c" * 40, True),
        (Tally(skipped=1), "a" * 40, True),
        (Tally(deleted=1), "a" * 40, True),
        (Tally(failed=1), "a" * 40, True),
        (Tally(failed=1), "c" * 40, False),
    ],
    ids=["nothing", "an earlier failure saved", "skipped", "deleted", "a new page fails", "an old page fails again"],
)
def test_what_counts_as_a_change(tmp_path: Path, tally: Tally, before: str, *, is_told: bool) -> None:
    command, told = recorder(tmp_path)
    notifier = listening(tmp_path, NotificationConfig(ALL, (command,)))
    notifier.pass_done("kg", summary())
    notifier.pass_done("kg", replace(summary(tally=tally), run_id="r", from_commit=before))
    notifier.pass_done("kg", replace(summary(tally=Tally(saved=9), is_whole=False), from_commit=before))
    notifier.close()
    assert len(told()) == is_told


@pytest.mark.parametrize("end", ["start", "failed", "held", "stopped"])
def test_what_is_saved_by_a_pass_that_does_not_come_through_is_told_with_the_next(tmp_path: Path, end: str) -> None:
    command, told = recorder(tmp_path)
    notifier = listening(tmp_path, NotificationConfig(("changed",), (command,)))
    rest = replace(summary(), run_id="r", from_commit="a" * 40)
    if end != "start":
        notifier.pass_done("kg", summary())
        notifier.pass_done("kg", rest)
    if end == "stopped":
        notifier.pass_done("kg", replace(summary(tally=Tally(saved=9), is_whole=False), from_commit="a" * 40))
    elif end != "start":
        notifier.pass_failed("kg", "no", ExitCode.HELD if end == "held" else ExitCode.DATABASE)
    notifier.pass_done("kg", rest)
    notifier.pass_done("kg", rest)
    notifier.close()
    assert [(each["changes"]["from_commit"], each["changes"]["saved"]) for each in told()] == [("a" * 40, 0)]


def test_a_hook_is_told_what_and_of_whom_it_wants_to_know(tmp_path: Path) -> None:
    some, told_some = recorder(tmp_path, "some")
    other, told_other = recorder(tmp_path, "other")
    hooks = (NotificationConfig(("failing",), (some,), sources=("kg",)), NotificationConfig(("recovered",), (other,)))
    with closing(listening(tmp_path, *hooks)) as notifier:
        notifier.source_known("b", "/b", None, 60)
        for source in ("kg", "b"):
            notifier.pass_failed(source, "no", ExitCode.REMOTE)
        eventually(lambda: len(told_some()) == 1)
        for source in ("kg", "b"):
            notifier.pass_done(source, saving())
        eventually(lambda: len(told_other()) == 2)
    assert [(each["ontology_id"], each["event"]) for each in told_some()] == [("kg", "failing")]
    assert {(each["ontology_id"], each["event"]) for each in told_other()} == {("kg", "recovered"), ("b", "recovered")}


# Restarts


def test_a_restart_neither_tells_failing_again_nor_forgets_to_tell_recovered(tmp_path: Path) -> None:
    command, told = recorder(tmp_path)
    hook = NotificationConfig(ALL, (command,))
    with closing(listening(tmp_path, hook)) as notifier:
        notifier.pass_failed("kg", "no", ExitCode.DATABASE)
        eventually(lambda: len(told()) == 1)
    for mark in ("at 1", "at 1", "at 2"):
        with closing(listening(tmp_path, hook)) as notifier:
            notifier.pass_failed("kg", "held", ExitCode.HELD, mark)
    eventually(lambda: len(told()) == 3)
    with closing(listening(tmp_path, hook)) as notifier:
        notifier.pass_done("kg", summary())
        eventually(lambda: len(told()) == 4)
    assert [each["event"] for each in told()] == ["failing", "held", "held", "recovered"]
    assert told()[3]["trouble"]["failures"] == 4
    assert notes(tmp_path) == []


def test_what_could_not_be_told_is_told_after_a_restart_the_same_event(tmp_path: Path) -> None:
    with webhook() as server:
        hook = NotificationConfig(ALL, url=server.url)
        server.then = [answers(500)] * 2
        with closing(listening(tmp_path, hook)) as notifier:
            notifier.pass_failed("kg", "no", ExitCode.REMOTE)
            server.until(1)
            notifier.pass_done("kg", saving(1, None))
            server.until(2)
            eventually(lambda: notes(tmp_path) != [])
        held = len(server.got)
        with closing(listening(tmp_path, hook)):
            server.until(held + 2)
            eventually(lambda: notes(tmp_path) == [])
        told = {(each.json["event"], each.json["id"]) for each in server.got[held:]}
        assert {kind for kind, _ in told} == {"recovered", "changed"}
        assert told & {(each.json["event"], each.json["id"]) for each in server.got[:held]}


def test_without_hooks_nothing_is_written(tmp_path: Path) -> None:
    with closing(listening(tmp_path)) as notifier:
        notifier.pass_failed("kg", "no", ExitCode.REMOTE)
        notifier.pass_done("kg", saving())
    assert not (tmp_path / "state").exists()


def test_a_state_directory_that_can_not_be_written_loses_no_event(tmp_path: Path) -> None:
    command, told = recorder(tmp_path)
    (tmp_path / "state").write_text("no directory")
    with closing(listening(tmp_path, NotificationConfig(ALL, (command,)))) as notifier:
        notifier.pass_failed("kg", "no", ExitCode.HELD)
        eventually(lambda: len(told()) == 1)


# Retries, by the outbox's clock


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        """Give them."""
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def outbox(tmp_path: Path, clock: Clock, *, on: tuple[str, ...] = ALL, keep_trying: float = 3_600.0) -> Outbox:
    """Make an outbox with one hook, `h`, and no chance in its waits."""
    made = Outbox(tmp_path / "state", Closing(clock), clock, lambda: 0.0)
    made.serve(tmp_path / "kg.db", {"h": NotificationConfig(on, ("x",), keep_trying=keep_trying)})
    return made


def test_an_event_is_tried_at_growing_intervals_and_then_given_up(tmp_path: Path, clock: Clock) -> None:
    box = outbox(tmp_path, clock, keep_trying=60.0)
    box.tell("kg", None, [state(Kind.FAILING)])
    waits, fate = [], Fate.TRIED_AGAIN
    while fate is Fate.TRIED_AGAIN:
        task = box.take("h")
        assert task is not None
        assert task.attempt == len(waits) + 1
        fate, wait = box.done(task, NO)
        waits.append(wait)
        clock.seconds += wait
    assert waits == [1, 2, 4, 8, 16, 0]
    assert fate is Fate.GIVEN_UP
    assert notes(tmp_path) == []
    box.tell("kg", None, [state(Kind.RECOVERED)])
    task = box.take("h")
    assert task is not None
    assert (task.event.kind, task.attempt) == (Kind.RECOVERED, 1)
    assert box.done(task, DELIVERED) == (Fate.SENT, 0.0)


def test_what_will_not_be_taken_is_given_up_at_once(tmp_path: Path, clock: Clock) -> None:
    box = outbox(tmp_path, clock)
    box.tell("kg", None, [changed(1)])
    task = box.take("h")
    assert task is not None
    assert box.done(task, Answer("no", is_final=True))[0] is Fate.GIVEN_UP


def test_while_one_waits_others_are_told(tmp_path: Path, clock: Clock) -> None:
    box = outbox(tmp_path, clock)
    box.tell("kg", None, [changed(1)])
    task = box.take("h")
    assert task is not None
    box.done(task, Answer("no", wait=100))
    box.tell("kg", None, [state(Kind.FAILING)])
    box.tell("b", None, [replace(changed(2), ontology_id="b")])
    found = [box.take("h"), box.take("h")]
    assert {(each.event.ontology_id, each.event.kind) for each in found if each} == {
        ("kg", Kind.FAILING),
        ("b", Kind.CHANGED),
    }


def test_a_later_state_replaces_one_that_is_tried_again(tmp_path: Path, clock: Clock) -> None:
    box = outbox(tmp_path, clock)
    box.tell("kg", None, [state(Kind.FAILING)])
    task = box.take("h")
    assert task is not None
    box.tell("kg", None, [state(Kind.RECOVERED)])
    assert box.done(task, NO) == (Fate.DROPPED, 0.0)
    clock.seconds += 1
    task = box.take("h")
    assert task is not None
    assert task.event.kind is Kind.RECOVERED


def test_a_state_that_is_over_is_told_no_more(tmp_path: Path, clock: Clock) -> None:
    box = outbox(tmp_path, clock, on=("failing",))
    box.tell("kg", None, [state(Kind.FAILING)])
    task = box.take("h")
    assert task is not None
    box.done(task, NO)
    box.tell("kg", None, [state(Kind.RECOVERED)])
    assert notes(tmp_path) == []


def test_what_is_told_when_its_source_goes_is_forgotten(tmp_path: Path, clock: Clock) -> None:
    box = outbox(tmp_path, clock)
    box.tell("kg", None, [changed(1)])
    task = box.take("h")
    assert task is not None
    box.forget("kg")
    assert box.done(task, NO)[0] is Fate.DROPPED
    assert notes(tmp_path) == []


# Slow and many


def zombies() -> list[str]:
    """Find our children that ended, and were not seen to."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state_of, parent = path.read_text().rpartition(")")[2].split()[:2]
            if state_of == "Z" and int(parent) == os.getpid():
                found.append(str(path))
    return found


def test_a_hook_that_hangs_delays_neither_the_loop_nor_other_hooks(tmp_path: Path) -> None:
    command, told = recorder(tmp_path)
    stuck = program(tmp_path, "time.sleep(60)", "stuck")
    with webhook() as server:
        server.then = [hangs] * 100
        hooks = (NotificationConfig(ALL, (stuck,)), NotificationConfig(ALL, url=server.url))
        with closing(listening(tmp_path, *hooks, NotificationConfig(ALL, (command,)))) as notifier:
            slowest = 0.0
            for number in range(1, 51):
                started = time.monotonic()
                notifier.pass_done("kg", saving(number))
                slowest = max(slowest, time.monotonic() - started)
            eventually(lambda: sum(each["changes"]["passes"] for each in told()) == 50)
            started = time.monotonic()
        assert slowest < 0.5
        assert time.monotonic() - started < GRACE + 2


def test_a_reload_changes_who_is_told_and_keeps_what_waits(tmp_path: Path) -> None:
    first, told_first = recorder(tmp_path, "first")
    second, told_second = recorder(tmp_path, "second")
    with webhook() as server:
        server.then = [answers(503)] * 3
        waiting = NotificationConfig(("failing",), url=server.url)
        with closing(listening(tmp_path, waiting, NotificationConfig(ALL, (first,)))) as notifier:
            notifier.pass_failed("kg", "no", ExitCode.REMOTE)
            eventually(lambda: len(told_first()) == 1)
            server.until(1)
            notifier.configured(config(tmp_path, replace(waiting, timeout=5.0), NotificationConfig(ALL, (second,))))
            notifier.pass_done("kg", saving())
            eventually(lambda: len(told_second()) == 2)
            notifier.configured(config(tmp_path))
            eventually(lambda: not any(thread.name == "hook" for thread in threading.enumerate()))
            notifier.configured(config(tmp_path, NotificationConfig(ALL, (second,))))
            notifier.pass_failed("kg", "no", ExitCode.REMOTE)
            eventually(lambda: len(told_second()) == 3)
        assert len(told_first()) == 1


def test_many_deliveries_need_no_more_than_a_few(tmp_path: Path) -> None:
    def held() -> tuple[int, int]:
        return threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))

    count = tmp_path / "count"
    shell = tmp_path / "hook.sh"
    shell.write_text(f"#!/bin/sh\nprintf x >> {count}\n")
    shell.chmod(0o755)
    with webhook() as server:
        hooks = (NotificationConfig(ALL, (str(shell),)), NotificationConfig(ALL, url=server.url))
        with closing(listening(tmp_path, *hooks)) as notifier:
            rounds = []
            for number in range(250):
                if number % 2:
                    notifier.pass_done("kg", summary())
                else:
                    notifier.pass_failed("kg", "no", ExitCode.REMOTE)
                server.until(number + 1)
                eventually(lambda number=number: count.exists() and count.stat().st_size == number + 1)
                rounds.append(held())
            threads, files = zip(*rounds[50:], strict=True)
        # Those that come and go are of the server, and of a delivery that is about to end when the next is counted.
        assert max(threads) - min(threads) <= 3
        assert max(files) - min(files) <= 10
    assert zombies() == []


# Faults of ours


def test_a_fault_in_a_delivery_costs_an_attempt_and_no_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command, told = recorder(tmp_path)
    faults = [ZeroDivisionError("planned")]
    set_blocking = os.set_blocking

    def sometimes(descriptor: int, is_blocking: bool) -> None:  # noqa: FBT001 - as in os
        if faults:
            raise faults.pop()
        set_blocking(descriptor, is_blocking)

    monkeypatch.setattr(os, "set_blocking", sometimes)
    with closing(listening(tmp_path, NotificationConfig(ALL, (command,)))) as notifier, capture_logs() as lines:
        notifier.pass_failed("kg", "no", ExitCode.REMOTE)
        eventually(lambda: len(told()) == 1)
        eventually(lambda: len(lines) == 3)
    events = ["notification fault", "notification not sent", "notification sent"]
    assert [line["event"] for line in lines] == events


def test_an_observer_that_fails_keeps_no_other_from_being_told() -> None:
    class Broken(Unobserved):
        def source_gone(self, ontology_id: str) -> None:
            raise ZeroDivisionError(ontology_id)

    class Listening(Unobserved):
        def __init__(self) -> None:
            self.gone: list[str] = []

        def source_gone(self, ontology_id: str) -> None:
            self.gone.append(ontology_id)

    listener = Listening()
    with capture_logs() as lines:
        Each(Broken(), listener).source_gone("kg")
    assert listener.gone == ["kg"]
    assert [(line["event"], line["observer"]) for line in lines] == [("observer failed", "Broken")]


# Secrets


def test_secrets_are_read_anew_at_each_attempt_and_stand_nowhere(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("")
    (tmp_path / "key").write_text("opensesame-key\n")
    (tmp_path / "token").write_text("opensesame-token\n")
    files = {"url_file": "url", "secret_file": "key", "token_file": "token"}
    with webhook() as server, capture_logs() as lines:
        with closing(listening(tmp_path, NotificationConfig(ALL, **files))) as notifier:  # type: ignore[arg-type]
            notifier.pass_failed("kg", "no", ExitCode.REMOTE)
            eventually(lambda: any(line["event"] == "notification not sent" for line in lines))
            (tmp_path / "url").write_text(f"{server.url}&opensesame=1\n")
            (got,) = server.until(1)
            eventually(lambda: any(line["event"] == "notification sent" for line in lines))
        server.then = [answers(500)]
    assert got.headers["Authorization"] == "Bearer opensesame-token"
    assert got.path.endswith("opensesame=1")
    assert "opensesame" not in json.dumps(lines) + got.body.decode()
    assert "it is empty" in next(line["reason"] for line in lines if line["event"] == "notification not sent")


def test_a_url_is_shown_without_its_path(tmp_path: Path) -> None:
    hook = NotificationConfig(ALL, url="http://127.0.0.1:9/opensesame?a=b")
    with closing(listening(tmp_path, hook)) as notifier, capture_logs() as lines:
        notifier.pass_failed("kg", "no", ExitCode.REMOTE)
        eventually(lambda: bool(lines))
    assert lines[0]["hook"] == "http://127.0.0.1:9"
