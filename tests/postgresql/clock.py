"""A clock of its own for processes, by libfaketime: it is turned while they run."""

from __future__ import annotations

from pathlib import Path

import pytest

LIBRARIES = [
    *Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"),
    *Path("/usr/lib64/faketime").glob("libfaketimeMT*"),
]


class Clock:
    """A clock of its own for processes, whose time is off by as much as a file says."""

    def __init__(self, file: Path) -> None:
        if not LIBRARIES:
            pytest.skip("libfaketime is not installed (Debian's package faketime)")
        self._file = file
        self.turn(0)

    def turn(self, seconds: int) -> None:
        """Be off by so many seconds from now on."""
        aside = self._file.with_suffix(".new")
        aside.write_text(f"{seconds:+d}\n")
        aside.chmod(0o644)
        aside.replace(self._file)

    @property
    def environment(self) -> dict[str, str]:
        """Have a process, and its children, go by this clock; but for what measures spans."""
        return {
            "LD_PRELOAD": str(LIBRARIES[0]),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
