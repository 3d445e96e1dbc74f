"""Sums up: in which state each source is, all of them together, and a tile for each to begin with."""

from __future__ import annotations

from dataclasses import dataclass

from visionflow_daemon.errors import ExitCode
from visionflow_daemon.ops.health import Readiness
from visionflow_daemon.ops.readers import Held
from visionflow_daemon.ops.standing import Snapshot, SourceStanding
from visionflow_daemon.ops.words import ago, escaped, number, share

IN_STEP = "in step"
WITH_FAILED = "in step, with failed files"
GRAVEST = ("bad", "warn", "run", "ok")


@dataclass(frozen=True, slots=True)
class State:
    """A state in a word, and its colour: `ok`, `run`, `warn` or `bad`."""

    word: str
    colour: str


@dataclass(frozen=True, slots=True)
class Tile:
    """What the overview says of one source; `anchor` is where more of it stands."""

    source: SourceStanding
    state: State
    ready: Readiness
    failed: int
    anchor: str


def state_of(source: SourceStanding, ready: Readiness, held: Held) -> State:
    """Say how a source stands."""
    if source.progress is not None:
        return State("syncing", "run")
    if source.consecutive_failures and source.last_failure:
        return State("held", "warn") if source.last_failure.code is ExitCode.HELD else State("failing", "bad")
    if not ready.is_ready:
        return State("not ready", "bad")
    if held.problem:
        return State(f"{IN_STEP}, database unreadable", "warn")
    if held.totals and held.totals.failed:
        return State(WITH_FAILED, "warn")
    return State(IN_STEP, "ok")


def is_first(source: SourceStanding, ready: Readiness) -> bool:
    """Tell whether a source's first pass is under way: it is not ready, and nothing is wrong."""
    return source.progress is not None and ready.last_success is None and not source.consecutive_failures


def overall(tiles: list[Tile]) -> State:
    """Say how all sources stand: the gravest state there is, and of how many."""
    if not tiles:
        return State("starting", "run")
    unready = [each for each in tiles if not each.ready.is_ready and not is_first(each.source, each.ready)]
    if unready:
        return State(_of("not ready", len(unready), len(tiles)), "bad")
    colour = next(each for each in GRAVEST if any(tile.state.colour == each for tile in tiles))
    alike = [tile.state.word for tile in tiles if tile.state.colour == colour]
    words = {tile.state.word for tile in tiles}
    if len(tiles) > 1 and words <= {IN_STEP, WITH_FAILED}:
        return State(f"all {WITH_FAILED if WITH_FAILED in words else IN_STEP}", colour)
    word = alike[0] if len(set(alike)) == 1 else "with troubles"
    return State(_of(word, len(alike), len(tiles)), colour)


def _of(word: str, count: int, total: int) -> str:
    return word if total == 1 else f"{count} of {total} {word}"


def overview(tiles: list[Tile], snapshot: Snapshot) -> str:
    """Draw a tile for each source, where there are several."""
    if len(tiles) < 2:  # noqa: PLR2004 - one source is its own overview
        return "<nav hidden></nav>"
    return '<nav aria-label="Sources">' + "".join(_tile(each, snapshot) for each in tiles) + "</nav>"


def _tile(tile: Tile, snapshot: Snapshot) -> str:
    progress = tile.source.progress
    word = IN_STEP if tile.state.word.startswith(IN_STEP) else tile.state.word
    last = ago(tile.ready.last_success, snapshot.at)
    told = [last if word == IN_STEP else f"last {IN_STEP} {last}" if tile.ready.last_success else f"never {IN_STEP}"]
    if progress is not None and progress.planned:
        told = [share(progress.done, progress.planned)]
    if tile.failed:
        told.append(f"{number(tile.failed)} failed file{'s' if tile.failed > 1 else ''}")
    return (
        f'<a href="#{tile.anchor}" class="tile"><b>{escaped(tile.source.ontology_id)}</b>'
        f'<span><span class="dot {tile.state.colour}">{word}</span> '
        f'<span class="soft">{" · ".join(told)}</span></span></a>'
    )
