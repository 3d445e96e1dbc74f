"""A migration that is cut off at any point leaves the old database or the new one, whole."""

from __future__ import annotations

import os
import random
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.faults.support import rarely, remount, tmpfs, tool
from tests.legacy.builders import Builder, content
from tests.support import Daemon

pytestmark = pytest.mark.sqlite

SIZE = 800


def sizes(held: dict[str, Any]) -> dict[str, int]:
    """Count the rows of each table: all that two adoptions of one database have alike, beside their times."""
    return {table: len(rows) for table, rows in held.items()}


def state(path: Path, old: dict[str, Any], new: dict[str, Any]) -> str:
    """Say whether a database is old or new, and see that it is whole; asking brings a cut-off change to its end."""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    found = content(path)
    if "source_files" in found:
        assert sizes(found) == sizes(new)
        return "new"
    assert found == old
    return "old"


def kill_at_moments(
    daemon: Daemon, path: Path, verb: str, seconds: float, kills: int, states: tuple[dict[str, Any], dict[str, Any]]
) -> list[str]:
    """Kill a migration again and again, at moments spread over its time; give what was found after each."""
    chance = random.Random(5)  # noqa: S311 - moments, not secrets
    start, found = path.read_bytes(), []
    for number in range(kills):
        for stale in path.parent.glob(f"{path.name}*"):
            stale.unlink()
        path.write_bytes(start)
        process = daemon.start("migrate", verb, "--database", str(path))
        try:
            process.wait(seconds * (number + chance.random()) / kills)
        except subprocess.TimeoutExpired:
            process.kill()
        process.communicate()
        found.append(state(path, *states))
    return found


def timed(daemon: Daemon, path: Path, *arguments: str) -> float:
    started = time.monotonic()
    ran = daemon.run("migrate", *arguments, "--database", str(path))
    assert ran.code == 0, ran.err
    return time.monotonic() - started


@pytest.mark.parametrize("kills", [8, *rarely(120)])
@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_killed_on_the_way_up_and_down(daemon: Daemon, kills: int, journal: str) -> None:
    path = Builder(daemon.folder / "old.db", "A", SIZE).build()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
    before, old = content(path), path.read_bytes()
    seconds = timed(daemon, path, "up")
    new, states = path.read_bytes(), (before, content(path))
    path.write_bytes(old)
    found = kill_at_moments(daemon, path, "up", seconds * 1.2, kills, states)
    assert "old" in found

    path.write_bytes(new)
    seconds = timed(daemon, path, "down")
    path.write_bytes(new)
    found = kill_at_moments(daemon, path, "down", seconds * 1.2, kills, states)
    assert "new" in found
    if found[-1] == "new":
        timed(daemon, path, "down")
    assert content(path) == before


@pytest.mark.parametrize("room", [100, 900, 2_000, *rarely(300, 1_500, 3_000, 4_000)])
def test_a_full_disk(daemon: Daemon, room: int) -> None:
    with tmpfs(daemon.folder / "disk", "64m") as disk:
        path = Builder(disk / "old.db", "A", SIZE).build()
        before = content(path)
        remount(disk, f"size={path.stat().st_size // 1024 + room}k")
        ran = daemon.run("migrate", "up", "--database", str(path))
        assert ran.code == 6, ran.out
        assert "room" in ran.err or "disk full" in ran.err
        assert "Traceback" not in ran.err
        assert content(path) == before
        assert not list(disk.glob("*.part"))
        remount(disk, "size=64m")
        timed(daemon, path, "up")
        timed(daemon, path, "down")
        assert content(path) == before


