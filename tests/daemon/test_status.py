"""The line that systemd shows: all sources in it, and still a line."""

from __future__ import annotations

from visionflow_daemon.daemon.status import LONGEST, Status
from visionflow_daemon.ops.systemd import Notify


class Line(Notify):
    """Keeps what is told last."""

    def __init__(self) -> None:
        super().__init__({})
        self.text = ""
        self.is_progress = False

    def status(self, text: str, *, is_progress: bool = False) -> None:
        """Keep it."""
        self.text, self.is_progress = text, is_progress


def test_one_source() -> None:
    line = Line()
    status = Status(line)
    status.begins("a")
    assert (line.text, line.is_progress) == ("syncing a", False)
    status.moves("a", 10, 300)
    assert (line.text, line.is_progress) == ("syncing a: 10 of 300 files", True)
    status.fine("a", "a is at 123")
    assert line.text == "waiting; a is at 123"
    status.moves("a", 11, 300)
    assert line.text == "waiting; a is at 123", "a pass that is over moved"


def test_several_sources_with_what_ails_one() -> None:
    line = Line()
    status = Status(line)
    status.begins("a")
    status.begins("b")
    status.moves("a", 1, 2)
    assert line.text == "syncing a: 1 of 2 files; b"
    status.troubled("b", "the last pass of b failed: why")
    assert line.text == "syncing a: 1 of 2 files; the last pass of b failed: why"
    status.fine("a", "a is at 1")
    status.fine("c", "c is at 2")
    assert line.text == "waiting; the last pass of b failed: why; c is at 2; a is at 1"
    status.forget("b")
    assert line.text == "waiting; c is at 2; a is at 1"


def test_it_stays_short() -> None:
    line = Line()
    status = Status(line)
    for number in range(1_000):
        status.begins(f"ontology-{number:04}")
    assert line.text.startswith("syncing ontology-0000; ontology-0001; ")
    assert line.text.endswith(" more")
    assert len(line.text) < LONGEST + 40
    shown = line.text.count("ontology-")
    assert line.text.endswith(f"; and {1_000 - shown} more")
    status = Status(line)
    status.troubled("a", "x" * 100_000)
    assert len(line.text) < LONGEST
    assert line.text.endswith("…")
