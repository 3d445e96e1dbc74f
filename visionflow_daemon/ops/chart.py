"""Draws recent passes: files upwards, seconds downwards, one column a pass, the newest at the right."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from math import log1p

from visionflow_daemon.ops.words import escaped, minute, number, span
from visionflow_daemon.storage.checkpoint import LastRun

COLUMNS, WIDTH, UP, DOWN = 40, 640, 64, 30
STEP = WIDTH / COLUMNS
LEGEND = {
    "ok": "finished",
    "run": "running",
    "warn": "with failed files, stopped, or held",
    "bad": "failed, or cut off",
}
COLOURS = {"finished": "ok", "running": "run", "stopped": "warn", "held": "warn"}


def seconds_of(run: LastRun) -> float:
    """Say how long a pass took, or takes; its row knows whole seconds."""
    try:
        end = datetime.fromisoformat(run.finished_at or run.progress_at)
        return max((end - datetime.fromisoformat(run.started_at)).total_seconds(), 0.0)
    except ValueError:
        return 0.0


def done_of(run: LastRun) -> int:
    """Count the files that a pass dealt with."""
    return run.saved + run.skipped + run.failed + run.deleted


def colour_of(run: LastRun) -> str:
    """Give the colour of a pass: what went wrong, or left failed files, is never green."""
    if run.status == "finished" and run.failed:
        return "warn"
    return COLOURS.get(run.status, "bad")


def chart(runs: Sequence[LastRun]) -> str:
    """Draw the passes, given the newest first. Heights are logarithmic: a first sync would hide all that follows."""
    shown = runs[:COLUMNS]
    most_files = max(map(done_of, shown), default=0)
    most_seconds = max(map(seconds_of, shown), default=0.0)
    columns = "".join(
        _column(run, WIDTH - STEP * (place + 1), most_files, most_seconds) for place, run in enumerate(shown)
    )
    met = {colour_of(run) for run in shown}
    legend = "".join(f'<span class="swatch {colour}">{word}</span>' for colour, word in LEGEND.items() if colour in met)
    ends = "".join(f"<span>{escaped(minute(run.started_at))}</span>" for run in (*shown[:0:-1][:1], *shown[:1]))
    return (
        f'<svg viewBox="0 0 {WIDTH} {UP + DOWN + 2}" preserveAspectRatio="none" role="img"'
        f' aria-label="Files and seconds of recent passes"><line class="axis" x1="0" x2="{WIDTH}" y1="{UP + 1}"'
        f' y2="{UP + 1}"/>{columns}</svg><p class="ends">{ends}</p><p class="key"><span>{legend}</span>'
        f"<span>files above, {number(most_files)} at most; time below, {span(most_seconds)} at most; logarithmic</span>"
        "</p>"
    )


def _column(run: LastRun, x: float, most_files: int, most_seconds: float) -> str:
    up = _height(done_of(run), most_files, UP - 4)
    down = _height(seconds_of(run), most_seconds, DOWN - 2)
    wide = STEP - 4
    title = f"{run.started_at}: {run.status}, {number(done_of(run))} files, {span(seconds_of(run))}"
    return (
        f"<g><title>{escaped(title)}</title>"
        f'<rect class="hit" x="{x:g}" y="0" width="{STEP:g}" height="{UP + DOWN + 2}"/>'
        f'<rect class="fill-{colour_of(run)}" x="{x + 2:g}" y="{UP - up:.1f}" width="{wide:g}" height="{up:.1f}"/>'
        f'<rect class="fill-time" x="{x + 2:g}" y="{UP + 2}" width="{wide:g}" height="{down:.1f}"/></g>'
    )


def _height(value: float, most: float, room: float) -> float:
    """Give a bar's height: two at least, so that a pass of nothing is still a pass."""
    return 2.0 + (room - 2.0) * (log1p(value) / log1p(most) if most else 0.0)
