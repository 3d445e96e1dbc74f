"""The journal loses none of the daemon's lines, and rsyslog ships them from there as docs/shipping has it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support import eventually
from tests.systemd.machine import PYTHON, Machine
from tests.systemd.service import Service
from tests.test_shipping import LINES, LONG, LONGEST_IN_JOURNAL, SAYS, SHIPPING, has_imjournal, rsyslogd, said

pytestmark = pytest.mark.sqlite

FOLDER = "/var/log/visionflow"
SHIPS = "visionflow-ships"


@pytest.fixture
def unit(machine: Machine) -> Iterator[Service]:
    """The daemon's unit, as it is shipped, but that another program says lines of ours."""
    machine.path("/opt/say.py").write_text(SAYS)
    service = Service(machine)
    service.change(
        "[Service]\nType=oneshot\nRestart=no\nExecStart=\n"
        f"ExecStart={PYTHON} /opt/say.py 0 {LINES} {LONG} {LONGEST_IN_JOURNAL}\n"
    )
    try:
        yield service
    finally:
        service.cleared()


@pytest.fixture
def ships(machine: Machine) -> Iterator[Callable[[], list[bytes]]]:
    """A running rsyslogd that ships the journal; gives what has arrived."""
    if not has_imjournal():
        pytest.skip("rsyslog has no imjournal here")
    folder = machine.path(FOLDER)
    folder.mkdir(exist_ok=True)
    name = "rsyslog-imjournal.conf"
    (folder / name).write_text(f'global(workDirectory="{FOLDER}")\n{(SHIPPING / name).read_text()}')
    machine.ask("systemd-run", "--quiet", f"--unit={SHIPS}", rsyslogd(), "-n", "-iNONE", "-f", f"{FOLDER}/{name}")
    shipped = folder / "shipped.jsonl"
    try:
        yield lambda: shipped.read_bytes().splitlines(keepends=True) if shipped.exists() else []
        unparsed = folder / "unparsed.log"
        assert not unparsed.exists() or all(
            line.startswith("visionflow-daemon: ") for line in unparsed.read_text().splitlines()
        )
    finally:
        machine.ask("systemctl", "stop", SHIPS)


def plain(line: bytes | str) -> dict[str, Any]:
    """Give what a line says, but for the time, and for the numbers of other tests."""
    event: dict[str, Any] = json.loads(line)
    del event["timestamp"]
    return event


def test_the_journal_has_every_line_and_rsyslog_ships_each_once_and_whole(
    unit: Service, ships: Callable[[], list[bytes]]
) -> None:
    expected = [plain(line) for line in said(0, LINES, LONGEST_IN_JOURNAL).splitlines()]
    unit.start()
    lines = unit.lines()
    assert [plain(line) for line in lines] == expected
    assert 40_000 < max(map(len, map(str.encode, lines))) < 48 << 10

    def arrived() -> list[dict[str, Any]]:
        return [event for line in ships() if line.endswith(b"\n") and "n" in (event := plain(line))]

    eventually(lambda: len(ships()) >= LINES and len(arrived()) >= LINES, 60)
    assert arrived() == expected
