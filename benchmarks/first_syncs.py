"""First syncs: of a local repository and of a remote one, beside the floor, and how throughput holds with size."""

from __future__ import annotations

import shutil
from pathlib import Path

from benchmarks.inputs import Input
from benchmarks.process import Run
from benchmarks.stage import Stage, ask, expect, megabytes

FILES = "SELECT COUNT(*) FROM source_files"
FLOOR_FILES = "SELECT COUNT(*) FROM files"


def first_sync(stage: Stage) -> None:
    """Measure whole processes against the floor; one round after the other over all inputs, so that sizes compare."""
    if not stage.is_quick:
        for what in stage.inputs:
            stage.tell(f"first-sync, {what.name}: unmeasured, to warm the caches of the disk")
            stage.floor(what, stage.fresh("floor"))
    for number in range(1, stage.rounds + 1):
        throughput: dict[int, tuple[float, float]] = {}
        for what in stage.inputs:
            stage.tell(f"first-sync, {what.name}: round {number} of {stage.rounds}")
            floor = _floor(stage, what, "first-sync")
            database = stage.fresh("ours")
            ours = stage.ours(what, database)
            alone = float(ours.event("pass finished")["seconds"])
            _note(stage, what, "first-sync", ours, database, floor)
            stage.sheet.note("first-sync", what.name, "ours, the pass alone", "s", alone)
            if what.is_generated:
                throughput[what.files] = (what.files / ours.seconds, what.files / alone)
        if len(throughput) > 1:
            _compare(stage, throughput)


def clone(stage: Stage) -> None:
    """Measure the same from a URL: with the clone that it takes."""
    for what in stage.main_inputs:
        for _ in stage.each_round("clone", what):
            floor = _floor(stage, what, "clone")
            database = stage.fresh("ours")
            clones = stage.home() / "clones"
            shutil.rmtree(clones, ignore_errors=True)
            ours = stage.ours(what, database, source=what.repository.as_uri())
            _note(stage, what, "clone", ours, database, floor)
            stage.sheet.note("clone", what.name, "size of the clone", "MB", megabytes(clones))
            shutil.rmtree(clones)


def batch(stage: Stage) -> None:
    """Measure the way that the program replaces; then let both meet a bad page, which comes last."""
    for what in stage.main_inputs:
        for _ in stage.each_round("batch", what):
            database = stage.fresh("batch")
            theirs = stage.batch(what, database)
            expect("files saved by the batch", ask(database, FILES), what.files)
            _note_other(stage, what, "batch", theirs)
            ours = stage.ours(what, stage.fresh("ours"))
            _note_other(stage, what, "ours", ours)
            stage.sheet.note("batch", what.name, "batch / ours", "x", theirs.seconds / ours.seconds)
            if what.is_generated:
                _meet_bad_page(stage, what)


def _meet_bad_page(stage: Stage, what: Input) -> None:
    rows = "SELECT (SELECT COUNT(*) FROM owl_classes) + (SELECT COUNT(*) FROM owl_axioms)"
    saved = "SELECT COUNT(*) FROM source_files WHERE blob_saved IS NOT NULL"
    with what.at("bad"):
        database = stage.fresh("batch")
        theirs = stage.batch(what, database, expect=1)
        stage.sheet.note("batch", what.name, "batch, last page bad: until it fails", "s", theirs.seconds)
        stage.sheet.note("batch", what.name, "batch, last page bad: rows left", "rows", ask(database, rows))
        database = stage.fresh("ours")
        ours = stage.ours(what, database, expect=3)
        stage.sheet.note("batch", what.name, "ours, last page bad", "s", ours.seconds)
        stage.sheet.note("batch", what.name, "ours, last page bad: rows left", "rows", ask(database, rows))
        stage.sheet.note("batch", what.name, "ours, last page bad: files saved", "files", ask(database, saved))


def _floor(stage: Stage, what: Input, case: str) -> Run:
    database = stage.fresh("floor")
    floor = stage.floor(what, database)
    expect("files saved by the floor", ask(database, FLOOR_FILES), what.files)
    stage.sheet.note(case, what.name, "floor", "s", floor.seconds)
    stage.sheet.note(case, what.name, "floor, peak memory", "MB", floor.peak_mb)
    return floor


def _note(stage: Stage, what: Input, case: str, ours: Run, database: Path, floor: Run) -> None:
    files = ask(database, FILES)
    expect("files saved", files, what.files)
    stage.sheet.note(case, what.name, "ours", "s", ours.seconds)
    stage.sheet.note(case, what.name, "ours / floor", "x", ours.seconds / floor.seconds)
    stage.sheet.note(case, what.name, "ours, throughput", "files/s", files / ours.seconds)
    stage.sheet.note(case, what.name, "ours, peak memory", "MB", ours.peak_mb)
    stage.sheet.note(case, what.name, "ours, database", "MB", megabytes(database))
    stage.sheet.note(case, what.name, "files", "files", files)


def _note_other(stage: Stage, what: Input, name: str, run: Run) -> None:
    stage.sheet.note("batch", what.name, name, "s", run.seconds)
    stage.sheet.note("batch", what.name, f"{name}, peak memory", "MB", run.peak_mb)


def _compare(stage: Stage, throughput: dict[int, tuple[float, float]]) -> None:
    """Set the files a second at the largest size against those at the smallest."""
    small, large = min(throughput), max(throughput)
    subject = f"{large:,} pages against {small:,}"
    for at, how in enumerate(("whole process", "the pass alone")):
        ratio = throughput[large][at] / throughput[small][at]
        stage.sheet.note("scaling", subject, f"files/s, {how}", "x", ratio)
