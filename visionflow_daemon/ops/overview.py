"""Sums up: in which state each source is, all of them together, and a tile for each to begin with."""

from __future__ import annotations

from dataclasses import dataclass

from visionflow_daemon.errors import ExitCode
from visionflow_daemon.ops.health import Readiness
from visionflow_daemon.ops.readers import Held, Readers
from visionflow_daemon.ops.standing import Snapshot, SourceStanding
from visionflow_daemon.ops.words import ago, escaped, number, share

IN_STEP = "in step"
WITH_FAILED = "in step, with failed files"
GRAVEST = ("warn", "run", "ok")
FEW_OTHERS = 10
"""Ontologies that are named where the database holds others, too."""


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

    @property
    def is_unready(self) -> bool:
        """Whether the source is not ready for another reason than that its first pass is under way."""
        return not self.ready.is_ready and not is_first(self.source, self.ready)


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
    if grave := [each for each in tiles if each.is_unready or each.state.colour == "bad"]:
        word = "not ready" if all(each.is_unready for each in grave) else _common(grave)
        return State(_of(word, len(grave), len(tiles)), "bad")
    words = {tile.state.word for tile in tiles}
    if len(tiles) > 1 and words <= {IN_STEP, WITH_FAILED}:
        return State(f"all {WITH_FAILED}", "warn") if WITH_FAILED in words else State(f"all {IN_STEP}", "ok")
    colour = next(each for each in GRAVEST if any(tile.state.colour == each for tile in tiles))
    gravest = [tile for tile in tiles if tile.state.colour == colour]
    return State(_of(_common(gravest), len(gravest), len(tiles)), colour)


def _common(tiles: list[Tile]) -> str:
    """Give the word that all of them have in common."""
    words = {each.state.word for each in tiles}
    return words.pop() if len(words) == 1 else "in trouble"


def _of(word: str, count: int, total: int) -> str:
    return word if total == 1 else f"{count} of {total} {word}"


def overview(tiles: list[Tile], snapshot: Snapshot) -> str:
    """Draw a tile for each source, where there are several."""
    if len(tiles) < 2:  # noqa: PLR2004 - one source is its own overview
        return "<nav hidden></nav>"
    return '<nav aria-label="Sources">' + "".join(_tile(each, snapshot) for each in tiles) + "</nav>"


def not_followed(snapshot: Snapshot, readers: Readers) -> list[str]:
    """Name the ontologies that the database holds, and that this daemon does not follow."""
    return sorted(set(readers.ontologies()).difference(source.ontology_id for source in snapshot.sources))


def besides(snapshot: Snapshot, readers: Readers) -> str:
    """Draw what is about no source: backups, and what else the database holds."""
    lines = []
    if (backups := readers.backups()) is not None:
        told = f"taken {ago(backups.taken_at, snapshot.at)}" if backups.taken_at else "none is there yet"
        size = f", {number(backups.bytes)} bytes" if backups.taken_at else ""
        failed = ' · <span class="dot bad">the last one failed</span>' if backups.is_failing else ""
        lines.append(f"Newest backup: {told}{size}{failed}")
    if others := not_followed(snapshot, readers):
        more = f" and {number(len(others) - FEW_OTHERS)} more" if len(others) > FEW_OTHERS else ""
        names = ", ".join(f"<b>{escaped(name)}</b>" for name in others[:FEW_OTHERS])
        lines.append(f"Held and not followed here: {names}{more}")
    return f'<div class="soft small">{"".join(f"<p>{line}</p>" for line in lines)}</div>'


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
