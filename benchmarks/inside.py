"""Inside: passes in a process that stays up, `python -m benchmarks.inside`; its last line is JSON."""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pygit2

from visionflow_daemon import logs
from visionflow_daemon.config.values import DEFAULT_INCLUDE, Config, SourceConfig, SyncConfig
from visionflow_daemon.git import repository
from visionflow_daemon.git.repository import Network
from visionflow_daemon.passes import job_of
from visionflow_daemon.storage.database import Database
from visionflow_daemon.storage.migrate import open_migrated
from visionflow_daemon.sync.job import Services
from visionflow_daemon.sync.run import Summary, run_pass


class Resident:
    """A process that stays up: everything is imported and open before a pass begins."""

    def __init__(self, source: Path, database: Path, include: Sequence[str], workers: int | None) -> None:
        repository.configure(Network())
        logs.configure("json", "info")
        origin = SourceConfig(str(source), include=tuple(include))
        config = replace(Config(), sources=(origin,), sync=SyncConfig(workers=workers))
        self.source = source
        self.job = job_of(config, origin)
        self.database: Database = open_migrated(str(database), Path.cwd())[0]
        self.services = Services(self.database)

    def sync(self) -> Summary:
        """Run one pass."""
        return run_pass(self.job, self.services, lambda: repository.find_local(str(self.source), None, Path.cwd()))

    def move(self, branch: str) -> None:
        """Let HEAD be at another branch's commit."""
        opened = pygit2.Repository(str(self.source))
        target = opened.references[f"refs/heads/{branch}"].target
        opened.references.create("refs/heads/main", target, force=True)
        opened.free()


def passes(resident: Resident, branches: Sequence[str], repeat: int) -> dict[str, object]:
    """Time passes, each after HEAD has moved to the next of some branches; to none, for passes with nothing to do."""
    resident.sync()
    seconds = []
    changed = []
    for _ in range(repeat):
        for branch in branches or [""]:
            if branch:
                resident.move(branch)
            started = time.perf_counter()
            summary = resident.sync()
            seconds.append(time.perf_counter() - started)
            changed.append(summary.plan.size)
    return {"seconds": statistics.median(seconds), "changed": changed}


def transactions(resident: Resident) -> dict[str, object]:
    """Watch every write transaction of one pass; give milliseconds waited for the lock, held, and both together."""
    samples: list[tuple[float, float]] = []
    resident.database.observe = lambda waited, held: samples.append((waited, held))
    summary = resident.sync()
    of: dict[str, Callable[[float, float], float]] = {
        "waited": lambda waited, _: waited,
        "held": lambda _, held: held,
        "both": lambda waited, held: waited + held,
    }
    found = {name: spread([1000 * measure(*sample) for sample in samples]) for name, measure in of.items()}
    return {"transactions": len(samples), "changed": summary.plan.size, **found}


def spread(values: Sequence[float]) -> dict[str, float]:
    """Give the middle, what all but a hundredth keep to, and the most."""
    ordered = sorted(values)
    return {"p50": ordered[len(ordered) // 2], "p99": ordered[int(len(ordered) * 0.99)], "max": ordered[-1]}


def main() -> None:
    """Run passes, and print what they took."""
    parser = argparse.ArgumentParser(description="Measures passes in a process that stays up.")
    parser.add_argument("what", choices=("passes", "transactions"))
    parser.add_argument("repository", type=Path)
    parser.add_argument("database", type=Path)
    parser.add_argument("--include", action="append")
    parser.add_argument("--branch", action="append", default=[])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--workers", type=int)
    given = parser.parse_args()
    resident = Resident(given.repository, given.database, given.include or DEFAULT_INCLUDE, given.workers)
    found = passes(resident, given.branch, given.repeat) if given.what == "passes" else transactions(resident)
    resident.database.close()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
