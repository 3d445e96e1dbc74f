"""Signs of life come from work that goes on, not from the wait for it; and one pass that is stuck is enough."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from visionflow_daemon.daemon.status import Status
from visionflow_daemon.daemon.vigil import Stop, Telling, Vigil
from visionflow_daemon.errors import StoppedError
from visionflow_daemon.ops.observer import Unobserved
from visionflow_daemon.ops.systemd import Notify
from visionflow_daemon.sync.pool import Pool
from visionflow_daemon.sync.progress import Outcome, Progress

LOOKS = 8
ALLOWED = 3.0


class Watched:
    """A vigil by a clock of its own, and what systemd hears of it."""

    def __init__(self, line: socket.socket) -> None:
        self.time = 100.0
        self._line = line
        self.notify = Notify(
            {"NOTIFY_SOCKET": line.getsockname(), "WATCHDOG_USEC": str(int(ALLOWED * 1_000_000))}, lambda: self.time
        )
        self.lived: list[str] = []
        self.vigil = Vigil(self.notify, self.lived.append, lambda: self.time)

    def heard(self) -> list[str]:
        """Give what systemd has heard since it was last asked."""
        found = []
        try:
            while True:
                found.append(self._line.recv(4096).decode())
        except BlockingIOError:
            return found

    def after(self, seconds: float) -> list[str]:
        """Let time pass, have the loop look, and give what systemd hears."""
        self.time += seconds
        self.vigil.look()
        return self.heard()


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as line:
        line.bind(str(tmp_path / "notify"))
        line.setblocking(False)
        yield Watched(line)


def test_a_worker_that_hangs_gives_none_and_a_file_that_is_done_does(watched: Watched) -> None:
    stop = watched.vigil.begin("a")
    telling = Telling("a", Unobserved(), Status(watched.notify), stop)
    progress = Progress(telling, lambda _: None, time.monotonic)
    goes_on = threading.Event()
    lived: list[float] = []

    @contextmanager
    def handler() -> Iterator[Callable[[int], None]]:
        def handle(_: int) -> None:
            goes_on.wait(60)
            progress.add(Outcome("saved"))

        yield handle

    with Pool(1) as pool:
        lane = pool.lane(handler, 2, 1)

        def tick() -> None:
            watched.time += 1
            if lane.waits_for_others:
                telling.waits()
            progress.tick()
            lived.append(stop.lived_at)
            if len(lived) == LOOKS:
                goes_on.set()

        telling.started(50)
        assert lane.run(range(50), stop, tick)
        telling.ended()
    assert lived[1:LOOKS] == [lived[1]] * (LOOKS - 1), "a wait for a worker that hangs was a sign of life"
    progress.tick()
    assert stop.lived_at == watched.time
    watched.time += 1
    stop.is_set()
    assert stop.lived_at == watched.time


def test_a_pass_whose_files_wait_for_workers_of_others_lives(watched: Watched) -> None:
    stops = {name: watched.vigil.begin(name) for name in "ab"}
    gate, begun, over = threading.Event(), threading.Event(), threading.Event()

    @contextmanager
    def hangs() -> Iterator[Callable[[int], None]]:
        yield lambda _: begun.set() or gate.wait(60) or None

    @contextmanager
    def quick() -> Iterator[Callable[[int], None]]:
        yield lambda _: None

    with Pool(2) as pool:
        lanes = {"a": pool.lane(hangs, 2, 2), "b": pool.lane(quick, 2, 2)}
        ticks = dict.fromkeys("ab", 0)

        def run(name: str) -> None:
            telling = Telling(name, Unobserved(), Status(watched.notify), stops[name])

            def tick() -> None:
                ticks[name] += 1
                if lanes[name].waits_for_others:
                    telling.waits()
                if min(ticks.values()) >= LOOKS:
                    over.set()

            telling.started(1)
            lanes[name].run([1], stops[name], tick)

        one = threading.Thread(target=run, args=("a",))
        one.start()
        assert begun.wait(20)
        other = threading.Thread(target=run, args=("b",))
        other.start()
        watched.time += 10
        assert over.wait(20)
        assert stops["b"].lived_at == watched.time, "who waits its turn gave no sign of life"
        assert stops["a"].lived_at == watched.time - 10, "a worker that hangs gave one"
        gate.set()
        one.join()
        other.join()


def test_one_pass_that_is_stuck_is_enough_however_well_the_others_do(watched: Watched) -> None:
    stuck, well = watched.vigil.begin("stuck"), watched.vigil.begin("well")
    stuck.lives()
    for _ in range(3):
        well.lives()
        assert watched.after(1.0) == ["WATCHDOG=1"]
    with capture_logs([structlog.contextvars.merge_contextvars]) as lines:
        well.lives()
        assert watched.after(0.5) == ["WATCHDOG=trigger"]
    assert [(line["event"], line["ontology_id"], line["seconds"]) for line in lines] == [("pass stuck", "stuck", 3.5)]
    stuck.lives()
    assert watched.after(1.0) == ["WATCHDOG=1"]


def test_what_is_over_needs_no_signs_of_life_any_more(watched: Watched) -> None:
    stop = watched.vigil.begin("a")
    watched.vigil.end(stop)
    stop.lives()
    assert watched.after(60.0) == ["WATCHDOG=1"]


def test_while_the_loop_does_not_look_nothing_is_told(watched: Watched) -> None:
    stop = watched.vigil.begin("a")
    for _ in range(100):
        watched.time += 0.1
        stop.is_set()
    assert watched.heard() == []
    assert set(watched.lived) == {"a"}


def test_a_sleep_is_ended_by_the_stop_and_is_a_sign_of_life_otherwise(watched: Watched) -> None:
    stop: Stop = watched.vigil.begin("a")
    watched.time += 5
    stop.sleep(0)
    assert stop.lived_at == watched.time
    stop.set()
    with pytest.raises(StoppedError):
        stop.sleep(60)
