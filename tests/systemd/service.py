"""A unit as it is shipped, in a booted machine: configured, started, and looked at from outside."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.engines import assert_sound
from tests.support import Daemon, assert_documented, eventually
from tests.systemd.machine import Machine

DAEMON, ONCE = "visionflow-daemon", "visionflow-daemon-once"
STANDARD_ERROR = "visionflow-daemon: "
CONFIG = "/etc/visionflow/config.toml"
SOON = "[Service]\nRestartSec=100ms\n"


@dataclass(slots=True)
class Service:
    """One unit during one test; what it leaves goes with `cleared`."""

    machine: Machine
    name: str = DAEMON
    _before: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self._before = len(self._entries())

    @property
    def _instance(self) -> str:
        return self.name.partition("@")[2]

    @property
    def _state(self) -> str:
        return f"visionflow-daemon/{self._instance}" if self._instance else "visionflow"

    @property
    def config(self) -> str:
        """Where the unit finds its configuration."""
        return f"/etc/visionflow/{self._instance}.toml" if self._instance else CONFIG

    @property
    def database(self) -> Path:
        """The database, as the host sees it."""
        return self.machine.state / self._state / "visionflow.db"

    def configure(self, *sources: str, extra: str = "", before: str = "") -> None:
        """Write the configuration: each source, by its location and the keys that follow it."""
        text = f'{before}database = "sqlite:////var/lib/{self._state}/visionflow.db"\n'
        for number, source in enumerate(sources):
            location, *keys = source.splitlines()
            name = "default" if not number else f"o{number}"
            text += "\n".join(["[[sources]]", f'location = "{location}"', f'ontology_id = "{name}"', *keys, ""])
        self.machine.path(self.config).write_text(f"{text}{extra}")

    def change(self, settings: str, unit: str = "") -> None:
        """Lay settings over the unit that is shipped, as `systemctl edit` does."""
        folder = self.machine.path(f"/run/systemd/system/{unit or f'{self.name}.service'}.d")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "test.conf").write_text(settings)
        self.machine.ask("systemctl", "daemon-reload")

    def start(self) -> None:
        """Start it; where it tells when it is ready, this waits for that."""
        done = self.machine.run("systemctl", "start", self.name)
        assert done.returncode == 0, self._shown()

    def stop(self) -> None:
        """Stop it."""
        self.machine.ask("systemctl", "stop", self.name)

    def show(self, name: str) -> str:
        """Give one property of the unit."""
        return self.machine.ask("systemctl", "show", "--value", f"--property={name}", self.name)

    @property
    def process(self) -> Path:
        """The main process in /proc, as the machine sees it."""
        return self.machine.path(f"/proc/{self.show('MainPID')}")

    def kill(self, signal: str) -> None:
        """Send a signal to the main process alone."""
        self.machine.ask("systemctl", "kill", f"--signal={signal}", "--kill-whom=main", self.name)

    def _entries(self) -> list[dict[str, Any]]:
        return self.machine.journal(f"_SYSTEMD_UNIT={self.name}.service", "_TRANSPORT=stdout")

    def lines(self) -> list[str]:
        """Give what it has said in this test, as the journal holds it."""
        return [entry["MESSAGE"] for entry in self._entries()[self._before :]]

    def events(self) -> list[dict[str, Any]]:
        """Give its log lines, each of which is valid by docs/log-schema.json, beside what it says on standard error."""
        lines = [line for line in self.lines() if not line.startswith(STANDARD_ERROR)]
        assert_documented(lines)
        return [json.loads(line) for line in lines]

    def until(self, event: str, count: int = 1, timeout: float = 20, **fields: object) -> dict[str, Any]:
        """Wait until so many log lines of this event, with these fields, have come; give the last."""
        found: list[dict[str, Any]] = []

        def is_there() -> bool:
            found[:] = [line for line in self.events() if line["event"] == event and fields.items() <= line.items()]
            return len(found) >= count

        self.wait(is_there, timeout)
        return found[count - 1]

    def wait(self, condition: Callable[[], bool], timeout: float = 20) -> None:
        """Wait for something that it brings about."""
        try:
            eventually(condition, timeout)
        except AssertionError:
            raise AssertionError(self._shown()) from None

    def _shown(self) -> str:
        told = self.machine.run("systemctl", "status", "--no-pager", "--full", "--lines=20", self.name).stdout
        return "\n".join([told, *self.lines()[-20:]])

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the database, as any reader may; nothing where there is none yet."""
        try:
            with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as connection:
                return connection.execute(sql).fetchall()
        except sqlite3.OperationalError:
            return []

    def saved(self) -> int:
        """Count the files saved so far."""
        return sum(count for (count,) in self.query("SELECT COUNT(*) FROM source_files"))

    def assert_exact(self, repository: Path, fresh: Daemon) -> None:
        """See that the database is sound, and equal to a fresh one of the same commit."""
        assert_sound(self.database)
        (fresh.folder / "fresh.db").unlink(missing_ok=True)
        fresh.once(repository, database="fresh.db")
        assert fresh.dump_bytes(str(self.database)) == fresh.dump_bytes("fresh.db")

    def cleared(self) -> None:
        """Stop it, and leave the machine as it was."""
        self.machine.run("systemctl", "stop", self.name)
        self.machine.run("systemctl", "reset-failed")
        for changes in self.machine.path("/run/systemd/system").glob("visionflow-*.d"):
            shutil.rmtree(changes)
        self.machine.ask("systemctl", "daemon-reload")
        for place in (self.machine.state, self.machine.pages):
            for left in place.iterdir():
                shutil.rmtree(left)
