"""Puts the tables of an old program aside, exactly as they are, and knows how to set them up again.

Each table is copied, value by value, into one without constraints; how it was declared, its indexes and triggers are
kept as SQL. Foreign keys of other tables follow the copy: they would refer to columns that are no longer there, and
SQLite refuses to change a table that others refer to so.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from pathlib import Path

import peewee

from visionflow_daemon.errors import DatabaseError
from visionflow_daemon.storage.database import Database, Row
from visionflow_daemon.storage.legacy.shapes import ROWID_NAMES, OldTable, Shape, names, quoted, shape_of
from visionflow_daemon.storage.sqlite import SqliteDatabase

ARCHIVE = "legacy_{}"
NUMBER = "archive_row"
"""The column of the archive that numbers the rows as they were numbered."""

KEEP = "INSERT INTO legacy_schema (kind, name, table_name, sql) VALUES (?, ?, ?, ?)"
KEPT = "SELECT name, table_name, sql FROM legacy_schema WHERE kind = ? ORDER BY id"
SET_SQL = "UPDATE sqlite_master SET sql = ? WHERE type = 'table' AND name = ?"


def archived(table: str) -> str:
    """Name the archive of a table."""
    return ARCHIVE.format(table)


def describe(database: Database, shape: Shape) -> list[Row]:
    """Give all that is to be kept of how the old tables are declared: kind, name, table, SQL."""
    marks = ", ".join("?" * len(shape.tables))
    kept: list[Row] = [
        (kind, name, table, sql)
        for kind, name, table, sql in database.rows(
            f"SELECT type, name, tbl_name, sql FROM sqlite_master WHERE tbl_name IN ({marks}) AND sql IS NOT NULL"
            " AND type IN ('table', 'index', 'trigger') ORDER BY rowid",
            tuple(shape.tables),
        )
    ]
    kept += [("reference", name, name, sql) for name, sql in _referring(database, shape)]
    (journal,) = database.row("PRAGMA journal_mode") or ("",)
    kept.append(("journal", str(journal), "", ""))
    there = {name for (name,) in database.rows("SELECT name FROM sqlite_master WHERE name LIKE 'sqlite!_%' ESCAPE '!'")}
    if "sqlite_sequence" in there:
        kept += [
            ("sequence", name, name, str(number))
            for name, number in database.rows(
                f"SELECT name, seq FROM sqlite_sequence WHERE name IN ({marks})", tuple(shape.tables)
            )
        ]
    if "sqlite_stat1" in there:
        kept.append(("statistics", "sqlite_stat1", "", ""))
    return kept


def put_aside(database: Database, shape: Shape) -> None:
    """Copy the old tables into the archive, let foreign keys of other tables follow, and drop the originals."""
    followers = _following(database, shape)
    for table in shape.tables.values():
        if database.row("SELECT 1 FROM sqlite_master WHERE name = ?", (archived(table.name),)):
            raise DatabaseError(f"{database.path} has a table {archived(table.name)} already: rename it first")
        _copy(database, table)
    for columns in _referred(database, shape):
        table_name, *referred = columns
        with suppress(peewee.IntegrityError):  # what is said twice could be no parent before, either
            database.run(
                f"CREATE UNIQUE INDEX {quoted('_'.join((archived(table_name), *referred)))}"
                f" ON {archived(table_name)} ({names(referred)})"
            )
    for name in shape.tables:
        database.run(f"DROP TABLE {name}")
    _declare(database, followers)


def keep(database: Database, kept: Iterable[Row]) -> None:
    """Write down how the old tables were declared."""
    database.run_many(KEEP, list(kept))


def kept(database: Database, kind: str) -> list[Row]:
    """Give what was written down of one kind: name, table, SQL."""
    return database.rows(KEPT, (kind,))


def tables(database: Database) -> list[str]:
    """Name the old tables that are in the archive."""
    return [name for name, _, _ in kept(database, "table")]


def old_shape(database: Database) -> Shape:
    """Tell the shape of the tables in the archive."""
    scratch = SqliteDatabase(Path(":memory:"), is_scratch=True)
    try:
        for _, _, sql in kept(database, "table"):
            scratch.run(sql)
        return shape_of(scratch)
    finally:
        scratch.close()


def set_up_again(database: Database) -> None:
    """Make the old tables anew, empty, with the indexes that keep rows apart; ours must be gone."""
    for _, _, sql in kept(database, "table"):
        database.run(sql)
    for _, _, sql in _indexes(database, are_unique=True):
        database.run(sql)


def finish_again(database: Database) -> None:
    """Make the other indexes and the triggers of the old tables, and let foreign keys refer to them as they did."""
    for _, _, sql in _indexes(database, are_unique=False):
        database.run(sql)
    for _, _, sql in kept(database, "trigger"):
        database.run(sql)
    for name, _, number in kept(database, "sequence"):
        database.run("DELETE FROM sqlite_sequence WHERE name = ?", (name,))
        database.run(
            "INSERT INTO sqlite_sequence (name, seq) SELECT ?, MAX(?, seq) FROM"
            f" (SELECT COALESCE(MAX({_rowid(database, name)}), 0) AS seq FROM {name})",
            (name, int(number)),
        )
    _declare(database, {name: sql for name, _, sql in kept(database, "reference")})


def drop(database: Database) -> None:
    """Drop the archive's tables."""
    for name in tables(database):
        database.run(f"DROP TABLE IF EXISTS {archived(name)}")


