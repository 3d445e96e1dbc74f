"""Later passes: with nothing to do, with few files to do, after a kill, and after many files are gone."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

from benchmarks import process
from benchmarks.inputs import Input
from benchmarks.repository import BASE, CHANGES, GONE
from benchmarks.stage import Stage, ask, expect, once

FILES = "SELECT COUNT(*) FROM source_files"
NEWEST = "SELECT COALESCE(MAX(file_id), 0) FROM source_files"
"""The number of files of a first sync, as they are numbered in turn: found at once however many there are."""

PATIENCE = 600.0
"""Seconds after which a pass that saves nothing is given up."""


def no_op(stage: Stage) -> None:
    """Measure a pass that finds nothing to do."""
    for what in stage.main_inputs:
        database = stage.synced(what)
        for _ in stage.each_round("no-op", what):
            ours = stage.ours(what, database)
            ours.event("nothing to do")
            stage.sheet.note("no-op", what.name, "whole process", "ms", 1000 * ours.seconds)
            stage.sheet.note("no-op", what.name, "whole process, peak memory", "MB", ours.peak_mb)
            inside = stage.inside("passes", what, database, "--repeat=20").last
            stage.sheet.note("no-op", what.name, "pass in a process that is up", "ms", 1000 * inside["seconds"])


def incremental(stage: Stage) -> None:
    """Measure passes over few changed files, there and back again, so that each finds the same database."""
    for what in stage.generated:
        database = stage.synced(what)
        for _ in stage.each_round("incremental", what):
            for many in CHANGES:
                _changed(stage, what, database, many)


def _changed(stage: Stage, what: Input, database: Path, many: int) -> None:
    changed = min(many, what.files)
    with what.at(f"change-{many}"):
        there = stage.ours(what, database)
    back = stage.ours(what, database)
    for ours in (there, back):
        expect("files saved", _done(ours, "saved", "skipped"), changed)
        stage.sheet.note("incremental", what.name, f"{changed} changed, whole process", "ms", 1000 * ours.seconds)
    inside = stage.inside("passes", what, database, f"--branch=change-{many}", f"--branch={BASE}", "--repeat=3").last
    expect("files changed", set(inside["changed"]), {changed})
    measure = f"{changed} changed, pass in a process that is up"
    stage.sheet.note("incremental", what.name, measure, "ms", 1000 * inside["seconds"])


def delete(stage: Stage) -> None:
    """Measure the deletion of many files."""
    for what in stage.generated:
        database = stage.synced(what)
        gone = min(GONE, what.files // 5)
        for _ in stage.each_round("delete", what):
            with what.at("delete"):
                ours = stage.ours(what, database)
            expect("files deleted", _done(ours, "deleted"), gone)
            alone = ours.event("pass finished")["seconds"]
            stage.sheet.note("delete", what.name, f"{gone} deleted, whole process", "ms", 1000 * ours.seconds)
            stage.sheet.note("delete", what.name, f"{gone} deleted, the pass alone", "ms", 1000 * alone)
            stage.sheet.note("delete", what.name, "files left", "files", ask(database, FILES))
            stage.ours(what, database)


def resume(stage: Stage) -> None:
    """Measure how soon a pass goes on after one that was killed half way."""
    for what in stage.generated:
        for _ in stage.each_round("resume", what):
            database = stage.fresh("ours")
            _run_until(stage, what, database, what.files // 2)
            before = ask(database, FILES)
            seconds = _run_until(stage, what, database, before + 1)
            finished = stage.ours(what, database)
            expect("files after all", ask(database, FILES), what.files)
            stage.sheet.note("resume", what.name, "files at the kill", "files", before)
            stage.sheet.note("resume", what.name, "from start to the first new file", "ms", 1000 * seconds)
            stage.sheet.note("resume", what.name, "the rest, whole process", "s", finished.seconds)


def _run_until(stage: Stage, what: Input, database: Path, files: int) -> float:
    """Start a pass, and kill it when that many files are there; give the seconds until then."""
    started = time.perf_counter()
    running = process.start(once(what, database), stage.home())
    reader: sqlite3.Connection | None = None
    try:
        while (seconds := time.perf_counter() - started) < PATIENCE:
            reader = reader or _reader(database)
            if _newest(reader) >= files:
                return seconds
            if running.poll() is not None:
                raise RuntimeError(f"the pass ended, with {running.returncode}, before {files} files were there")
            time.sleep(0.001)
    finally:
        running.kill()
        running.wait()
        if reader is not None:
            reader.close()
    raise RuntimeError(f"after {PATIENCE:.0f} s there are no {files} files")


def _reader(database: Path) -> sqlite3.Connection | None:
    """Open a database to read it, once it is there."""
    if not database.exists():
        return None
    return sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)


def _newest(reader: sqlite3.Connection | None) -> int:
    if reader is None:
        return 0
    try:
        (found,) = reader.execute(NEWEST).fetchone()
    except sqlite3.OperationalError:  # the tables are not there yet
        return 0
    return int(found)


def _done(ours: process.Run, *kinds: str) -> int:
    finished = ours.event("pass finished")
    return sum(int(finished[kind]) for kind in kinds)
