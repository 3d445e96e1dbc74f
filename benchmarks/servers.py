"""Servers: first syncs into a PostgreSQL server's database, by few workers and by many, beside an SQLite file's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from benchmarks.process import Run
from benchmarks.stage import Stage, expect

NAME = "visionflow_benchmark"
"""The database that each pass finds new, on the server that `--database` names."""

WORKERS, QUICK_WORKERS = (1, 2, 4, 8), (1, 4)
FEW, MANY = 1, 4
BEST, GAIN = "files/s, the best / SQLite's", f"files/s, {MANY} at once / {FEW}"
PASSWORD = "VISIONFLOW_DATABASE_PASSWORD"  # noqa: S105 - it is a name


def server(stage: Stage) -> None:
    """Measure first syncs into both, one after the other in each round, so that they compare."""
    if stage.server is None:
        stage.tell("server: left out, as --database names none")
        return
    widths = QUICK_WORKERS if stage.is_quick else WORKERS
    for what in stage.main_inputs:
        for _ in stage.each_round("server", what):
            ours = stage.ours(what, stage.fresh("ours"))
            alone = {"SQLite": seconds(ours)}
            stage.sheet.note("server", what.name, "SQLite, the pass alone", "s", alone["SQLite"])
            for workers in widths:
                with fresh(stage.server) as url:
                    run = stage.ours(what, url, settings={"VISIONFLOW_SYNC__WORKERS": str(workers)})
                done = run.event("pass finished")
                expect("files saved", int(done["saved"]) + int(done["skipped"]), what.files)
                name = f"PostgreSQL, {workers} at once"
                alone[name] = seconds(run)
                stage.sheet.note("server", what.name, f"{name}, the pass alone", "s", alone[name])
                stage.sheet.note("server", what.name, f"{name}, peak memory", "MB", run.peak_mb)
            best = min(taken for name, taken in alone.items() if name != "SQLite")
            few, many = (alone[f"PostgreSQL, {workers} at once"] for workers in (FEW, MANY))
            stage.sheet.note("server", what.name, BEST, "x", alone["SQLite"] / best)
            stage.sheet.note("server", what.name, GAIN, "x", few / many)


def seconds(run: Run) -> float:
    """Give how long the pass took, without the start of its process."""
    return float(run.event("pass finished")["seconds"])


@contextmanager
def fresh(url: str) -> Iterator[str]:
    """Give the URL of a database without a table, and drop it afterwards."""
    _execute(url, f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)", f"CREATE DATABASE {NAME}", "CHECKPOINT")
    parts = urlsplit(url)
    yield urlunsplit((parts.scheme, parts.netloc, f"/{NAME}", parts.query, ""))
    _execute(url, f"DROP DATABASE {NAME} WITH (FORCE)")


def described(url: str) -> dict[str, str]:
    """Tell what its figures hang on."""
    asked = ("server_version", "fsync", "wal_sync_method", "shared_buffers")
    return dict(zip(asked, _execute(url, *(f"SHOW {name}" for name in asked)), strict=True))


def _execute(url: str, *statements: str) -> list[Any]:
    """Execute statements by themselves; give the first value of each that has one."""
    import psycopg  # noqa: PLC0415 - where no server is measured, it need not be there

    with psycopg.connect(url, password=os.environ.get(PASSWORD), autocommit=True) as connection:
        cursors = [connection.execute(each.encode()) for each in statements]
        return [(cursor.fetchone() or [None])[0] if cursor.description else None for cursor in cursors]
