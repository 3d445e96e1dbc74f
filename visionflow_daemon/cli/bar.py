"""The live progress bar of a pass, on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from visionflow_daemon.logs import LineSink
from visionflow_daemon.storage.checkpoint import Tally

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


class Bar:
    """Shows files, rate, failures and time left on standard error; log lines for the same terminal pass above it."""

    def __init__(self, sink: LineSink, doing: str = "syncing") -> None:
        self._sink = sink
        self._doing = doing
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def found(self, commit: str, *, is_there: bool) -> None:
        """Nothing is drawn yet."""

    def started(self, planned: int) -> None:
        """Draw the bar."""
        from rich.console import Console  # noqa: PLC0415 - costs memory that a pass without a terminal saves
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn(self._doing),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]} files/s"),
            TextColumn("{task.fields[failed]} failed"),
            TimeRemainingColumn(),
            console=console,
        )
        self._task = self._progress.add_task("sync", total=planned, rate="-", failed=0)
        if self._sink.stream.isatty():
            self._sink.divert = lambda line: console.out(line, highlight=False)
        self._progress.start()

    def moved(self, tally: Tally) -> None:
        """Move the bar."""
        if self._progress is None or self._task is None:
            return
        speed = self._progress.tasks[0].speed
        rate = "-" if speed is None else f"{speed:,.0f}"
        self._progress.update(self._task, completed=tally.done, failed=tally.failed, rate=rate)

    def waits(self) -> None:
        """Nothing moves."""

    def ended(self) -> None:
        """Leave the finished bar on the screen, and the terminal to others."""
        self._sink.divert = None
        if self._progress is not None:
            self._progress.stop()
