"""Write locks: how long transactions hold the one write lock, and how long others wait for it."""

from __future__ import annotations

from typing import Any

from benchmarks.inputs import Input
from benchmarks.stage import Stage

WORKERS = 8
KINDS = {"held": "held", "waited": "waited for the lock", "both": "waited and held"}


def transactions(stage: Stage) -> None:
    """Watch all write transactions of a first sync by many workers."""
    for what in stage.main_inputs:
        for _ in stage.each_round("transactions", what):
            found = stage.inside("transactions", what, stage.fresh("ours"), f"--workers={WORKERS}").last
            for kind, shown in KINDS.items():
                for point in ("p50", "p99", "max"):
                    stage.sheet.note("transactions", what.name, f"{shown}, {point}", "ms", found[kind][point])
            stage.sheet.note("transactions", what.name, "transactions", "", found["transactions"])


def relink(stage: Stage) -> None:
    """Watch the transaction of a page that takes, and then gives up, a name that thousands of links mean."""
    what = stage.hub
    database = stage.synced(what)
    for _ in stage.each_round("relink", what):
        with what.at("taken"):
            taken = stage.inside("transactions", what, database, f"--workers={WORKERS}").last
        given_up = stage.inside("transactions", what, database, f"--workers={WORKERS}").last
        _note(stage, what, "a page takes the name: longest held", taken)
        _note(stage, what, "the page is deleted: longest held", given_up)


def _note(stage: Stage, what: Input, measure: str, found: dict[str, Any]) -> None:
    stage.sheet.note("relink", what.name, measure, "ms", found["held"]["max"])
