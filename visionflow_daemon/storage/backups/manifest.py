"""What stands beside a backup: of which database it is, of when, and the checksums of its archive and its content."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from visionflow_daemon.errors import DatabaseError

FORMAT = "visionflow-backup"
VERSION = 1
ENDING = ".gz"
MANIFEST_ENDING = ".gz.json"
LARGEST_MANIFEST = 1 << 20
"""Bytes. One of a thousand ontologies takes a tenth of it."""

NAME = re.compile(r"(?P<database>.+)\.(?P<moment>\d{8}T\d{6}\.\d{3}Z)\.gz", re.DOTALL)
SHA256 = re.compile(r"[0-9a-f]{64}")
LARGEST_SIZE = 1 << 48
"""Bytes: SQLite's own limit of a database."""


@dataclass(frozen=True, slots=True)
class Digest:
    """The size in bytes of a file, and its SHA-256 in hexadecimal."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """All that is known of a backup. `commits` are those that its ontologies are synced to, if they are."""

    name: str
    taken_at: datetime
    database: str
    program: str
    schema_version: int
    commits: Mapping[str, str | None]
    archive: Digest
    content: Digest

    def text(self) -> str:
        """Write it as JSON, in ASCII."""
        value = {
            "format": FORMAT,
            "version": VERSION,
            "taken_at": written(self.taken_at),
            "database": self.database,
            "program": self.program,
            "schema_version": self.schema_version,
            "commits": dict(self.commits),
            "archive": {"name": self.name, "bytes": self.archive.bytes, "sha256": self.archive.sha256},
            "content": {"bytes": self.content.bytes, "sha256": self.content.sha256},
        }
        return json.dumps(value, indent=2) + "\n"


def name_of(database: str, moment: datetime) -> str:
    """Name the archive of a database's backup: names sort as their times do."""
    return f"{database}.{moment_in_name(moment)}{ENDING}"


def moment_in_name(moment: datetime) -> str:
    """Write a moment as names hold it, in UTC and to the millisecond."""
    at = moment.astimezone(UTC)
    return f"{at:%Y%m%dT%H%M%S}.{at.microsecond // 1_000:03}Z"


def written(moment: datetime) -> str:
    """Write a moment as manifests and answers hold it, in UTC and to the millisecond."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


def read(path: Path) -> Manifest:
    """Read a manifest, of which nothing is believed before it is looked at.

    Of the names in it none leads anywhere: it must call its archive by the name that its own gives. Raises
    DatabaseError with what is wrong with it.
    """
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_MANIFEST + 1)
    except OSError as error:
        raise DatabaseError(f"can't read the manifest {path}: {error.strerror}") from error
    if len(data) > LARGEST_MANIFEST:
        raise DatabaseError(f"{path} is no manifest of a backup: it has more than {LARGEST_MANIFEST:,} bytes")
    try:
        return _read(json.loads(data), path.name.removesuffix(".json"))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        what = f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)[:200]
        raise DatabaseError(f"{path} is no manifest of a backup: {what}") from error


def _read(value: Any, name: str) -> Manifest:  # noqa: ANN401 - parsed JSON
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise ValueError(f'it lacks "format": "{FORMAT}"')
    if value.get("version") != VERSION:
        raise ValueError(f"its version is {value.get('version')!r}, this program knows {VERSION}")
    if (called := _object(value["archive"])["name"]) != name:
        raise ValueError(f"it is the one of {called!r}, not of {name!r}")
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a backup")
    return Manifest(
        name=name,
        taken_at=datetime.strptime(_text(value["taken_at"]), "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC),
        database=_text(value["database"]),
        program=_text(value["program"]),
        schema_version=_number(value["schema_version"]),
        commits={key: None if each is None else _text(each) for key, each in _object(value["commits"]).items()},
        archive=_digest(_object(value["archive"])),
        content=_digest(_object(value["content"])),
    )


def _digest(value: Mapping[str, Any]) -> Digest:
    return Digest(_number(value["bytes"]), _checked(value["sha256"], SHA256.fullmatch, "a SHA-256 in hexadecimal"))


def _object(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"an object is due, not {value!r}")  # noqa: TRY004 - one kind of error for all that is wrong
    return value


def _text(value: object) -> str:
    return _checked(value, lambda _: True, "a text")


def _checked(value: object, is_right: Callable[[str], object], wanted: str) -> str:
    if not isinstance(value, str) or not is_right(value):
        raise ValueError(f"{wanted} is due, not {value!r}")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LARGEST_SIZE:
        raise ValueError(f"a number is due, not {value!r}")
    return value
