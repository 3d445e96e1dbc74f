"""What a process needs of the system, as /proc tells it, and what it leaves on the disk."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

LOOKS, MOST_LOOKS = 8, 200
"""A thread that answers a request, or a descriptor that a pass has open, is gone at the next look; a child later."""

HEAP = 64 << 20
"""Bytes of addresses that glibc reserves for each heap of a thread."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """One measurement: memory in MB, files and threads in numbers, the disk in KiB."""

    resident: float
    proportional: float
    anonymous: float
    peak: float
    descriptors: int
    threads: int
    watches: int
    children: int
    database: int
    log: int
    state: int
    packs: int

    def __str__(self) -> str:
        return (
            f"resident {self.resident:5.1f} MB (its own {self.anonymous:5.1f}, proportional {self.proportional:5.1f}, "
            f"peak {self.peak:5.1f}), {self.descriptors} descriptors, {self.threads} threads, {self.watches} watches, "
            f"{self.children} children; database {self.database:,} KiB, log {self.log:,}, state {self.state:,}, "
            f"packs {self.packs}"
        )


def measure(process: int, database: Path, state: Path) -> Vitals:
    """Measure a process that is at rest."""
    proc = Path(f"/proc/{process}")
    told = _fields(proc / "status")
    counted: list[tuple[int, int, int]] = []
    pause = threading.Event()
    while len(counted) < LOOKS or (min(counted)[0] and len(counted) < MOST_LOOKS):
        counted.append((_children(proc), _descriptors(proc), int(_fields(proc / "status")["Threads"])))
        pause.wait(0.02)
    children, descriptors, threads = (min(each) for each in zip(*counted, strict=True))
    return Vitals(
        resident=_megabytes(told["VmRSS"]),
        proportional=_megabytes(_fields(proc / "smaps_rollup")["Pss"]),
        anonymous=_megabytes(told["RssAnon"]),
        peak=_megabytes(told["VmHWM"]),
        descriptors=descriptors,
        threads=threads,
        watches=_watches(proc),
        children=children,
        database=_size(database),
        log=_size(database.with_name(f"{database.name}-wal")),
        state=sum(_size(path) for path in state.rglob("*") if path.is_file()),
        packs=sum(path.suffix == ".pack" for path in state.rglob("pack-*")),
    )


def _fields(path: Path) -> dict[str, str]:
    lines = (line.partition(":") for line in path.read_text().splitlines())
    return {name: value.strip() for name, _, value in lines}


def _megabytes(text: str) -> float:
    return int(text.split(maxsplit=1)[0]) / 1024


def _descriptors(proc: Path) -> int:
    return len(list((proc / "fd").iterdir()))


def _children(proc: Path) -> int:
    found = 0
    for task in (proc / "task").iterdir():
        try:
            found += len((task / "children").read_text().split())
        except OSError:  # the thread has ended meanwhile
            continue
    return found


def _watches(proc: Path) -> int:
    found = 0
    for each in (proc / "fdinfo").iterdir():
        try:
            found += each.read_text().count("inotify wd:")
        except OSError:  # closed meanwhile
            continue
    return found


def _size(path: Path) -> int:
    try:
        return path.stat().st_size // 1024
    except FileNotFoundError:
        return 0


def anonymous(process: int) -> float:
    """Give a process's own memory in MB, once it no longer changes."""
    path, pause, known = Path(f"/proc/{process}/status"), threading.Event(), -1.0
    for _ in range(MOST_LOOKS):
        held = _megabytes(_fields(path)["RssAnon"])
        if held == known:
            break
        known = held
        pause.wait(0.2)
    return known


def arenas(process: int) -> int:
    """Count the heaps, beside the first, that glibc has reserved: 64 MiB of addresses each, for threads."""
    found, reserved, end = 0, 0, ""
    for line in Path(f"/proc/{process}/maps").read_text().splitlines():
        addresses, rights, _, device, *_ = line.split()
        begin, _, last = addresses.partition("-")
        size = int(last, 16) - int(begin, 16)
        if rights == "---p" and device == "00:00" and begin == end and reserved + size == HEAP:
            found += 1
        reserved, end = (size if rights == "rw-p" else 0), last
    return found
