"""What the environment says: variables laid over a configuration file's data, and where state is kept."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from visionflow_daemon.errors import ConfigError

PREFIX = "VISIONFLOW_"
EVENT = f"{PREFIX}EVENT"
"""What the variables begin with that tell a hook of an event. They are no keys: a hook may well run this program."""


class Given(str):
    """A value of the environment, as written: which type it has depends on the key that takes it."""

    __slots__ = ()

    def read(self) -> Any:  # noqa: ANN401 - any TOML value
        """Read the value as TOML; what isn't TOML is a string."""
        try:
            return tomllib.loads(f"value = {self}")["value"]
        except tomllib.TOMLDecodeError:
            return str(self)

    def text(self) -> str:
        """Read the value as a string: with quotation marks or without."""
        value = self.read()
        return value if isinstance(value, str) else str(self)


def override(data: dict[str, Any], environment: Mapping[str, str], *, apart: frozenset[str]) -> None:
    """Lay VISIONFLOW_SECTION__KEY=value over a file's data; `apart` are names that are no keys.

    Raises ConfigError with the variable's name where there is no such section.
    """
    for name in sorted(environment):
        if not name.startswith(PREFIX) or name.startswith(EVENT) or name in apart:
            continue
        *sections, key = name.removeprefix(PREFIX).lower().split("__")
        place: Any = data
        for section, inner in zip(sections, [*sections, key][1:], strict=True):
            place = _descend(place, section, name, is_list=inner.isdecimal())
        if not isinstance(place, dict):
            raise ConfigError(f"{name}: a key is due behind {key!r}, as in {name}__BRANCH")
        given = Given(environment[name])
        value = given.read()
        place[key] = value if isinstance(value, dict | list) else given


def _descend(place: Any, section: str, name: str, *, is_list: bool) -> Any:  # noqa: ANN401 - a node of parsed TOML
    """Go into a section, which is made where it is missing; the entry behind the last one of a list, too."""
    if isinstance(place, list) and section.isdecimal() and int(section) <= len(place):
        if int(section) == len(place):
            place.append({})
        return place[int(section)]
    if isinstance(place, dict):
        child = place.setdefault(section, [] if is_list else {})
        if isinstance(child, dict | list):
            return child
    raise ConfigError(f"{name}: there is no section {section!r} to override")


def state_directory(environment: Mapping[str, str]) -> Path:
    """Give where clones and times are kept: $STATE_DIRECTORY, as systemd sets it, else XDG's place for state."""
    if given := environment.get("STATE_DIRECTORY"):
        return Path(given.partition(":")[0])
    home = environment.get("XDG_STATE_HOME") or str(Path(environment.get("HOME") or "~").expanduser() / ".local/state")
    return Path(home) / "visionflow-daemon"
