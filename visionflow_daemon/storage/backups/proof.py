"""Proves that a copy of a database is whole, and says what it holds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from visionflow_daemon.errors import CorruptError, DatabaseError
from visionflow_daemon.storage import migrate, trouble
from visionflow_daemon.storage.backup import Told, heard, require_sound, untold
from visionflow_daemon.storage.legacy.shapes import foreign_tables
from visionflow_daemon.storage.sqlite import SqliteDatabase

COMMITS = "SELECT ontology_id, commit_sha FROM checkpoints ORDER BY ontology_id"


@dataclass(frozen=True, slots=True)
class Contents:
    """What a database holds. Version 0 is one of an older VisionFlow."""

    schema_version: int
    commits: Mapping[str, str | None]


def prove(path: Path, of: Path, told: Told = untold) -> Contents:
    """Look through a database that nobody else uses, and say what it holds.

    `of` is what complaints call it. Raises CorruptError where SQLite finds it damaged, or its references lead nowhere,
    and DatabaseError where it is newer than this program, or none of VisionFlow's. The references of an
    older VisionFlow's were never enforced: it is to be sound, no more.
    """
    with trouble.told(of):
        require_sound(path, of, told)
        database = SqliteDatabase(path, read_only=True)
        try:
            if foreign_tables(database):
                return Contents(0, {})
            version, newest = migrate.current_version(database), migrate.migrations()[-1].version
            if not version:
                raise DatabaseError(f"{of} holds nothing of visionflow-daemon")
            if version > newest:
                raise DatabaseError(
                    f"{of} has schema version {version}, this program knows {newest}: install a newer visionflow-daemon"
                )
            there = {name for (name,) in database.rows("SELECT name FROM sqlite_master WHERE type = 'table'")}
            commits: dict[str, str | None] = dict(database.rows(COMMITS))
        finally:
            database.close()
        _require_references(path, of, sorted(there & migrate.own_names()), told)
    return Contents(version, commits)


def _require_references(path: Path, of: Path, tables: Iterable[str], told: Told) -> None:
    """Raise CorruptError where references of these tables lead nowhere; other programs' tables are their affair."""
    with (
        closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection,
        heard(connection, lambda: told("checking", 0, 0)),
    ):
        for table in tables:
            lost = connection.execute(f"PRAGMA foreign_key_check({table})").fetchone()
            if lost is not None:
                raise CorruptError(
                    f"{of} is damaged: rows of {table} refer to rows of {lost[2]} that aren't there. Another program "
                    "must have written with foreign keys off"
                )
