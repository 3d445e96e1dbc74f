"""A server's database is fast enough, beside an SQLite file in the same rounds, and many workers pay."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.servers import BEST, GAIN
from tests.postgresql.server import PASSWORD, Server, shared, started
from tests.support import PROJECT


def measure(server: Server, place: Path, *arguments: str) -> dict[tuple[str, str], float]:
    """Run the benchmark of servers; give the medians of what it measured."""
    path = place / "results.json"
    command = [sys.executable, "-m", "benchmarks", "--only", "server", "--database", server.url("postgres")]
    done = subprocess.run(
        [*command, "--json", str(path), *arguments],
        cwd=PROJECT,
        env={"PATH": "/usr/bin:/bin", "VISIONFLOW_DATABASE_PASSWORD": PASSWORD},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    written = json.loads(path.read_text())
    assert PASSWORD not in path.read_text()
    return {(row["subject"], row["measure"]): row["median"] for row in written["rows"]}


def test_a_quick_run_measures_both_engines(tmp_path: Path) -> None:
    found = measure(shared(), tmp_path, "--quick")
    assert {"SQLite, the pass alone", "PostgreSQL, 1 at once, the pass alone", BEST, GAIN} <= {
        each for _, each in found
    }
    assert all(value > 0 for value in found.values())


@pytest.mark.deep
def test_a_server_takes_at_least_half_as_many_files_a_second_and_more_with_four_workers(tmp_path: Path) -> None:
    """With fsync on. The bounds are loose: other programs of the machine take their share of the cores."""
    server = started(tmp_path, fsync="on")
    try:
        found = measure(server, tmp_path, "--sizes", "974", "--rounds", "3")
    finally:
        server.stop("fast")
    ratios = {each: value for (_, each), value in found.items() if each in {BEST, GAIN}}
    assert ratios[BEST] >= 0.5, ratios
    assert ratios[GAIN] >= 1.15, ratios
