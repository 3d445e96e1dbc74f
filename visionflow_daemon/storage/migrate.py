"""Brings the schema up to date, or back: numbered migrations, each in a transaction together with its record."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import peewee

from visionflow_daemon.errors import ConfigError, DatabaseError
from visionflow_daemon.model import timestamp
from visionflow_daemon.storage import grants
from visionflow_daemon.storage.database import BUSY_TIMEOUT, SQLITE, Database
from visionflow_daemon.storage.legacy.shapes import foreign_tables
from visionflow_daemon.storage.opening import address, open_database
from visionflow_daemon.storage.server import DEFAULT_SERVER, Server
from visionflow_daemon.storage.trouble import told

RECORD = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    version     INTEGER NOT NULL PRIMARY KEY,
    name        TEXT    NOT NULL,
    applied_at  TEXT    NOT NULL DEFAULT CURRENT_TIMESTAMP
)
"""
OUR_RECORD = "schema_migrations"
MADE = re.compile(r"^CREATE (?:UNIQUE )?(?:TABLE|INDEX|VIEW)(?: IF NOT EXISTS)? (\w+)", re.MULTILINE)
LOSES = re.compile(r"^-- Loses: (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Migration:
    """One step of the schema: its number, its name, the statements that make it, and those that take it back."""

    version: int
    name: str
    script: str
    way_back: str | None = None

    def statements(self) -> Iterator[str]:
        """Give the statements one by one: a script run as a whole would commit behind our back."""
        return _statements(self.script)

    def statements_back(self) -> Iterator[str]:
        """Give the statements of the way back."""
        return _statements(self.way_back or "")

    @property
    def loses(self) -> str | None:
        """Say what the way back loses; None for nothing."""
        found = LOSES.search(self.way_back or "")
        return found[1] if found else None


def migrations(engine: str = SQLITE) -> list[Migration]:
    """Read the migrations shipped with the program: in the wheel, or in a checkout beside the package."""
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "migrations" / engine, package.parent / "migrations" / engine):
        if folder.is_dir():
            there = [path for path in sorted(folder.glob("[0-9]*.sql")) if not path.stem.endswith(".down")]
            return [_read(path) for path in there]
    raise DatabaseError("the program's migrations are missing: install it again")


@cache
def own_names() -> frozenset[str]:
    """Name all tables, indexes and views that this program has ever made."""
    return frozenset({OUR_RECORD}.union(*(MADE.findall(each.script) for each in migrations())))


def current_version(database: Database) -> int:
    """Give the version of the schema, 0 for none. Raises DatabaseError for a schema that isn't this program's."""
    return max(_applied(database), default=0)


def pending(database: Database) -> list[Migration]:
    """List the migrations that the database still lacks. Raises DatabaseError when it is newer than the program."""
    known = migrations(database.engine)
    applied = _applied(database)
    version = max(applied, default=0)
    if version > known[-1].version:
        raise DatabaseError(
            f"{database.name} has schema version {version}, this program knows {known[-1].version}: "
            "install a newer visionflow-daemon. Nothing was touched"
        )
    return [migration for migration in known if migration.version not in applied]


def open_migrated(
    url: str,
    base: Path,
    *,
    busy_timeout: float = BUSY_TIMEOUT,
    to: int | None = None,
    server: Server = DEFAULT_SERVER,
) -> tuple[Database, list[Migration]]:
    """Open a database to write it, with its schema up to date, or at a version; give what was applied for that.

    A file that isn't ours is told by a connection that only reads: opening it to write would change its header.
    """
    where = address(url, base)
    if (path := where.path) is not None and path.is_file() and path.stat().st_size:
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
    database = open_database(url, base, busy_timeout=busy_timeout, server=server)
    try:
        with told(where.name):
            return database, migrate(database, to)
    except BaseException:
        database.close()
        raise


