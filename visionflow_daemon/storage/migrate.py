"""Brings the schema up to date: numbered migrations, each applied in a transaction together with its record."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from visionflow_daemon.errors import DatabaseError
from visionflow_daemon.storage.database import BUSY_TIMEOUT, Database, database_path, open_database
from visionflow_daemon.storage.trouble import told

RECORD = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version     INTEGER NOT NULL PRIMARY KEY,
    name        TEXT    NOT NULL,
    applied_at  TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
)
"""
OUR_TABLES = frozenset({"owl_classes", "owl_class_hierarchy", "owl_properties", "owl_axioms", "source_files"})


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema: its number, its name, and the statements that make it."""

    version: int
    name: str
    script: str

    def statements(self) -> Iterator[str]:
        """Give the statements one by one: a script run as a whole would commit behind our back."""
        statement = ""
        for line in self.script.splitlines(keepends=True):
            statement += line
            if sqlite3.complete_statement(statement):
                yield statement
                statement = ""


def migrations(engine: str = "sqlite") -> list[Migration]:
    """Read the migrations shipped with the program: in the wheel, or in a checkout beside the package."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "migrations" / engine, package.parent / "migrations" / engine):
        if folder.is_dir():
            return [_read(path) for path in sorted(folder.glob("[0-9]*.sql"))]
    raise DatabaseError("the program's migrations are missing: install it again")


def current_version(database: Database) -> int:
    """Give the version of the schema, 0 for none. Raises DatabaseError for a schema that isn't this program's."""
    tables = {name for (name,) in database.rows("SELECT name FROM sqlite_master WHERE type IN ('table', 'view')")}
    if "schema_migrations" in tables:
        (version,) = database.row("SELECT COALESCE(MAX(version), 0) FROM schema_migrations") or (0,)
        return int(version)
    if foreign := sorted(tables & OUR_TABLES):
        raise DatabaseError(
            f"{database.path} holds {', '.join(foreign)} of an older VisionFlow, which this program did not make. "
            "It was not touched: name another file with --database"
        )
    return 0


def pending(database: Database) -> list[Migration]:
    """List the migrations that the database still lacks. Raises DatabaseError when it is newer than the program."""
    known = migrations()
    version = current_version(database)
    if version > known[-1].version:
        raise DatabaseError(
            f"{database.path} has schema version {version}, this program knows {known[-1].version}: "
            "install a newer visionflow-daemon. Nothing was touched"
        )
    return [migration for migration in known if migration.version > version]


def open_migrated(url: str, base: Path, *, busy_timeout: float = BUSY_TIMEOUT) -> tuple[Database, list[Migration]]:
    """Open a database to write it, with its schema up to date; give what was applied for that.

    A file that isn't ours is told by a connection that only reads: opening it to write would change its header.
    """
    if (path := database_path(url, base)).is_file() and path.stat().st_size:
        if not os.access(path, os.W_OK):  # a look would leave a log and its index, as little writable as the file
            raise DatabaseError(
                f"the database {path} can't be written: look at the rights of the file and its folder, and whether the "
                "mount is read-only"
            )
        looked_at = open_database(url, base, read_only=True, busy_timeout=busy_timeout)
        try:
            with told(path):
                pending(looked_at)
        finally:
            looked_at.close()
    database = open_database(url, base, busy_timeout=busy_timeout)
    try:
        with told(path):
            return database, migrate(database)
    except BaseException:
        database.close()
        raise


def migrate(database: Database) -> list[Migration]:
    """Apply what the database lacks, and give what was applied. A database that is up to date is not written."""
    if not pending(database):
        return []
    with database.transaction():
        applied = pending(database)
        database.run(RECORD)
        for migration in applied:
            for statement in migration.statements():
                database.run(statement)
            database.run(
                "INSERT INTO schema_migrations (version, name) VALUES (?, ?)", (migration.version, migration.name)
            )
    return applied


def require_current(database: Database) -> None:
    """Raise DatabaseError unless the schema is this program's, and up to date."""
    if lacking := pending(database):
        raise DatabaseError(
            f"{database.path} lacks migration {lacking[0].version} ({lacking[0].name}): "
            "run `visionflow-daemon migrate`, or a pass, first"
        )


def _read(path: Path) -> Migration:
    number, _, name = path.stem.partition("_")
    return Migration(int(number), name, path.read_text("utf-8"))
