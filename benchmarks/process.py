"""Processes: a command run to its end, with the time it took and the most memory it held."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SCALE = 1 if sys.platform == "darwin" else 1024


@dataclass(frozen=True, slots=True)
class Run:
    """One finished process, with the most memory that it, or one of its children, held; and what this one had held."""

    seconds: float
    maxrss: int
    own_peak: int
    output: str

    @property
    def peak_mb(self) -> float:
        """Its peak. A process inherits that of the one that starts it, which must be the smaller one."""
        if self.maxrss <= self.own_peak:
            raise RuntimeError("the benchmark itself has grown larger than what it measures")
        return self.maxrss * SCALE / 1e6

    @property
    def last(self) -> dict[str, Any]:
        """The last line of its output, which is JSON."""
        found: dict[str, Any] = json.loads(self.output.splitlines()[-1])
        return found

    def event(self, name: str) -> dict[str, Any]:
        """The log line with this event."""
        lines = (json.loads(line) for line in self.output.splitlines())
        return next(line for line in lines if line.get("event") == name)


def environment(home: Path) -> dict[str, str]:
    """Give the environment of what is measured: of the user's own settings, a server's password alone."""
    kept = {
        name: os.environ[name]
        for name in ("PATH", "LD_LIBRARY_PATH", "TMPDIR", "VISIONFLOW_DATABASE_PASSWORD")
        if name in os.environ
    }
    state = {"HOME": str(home), "STATE_DIRECTORY": str(home)}
    return {**kept, **state, "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT), "GIT_CONFIG_NOSYSTEM": "1"}


def start(arguments: Sequence[str], home: Path) -> subprocess.Popen[bytes]:
    """Start one of our Python modules, its output thrown away, and leave it running."""
    return subprocess.Popen(
        [sys.executable, "-m", *arguments],
        env=environment(home),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def run(
    arguments: Sequence[str], home: Path, expect: int = 0, settings: Mapping[str, str] = MappingProxyType({})
) -> Run:
    """Run one of our Python modules to its end. Raises RuntimeError when it leaves with another code than expected."""
    command = [sys.executable, "-m", *arguments]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        started = time.perf_counter()
        process = subprocess.Popen(command, env={**environment(home), **settings}, cwd=ROOT, stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        output, complaints = out.read().decode(), err.read().decode()
    if process.returncode != expect:
        said = f"{output[-2000:]}{complaints[-2000:]}"
        raise RuntimeError(f"{shlex.join(command)} left with {process.returncode}, not {expect}:\n{said}")
    return Run(seconds, usage.ru_maxrss, _own_peak(), output)


def _own_peak() -> int:
    """Give the most memory, in KiB, that this process has held: on Linux its children begin with that much."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1])
