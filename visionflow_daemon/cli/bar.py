"""The live progress bars of passes, on a terminal."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from visionflow_daemon.logs import LineSink
from visionflow_daemon.model import harmless
from visionflow_daemon.storage.checkpoint import Tally

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Screen:
    """Standard error, while there are bars on it; log lines for the same terminal pass above them."""

    def __init__(self, sink: LineSink) -> None:
        self._sink = sink
        self._lock = threading.Lock()
        self._progress: Progress | None = None
        self._bars = 0

    def join(self) -> Progress:
        """Draw one bar more."""
        with self._lock:
            if self._progress is None:
                self._progress = self._begin()
            self._bars += 1
            return self._progress

    def leave(self) -> None:
        """Leave the finished bars on the screen with the last one, and the terminal to others."""
        with self._lock:
            self._bars -= 1
            if not self._bars and self._progress is not None:
                self._sink.divert = None
                self._progress.stop()
                self._progress = None

    def _begin(self) -> Progress:
        from rich.console import Console  # noqa: PLC0415 - costs memory that a pass without a terminal saves
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

        console = Console(stderr=True)
        progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]} files/s"),
            TextColumn("{task.fields[failed]} failed"),
            TimeRemainingColumn(),
            console=console,
        )
        if self._sink.stream.isatty():
            self._sink.divert = lambda line: console.out(line, highlight=False)
        progress.start()
        return progress


class Bar:
    """Shows files, rate, failures and time left of one pass."""

    def __init__(self, screen: Screen, doing: str = "syncing") -> None:
        self._screen = screen
        self._doing = doing
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def found(self, commit: str, *, is_there: bool) -> None:
        """Nothing is drawn yet."""

    def started(self, planned: int) -> None:
        """Draw the bar."""
        self._progress = self._screen.join()
        self._task = self._progress.add_task(harmless(self._doing), total=planned, rate="-", failed=0)

    def moved(self, tally: Tally) -> None:
        """Move the bar."""
        if self._progress is None or self._task is None:
            return
        speed = next(task.speed for task in self._progress.tasks if task.id == self._task)
        rate = "-" if speed is None else f"{speed:,.0f}"
        self._progress.update(self._task, completed=tally.done, failed=tally.failed, rate=rate)

    def waits(self) -> None:
        """Nothing moves."""

    def ended(self) -> None:
        """Draw it no more."""
        if self._progress is not None:
            self._progress = None
            self._screen.leave()