def test_a_disk_that_fills_up_meanwhile(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check for room has passed: SQLite meets the full disk itself."""
    monkeypatch.setenv("PYTHONPATH", "")
    with tmpfs(daemon.folder / "disk", "64m") as disk:
        path = Builder(disk / "old.db", "A", SIZE).build()
        before = content(path)
        size = path.stat().st_size // 1024
        for room in (2 * size, 3 * size):
            program = (
                "import sys; from visionflow_daemon.storage import remake; remake.TIMES_THE_SIZE = 0\n"
                f"import subprocess; subprocess.run(['mount', '-o', 'remount,size={size + room}k', {str(disk)!r}])\n"
                f"sys.argv = ['visionflow-daemon', 'migrate', 'up', '--database', {str(path)!r}]\n"
                "from visionflow_daemon.cli.main import main; main()"
            )
            ran = daemon.run_python(program)
            if ran.code == 0:
                break
            assert ran.code == 6, ran.err
            assert "disk full" in ran.err or "room" in ran.err, ran.err
            assert content(path) == before
            for backup in disk.glob("*.bak"):
                backup.unlink()


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_reader_sees_the_old_or_the_new(daemon: Daemon, journal: str) -> None:
    path = Builder(daemon.folder / "old.db", "A", SIZE).build()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal}")
        (classes,) = connection.execute("SELECT COUNT(*) FROM owl_classes").fetchone()
    seen: list[Any] = []
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            seen.append(look(path))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        timed(daemon, path, "up")
        timed(daemon, path, "down")
    finally:
        over.set()
        reader.join()
    assert ("old", classes) in seen
    assert ("new", classes) in seen
    assert {each[0] for each in seen} <= {"old", "new", "busy"}
    assert {each[1] for each in seen if each[0] == "old"} == {classes}
    assert len({each[1] for each in seen if each[0] == "new"}) == 1


def look(path: Path) -> tuple[str, int]:
    """Count the classes as either program would; a file whose change is being committed says that it is busy."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=20)) as connection:
        try:
            connection.execute("BEGIN")
            names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
            if "source_files" not in names:
                return "old", connection.execute("SELECT COUNT(*) FROM owl_classes").fetchone()[0]
            quarantined = "SELECT COUNT(*) FROM migration_quarantine WHERE table_name = 'owl_classes'"
            (apart,) = connection.execute(quarantined).fetchone()
            declared = "SELECT COUNT(*) FROM owl_classes WHERE is_declared = 1"
            return "new", connection.execute(declared).fetchone()[0] + apart
        except sqlite3.OperationalError as error:
            if "locked" not in str(error):
                raise
            return "busy", 0


def no_classes(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096 * 3)
        file.write(os.urandom(4096))


def cut_short(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


@pytest.mark.parametrize("harm", [no_classes, cut_short])
def test_a_damaged_database_is_not_touched(daemon: Daemon, harm: Callable[[Path], None]) -> None:
    path = Builder(daemon.folder / "old.db", "A", SIZE).build()
    harm(path)
    before = path.read_bytes()
    ran = daemon.run("migrate", "up", "--database", str(path))
    assert ran.code == 6, ran.err
    assert "damaged" in ran.err or "corrupt" in ran.err
    assert path.read_bytes() == before
    assert not list(daemon.folder.glob("*.bak"))


@pytest.mark.deep
@pytest.mark.parametrize("shape", ["A", "B", "C", "D", "mixed"])
def test_a_hundred_thousand_classes(daemon: Daemon, shape: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = Builder(daemon.folder / "old.db", shape, 100_000).build()
    before = content(path)
    under = Daemon(daemon.folder, under=tool("time", "-f", "%M %U %S"))
    figures = []
    for verb in ("up", "down"):
        started = time.monotonic()
        ran = under.run("migrate", verb, "--ontology-id", "main", "--database", str(path), timeout=900)
        assert ran.code == 0, ran.err
        kilobytes, user, system = ran.err.splitlines()[-1].split()
        figures.append(
            (verb, round(time.monotonic() - started, 1), float(user) + float(system), int(kilobytes) // 1024)
        )
        assert int(kilobytes) < 150 * 1024
        assert float(user) + float(system) < 60
    with capsys.disabled():
        print(f"\n{shape}: verb, seconds, of the processor, MB: {figures}")  # noqa: T201 - what one runs it for
    assert content(path) == before
