"""Signs of life come from work that goes on, not from the wait for it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from visionflow_daemon.daemon.vigil import Stop, Telling
from visionflow_daemon.ops.observer import Unobserved
from visionflow_daemon.ops.systemd import Notify
from visionflow_daemon.sync.pool import Pool
from visionflow_daemon.sync.progress import Outcome, Progress

LOOKS = 8


def test_a_worker_that_hangs_gives_none_and_a_file_that_is_done_does(tmp_path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as line:
        line.bind(str(tmp_path / "notify"))
        line.setblocking(False)

        def beats() -> int:
            count = 0
            try:
                while True:
                    count += line.recv(4096) == b"WATCHDOG=1"
            except BlockingIOError:
                return count

        notify = Notify({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1500000"})
        stop = Stop(notify)
        telling = Telling("a", Unobserved(), notify, stop)
        progress = Progress(telling, lambda _: None, time.monotonic)
        goes_on = threading.Event()
        looks: list[int] = []

        @contextmanager
        def handler() -> Iterator[Callable[[int], None]]:
            def handle(_: int) -> None:
                goes_on.wait(60)
                progress.add(Outcome("saved"))

            yield handle

        def tick() -> None:
            progress.tick()
            looks.append(beats())
            if len(looks) == LOOKS:
                goes_on.set()

        telling.started(50)
        assert Pool(1, 2, handler).run(range(50), stop, tick)
        telling.ended()
        assert sum(looks[:LOOKS]) == 0
        assert sum(looks[LOOKS:]) + beats() >= 1
        time_of_last = time.monotonic()
        while time.monotonic() - time_of_last < 10 and not beats():
            stop.is_set()
        assert time.monotonic() - time_of_last < 2