def order(table: OldTable) -> str:
    """Say in SQL how the rows of an old table are numbered."""
    if table.rowid is not None:
        return table.rowid
    return f"ROW_NUMBER() OVER (ORDER BY {names(table.key)})"


def _rowid(database: Database, name: str) -> str:
    columns = {column.lower() for (column,) in database.rows("SELECT name FROM pragma_table_info(?)", (name,))}
    return next((each for each in ROWID_NAMES if each not in columns), "rowid")


def _indexes(database: Database, *, are_unique: bool) -> list[Row]:
    unique = re.compile(r"\s*CREATE\s+UNIQUE\b", re.IGNORECASE)
    return [row for row in kept(database, "index") if bool(unique.match(row[2])) is are_unique]


def _copy(database: Database, table: OldTable) -> None:
    """Copy a table's rows into columns without types, which change no value."""
    key = f", PRIMARY KEY ({names(table.key)})" if table.key else ""
    into = archived(table.name)
    database.run(f"CREATE TABLE {into} ({NUMBER} INTEGER NOT NULL UNIQUE, {names(table.names)}{key})")
    database.run(
        f"INSERT INTO {into} ({NUMBER}, {names(table.names)})"
        f" SELECT {order(table)}, {names(table.names)} FROM {table.name}"
    )


def _referring(database: Database, shape: Shape) -> list[tuple[str, str]]:
    """Give the other tables whose foreign keys refer to the old ones, with their SQL."""
    marks = ", ".join("?" * len(shape.tables))
    return [
        (name, sql)
        for name, sql in database.rows(
            "SELECT m.name, m.sql FROM sqlite_master m WHERE m.type = 'table' AND m.sql IS NOT NULL"
            f" AND m.name NOT IN ({marks}) AND EXISTS (SELECT 1 FROM pragma_foreign_key_list(m.name) f"
            f' WHERE LOWER(f."table") IN ({marks})) ORDER BY m.rowid',
            (*shape.tables, *shape.tables),
        )
    ]


def _referred(database: Database, shape: Shape) -> set[tuple[str, ...]]:
    """Give the columns, beside primary keys, that other tables refer to: the table first."""
    found: set[tuple[str, ...]] = set()
    for name, _ in _referring(database, shape):
        keys: dict[tuple[int, str], list[str]] = {}
        for number, table, column in database.rows(
            'SELECT id, LOWER("table"), "to" FROM pragma_foreign_key_list(?) ORDER BY id, seq', (name,)
        ):
            if table in shape.tables and column is not None:
                keys.setdefault((number, table), []).append(column)
        for (_, table), columns in keys.items():
            old = shape.tables[table]
            if tuple(columns) != old.key and set(columns) <= set(old.names):
                found.add((table, *columns))
    return found


def _following(database: Database, shape: Shape) -> dict[str, str]:
    """Write the other tables' SQL with foreign keys into the archive: as SQLite itself does when a table is renamed."""
    referring = _referring(database, shape)
    if not referring:
        return {}
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as scratch:
        for _, sql in referring:
            scratch.execute(sql)
        for name in shape.tables:
            scratch.execute(f"CREATE TABLE {name} (x)")
            scratch.execute(f"ALTER TABLE {name} RENAME TO {archived(name)}")
        return {
            name: scratch.execute("SELECT sql FROM sqlite_master WHERE name = ?", (name,)).fetchone()[0]
            for name, _ in referring
        }


def _declare(database: Database, declared: Mapping[str, str]) -> None:
    """Change what tables say of foreign keys. SQLite has no statement for it; content and layout stay."""
    if not declared:
        return
    database.run("PRAGMA writable_schema = ON")
    try:
        database.run_many(SET_SQL, [(sql, name) for name, sql in sorted(declared.items())])
    finally:
        database.run("PRAGMA writable_schema = RESET")
    there: dict[str, str] = dict(database.rows("SELECT name, sql FROM sqlite_master WHERE type = 'table'"))
    if wrong := [name for name, sql in declared.items() if there.get(name) != sql]:
        raise DatabaseError(f"foreign keys of {', '.join(wrong)} can't be changed: this SQLite does not permit it")
