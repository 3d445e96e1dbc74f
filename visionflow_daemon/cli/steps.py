"""The live progress bar of a backup or a restore, on a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from visionflow_daemon.storage.backup import Told, untold


@contextmanager
def steps() -> Iterator[Told]:
    """Show on standard error what is being done, and how much of it, where that is a terminal."""
    if not sys.stderr.isatty():
        yield untold
        return
    from rich.console import Console  # noqa: PLC0415 - costs memory that a run without a terminal saves
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None)
        doing_now = ""

        def told(doing: str, done: int, of: int) -> None:
            nonlocal doing_now
            if doing != doing_now:
                doing_now = doing
                progress.reset(task, description=doing, total=of or None)
            progress.update(task, completed=done)

        yield told
