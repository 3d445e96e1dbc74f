"""Log lines sent elsewhere: rsyslog, configured as docs/shipping has it, gets each of ours once and whole."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import PROJECT

SHIPPING = PROJECT / "docs" / "shipping"
LINES = 10_000
LONG, LONGEST, LONGEST_IN_JOURNAL = 130, 2_500, 1_190
"""How often the hard text stands in a line of a hundred, and of a thousand: 5 kB, 100 kB, and what journald takes."""

SAYS = (
    "import structlog, sys\n"
    "from visionflow_daemon import logs\n"
    "logs.configure('json', 'info')\n"
    "log = structlog.get_logger()\n"
    "for n in range(int(sys.argv[1]), int(sys.argv[2])):\n"
    "    much = 2 if n % 100 else int(sys.argv[3]) if n % 1000 else int(sys.argv[4])\n"
    "    reason = 'Grüße 検証 😀 \\\\ \" \\n\\u2028\\x1b' * much\n"
    "    log.warning('file failed', n=n, path=f'é{n}.md', line=None, reason=reason)\n"
)


def rsyslogd() -> str:
    """Find rsyslogd, or skip the test."""
    found = shutil.which("rsyslogd") or shutil.which("rsyslogd", path="/usr/sbin:/sbin")
    if found is None:
        pytest.skip("rsyslogd is not installed")
    return found


def has_imjournal() -> bool:
    """Tell whether rsyslog can read the journal."""
    return any(Path("/usr").glob("lib*/**/rsyslog/imjournal.so"))


def for_folder(name: str, folder: Path) -> Path:
    """Write a shipped configuration for a folder of its own in place of the system's."""
    text = (SHIPPING / name).read_text().replace("/var/log/visionflow", str(folder))
    config = folder / name
    config.write_text(f'global(workDirectory="{folder}")\n{text}')
    return config


@pytest.fixture
def shipped(tmp_path: Path) -> Iterator[Path]:
    """A folder whose passes.jsonl a running rsyslogd ships to shipped.jsonl."""
    program = rsyslogd()
    config = for_folder("rsyslog-imfile.conf", tmp_path)
    (tmp_path / "passes.jsonl").touch()
    with (tmp_path / "errors").open("wb") as errors:
        process = subprocess.Popen(
            [program, "-n", "-f", str(config), "-i", str(tmp_path / "pid")], stdout=errors, stderr=errors
        )
    try:
        yield tmp_path
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    assert (tmp_path / "errors").read_text() == ""


def say(folder: Path, first: int, end: int) -> list[Any]:
    """Have our logger write lines as a pass does, at the end of a file; give what they say."""
    lines = said(first, end, LONGEST)
    with (folder / "passes.jsonl").open("ab") as log:
        log.write(lines)
    return [json.loads(line) for line in lines.decode().splitlines()]


def said(first: int, end: int, longest: int) -> bytes:
    """Give what our logger writes for these numbers."""
    command = [sys.executable, "-c", SAYS, *map(str, (first, end, LONG, longest))]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout


def arrived(folder: Path, count: int, name: str = "shipped.jsonl", seconds: float = 60) -> list[bytes]:
    """Wait until so many lines have arrived, and a moment more for those that come twice; give them."""
    deadline = time.monotonic() + seconds
    path = folder / name
    while time.monotonic() < deadline:
        if path.exists() and path.read_bytes().count(b"\n") >= count:
            break
        time.sleep(0.1)
    time.sleep(0.5)
    return path.read_bytes().split(b"\n")[:-1] if path.exists() else []


def test_rsyslog_ships_every_line_once_and_whole(shipped: Path, record_property: Any) -> None:  # noqa: ANN401
    began = time.monotonic()
    told = say(shipped, 0, LINES // 2)
    assert len(arrived(shipped, LINES // 2)) == LINES // 2
    (shipped / "passes.jsonl").rename(shipped / "passes.jsonl.1")  # as logrotate does, between two passes
    told += say(shipped, LINES // 2, LINES)
    with (shipped / "passes.jsonl").open("ab") as log:
        log.write(b"sh: visionflow-daemon: not found\n")
    lines = arrived(shipped, LINES)
    record_property("seconds", round(time.monotonic() - began, 2))
    got = [json.loads(line) for line in lines]
    files = (shipped / "passes.jsonl.1").read_bytes() + (shipped / "passes.jsonl").read_bytes()
    assert sum(len(line) > 5_000 for line in files.splitlines()) == LINES // 100
    assert sum(len(line) > 100_000 for line in files.splitlines()) == LINES // 1_000
    assert [event["n"] for event in got] == list(range(LINES))
    assert got == told
    assert arrived(shipped, 1, "unparsed.log") == [b"sh: visionflow-daemon: not found"]


@pytest.mark.parametrize("name", ["rsyslog-imfile.conf", "rsyslog-imjournal.conf"])
def test_rsyslog_takes_the_configurations(tmp_path: Path, name: str) -> None:
    if "imjournal" in name and not has_imjournal():
        pytest.skip("rsyslog has no imjournal here")
    checked = subprocess.run(
        [rsyslogd(), "-N1", "-f", str(for_folder(name, tmp_path))], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    assert "error" not in checked.stderr.lower()
