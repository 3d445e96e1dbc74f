"""The units of systemd/ are what systemd understands, and shut in."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import PROJECT
from visionflow_daemon.errors import ExitCode

FOLDER = PROJECT / "systemd"
SERVICE = FOLDER / "visionflow-daemon.service"
EXPOSURE = 15
"""The most that `systemd-analyze security` may count, times ten."""


def analyze(*arguments: object) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    command = ["systemd-analyze", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def settings(unit: Path = SERVICE) -> dict[str, list[str]]:
    """Read a unit: each key with all its values."""
    found: dict[str, list[str]] = {}
    for line in unit.read_text("utf-8").splitlines():
        key, separator, value = line.partition("=")
        if separator and not line.startswith("#"):
            found.setdefault(key, []).append(value)
    return found


def directives(unit: Path) -> str:
    """Give the lines of a unit that systemd heeds."""
    lines = unit.read_text("utf-8").splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith("#") and line.strip())


@pytest.mark.parametrize("unit", sorted(path.name for path in FOLDER.iterdir()))
def test_systemd_finds_nothing_to_say_about_a_unit(unit: str) -> None:
    done = analyze("verify", FOLDER / unit)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("unit", [SERVICE, SERVICE.with_name("visionflow-daemon@.service")], ids=lambda unit: unit.name)
def test_the_daemon_is_shut_in(unit: Path) -> None:
    done = analyze("security", "--offline=true", f"--threshold={EXPOSURE}", unit)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr


def test_the_unit_fits_what_the_daemon_does() -> None:
    held = settings()
    assert held["Type"] == ["notify"]
    assert held["RestartPreventExitStatus"] == [str(int(ExitCode.USAGE))]
    (command,) = held["ExecStart"]
    assert command.split()[:2] == ["/usr/bin/env", "visionflow-daemon"]
    assert "--once" not in command


@pytest.mark.parametrize("unit", sorted(FOLDER.glob("*.service")), ids=lambda unit: unit.name)
def test_the_journal_takes_all_lines_of_a_unit_under_one_name(unit: Path) -> None:
    held = settings(unit)
    assert held["SyslogIdentifier"] == ["visionflow-daemon"]
    assert held["LogRateLimitIntervalSec"] == ["0"]


@pytest.mark.parametrize("unit", sorted(FOLDER.glob("*@.*")), ids=lambda unit: unit.name)
def test_a_template_is_the_unit_that_it_is_made_of_with_an_instances_own_places(unit: Path) -> None:
    own = {
        "User=visionflow-%i\n": "",
        "/etc/visionflow/%i.toml": "/etc/visionflow/config.toml",
        "StateDirectory=visionflow-daemon/%i": "StateDirectory=visionflow",
        "%S/visionflow-daemon/%i": "%S/visionflow",
        " of %i": "",
    }
    text = directives(unit)
    for theirs, plain in own.items():
        assert theirs in text or unit.suffix == ".timer"
        text = text.replace(theirs, plain)
    assert text == directives(unit.with_name(unit.name.replace("@", "")))
