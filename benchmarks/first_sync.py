#!/usr/bin/env python3
"""Measures a first sync as a whole process: seconds, files a second, peak memory; beside another command if given.

    python benchmarks/first_sync.py kg.git --include 'ontology/pages/*.md' --beside 'python floor.py kg.git {database}'

Rounds are interleaved, and the ratio is taken round by round, so that a machine whose speed drifts can't mislead.
In the other command, {database} stands for a file that is new each round.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sqlite3
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Measured:
    """One finished process."""

    seconds: float
    peak_mb: float


def measure(command: list[str]) -> Measured:
    """Run a command to its end, its output thrown away. Raises SystemExit when it fails."""
    started = time.perf_counter()
    silent = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    pid = os.posix_spawnp(command[0], command, os.environ, file_actions=silent)
    _, status, usage = os.wait4(pid, 0)
    seconds = time.perf_counter() - started
    if (code := os.waitstatus_to_exitcode(status)) != 0:
        raise SystemExit(f"{shlex.join(command)} left with {code}")
    scale = 1 if sys.platform == "darwin" else 1024
    return Measured(seconds, usage.ru_maxrss * scale / 1e6)


def shown(name: str, runs: list[Measured], files: int) -> str:
    """Give one line: medians, with least and most."""
    seconds = [run.seconds for run in runs]
    middle = statistics.median(seconds)
    peak = statistics.median(run.peak_mb for run in runs)
    return (
        f"{name:<12} {middle:6.2f} s ({min(seconds):.2f} to {max(seconds):.2f})  {files / middle:7.0f} files/s"
        f"  peak {peak:5.1f} MB"
    )


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="the repository, a path")
    parser.add_argument("--include", action="append", default=[], help="which files, as in .gitignore")
    parser.add_argument("--beside", help="another command, run in turn with ours")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", help="threads")
    given = parser.parse_args()
    ours: list[Measured] = []
    theirs: list[Measured] = []
    files = 0
    for round_number in range(given.rounds + 1):
        with tempfile.TemporaryDirectory() as folder:
            database = Path(folder) / "ours.db"
            command = [sys.executable, "-m", "visionflow_daemon", "--once", "--source", given.source]
            command += ["--database", str(database), *(f"--include={glob}" for glob in given.include)]
            command += ["--workers", given.workers] if given.workers else []
            mine = measure(command)
            if round_number:  # the first round warms the caches of the disk
                ours.append(mine)
            connection = sqlite3.connect(database)
            (files,) = connection.execute("SELECT COUNT(*) FROM source_files").fetchone()
            connection.close()
            if given.beside:
                other = measure(shlex.split(given.beside.format(database=Path(folder) / "other.db")))
                if round_number:
                    theirs.append(other)
    print(shown("ours", ours, files))
    if theirs:
        ratios = [mine.seconds / other.seconds for mine, other in zip(ours, theirs, strict=True)]
        print(shown("beside", theirs, files))
        print(f"ratio        {statistics.median(ratios):6.2f}   ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