def migrate(database: Database, to: int | None = None) -> list[Migration]:
    """Apply what the database lacks, up to a version, and give what was applied.

    A database that is up to date is not written.
    """
    if not _up_to(pending(database), to):
        return []
    try:
        with database.transaction():
            return apply_pending(database, to)
    except peewee.DatabaseError:
        if _up_to(pending(database), to):
            raise
        return []  # another process did it meanwhile


def apply_pending(database: Database, to: int | None = None) -> list[Migration]:
    """Apply what the database lacks, up to a version, within a transaction."""
    due = _up_to(pending(database), to)
    apply(database, due)
    return due


def apply(database: Database, due: Iterable[Migration]) -> None:
    """Apply migrations, within a transaction."""
    database.prepare_to_alter()
    readers = grants.readers(database)
    database.run(RECORD)
    for migration in due:
        for statement in migration.statements():
            database.run(statement)
        database.run(
            "INSERT INTO schema_migrations (version, name, applied_at) VALUES (?, ?, ?)",
            (migration.version, migration.name, timestamp(datetime.now(UTC))),
        )
    grants.renew(database, readers)


def steps_back(database: Database, to: int) -> list[Migration]:
    """List the migrations to take back to come to a version, the last one first. Raises ConfigError for no such one."""
    require_known(to, database.engine)
    known = {migration.version: migration for migration in migrations(database.engine)}
    pending(database)  # a schema newer than the program is not taken back by it
    applied = _applied(database)
    return [known[version] for version in sorted(applied, reverse=True) if version > to]


def require_known(to: int | None, engine: str = SQLITE) -> None:
    """Raise ConfigError for a version that there is none of."""
    known = [migration.version for migration in migrations(engine)]
    if to is not None and to not in {0, *known}:
        raise ConfigError(f"--to: there is no schema version {to}; there are {', '.join(map(str, known))}")


def is_applied(database: Database, name: str) -> bool:
    """Tell whether a migration was applied."""
    return any(each.name == name and each.version in _applied(database) for each in migrations(database.engine))


def take_back(database: Database, steps: Iterable[Migration]) -> None:
    """Take migrations back, within a transaction."""
    for migration in steps:
        if migration.way_back is None:
            raise DatabaseError(f"migration {migration.version} ({migration.name}) has no way back")
        for statement in migration.statements_back():
            database.run(statement)
        database.run("DELETE FROM schema_migrations WHERE version = ?", (migration.version,))
    if not database.row("SELECT 1 FROM schema_migrations LIMIT 1"):
        database.run("DROP TABLE schema_migrations")


def require_current(database: Database) -> None:
    """Raise DatabaseError unless the schema is this program's, and up to date."""
    if lacking := pending(database):
        raise DatabaseError(
            f"{database.name} lacks migration {lacking[0].version} ({lacking[0].name}): "
            "run `visionflow-daemon migrate`, or a pass, first"
        )


def _applied(database: Database) -> set[int]:
    """Give the numbers of the migrations that were applied. Raises DatabaseError for a schema of another program."""
    there = database.tables()
    if foreign := _foreign(database, there):
        raise DatabaseError(
            f"{database.name} holds {', '.join(foreign)} of an older VisionFlow, which this program did not make. "
            "It was not touched: `visionflow-daemon migrate status` says what it is, `migrate up` adopts it, or name "
            "another file with --database"
        )
    if OUR_RECORD not in there:
        return set()
    return {int(version) for (version,) in database.rows("SELECT version FROM schema_migrations")}


def _foreign(database: Database, there: set[str]) -> list[str]:
    """Name tables that stand where ours are due, and that this program did not make."""
    if database.engine == SQLITE:
        return foreign_tables(database)
    return [] if OUR_RECORD in there else sorted(there & own_names())


def _up_to(due: list[Migration], to: int | None) -> list[Migration]:
    return due if to is None else [migration for migration in due if migration.version <= to]


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _read(path: Path) -> Migration:
    number, _, name = path.stem.partition("_")
    back = path.with_name(f"{path.stem}.down.sql")
    way_back = back.read_text("utf-8") if back.is_file() else None
    return Migration(int(number), name, path.read_text("utf-8"), way_back)
