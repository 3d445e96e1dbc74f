"""Adopts an old database, or gives it back: one change that is made as a whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import peewee

from visionflow_daemon.errors import ConfigError, DatabaseError
from visionflow_daemon.model import timestamp
from visionflow_daemon.storage import files, migrate
from visionflow_daemon.storage.database import Database
from visionflow_daemon.storage.legacy import archive, remainder
from visionflow_daemon.storage.legacy.account import Account, account_for, rows_of_others
from visionflow_daemon.storage.legacy.adopt import Adoption, adopt
from visionflow_daemon.storage.legacy.archive import archived
from visionflow_daemon.storage.legacy.give_back import give_back
from visionflow_daemon.storage.legacy.remainder import Remainder
from visionflow_daemon.storage.legacy.returning import Returned
from visionflow_daemon.storage.legacy.shapes import TABLES, Shape, quoted, shape_of
from visionflow_daemon.storage.remake import Place, Remade, opened, remake, require_references, try_out

LEGACY_VERSION = 5
"""The migration that makes the tables in which an old database is remembered."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How an old database is read: the prefixes of its names, and the ontology of rows that name none."""

    prefixes: Mapping[str, str]
    ontology_id: str


def adopt_database(place: Place, rules: Rules, *, is_trial: bool = False) -> Remade[Account]:
    """Make an old database one of ours; on a copy that is thrown away where it `is_trial`."""

    def change(database: Database) -> Account:
        return _adopt(database, rules)

    def ontologies(database: Database) -> Iterable[str]:
        shape = shape_of(database)
        _require_names(database, shape)
        yield rules.ontology_id
        for table in shape.tables.values():
            if column := table.roles.get("ontology"):
                found = database.rows(f"SELECT DISTINCT {quoted(column)} FROM {table.name}")
                yield from (str(value).strip() for (value,) in found if isinstance(value, str) and value.strip())

    return try_out(place, change) if is_trial else remake(place, ontologies, change)


def give_back_database(place: Place, *, may_lose: bool, is_trial: bool = False) -> Remade[Returned]:
    """Give an adopted database its old shape again; on a copy that is thrown away where it `is_trial`."""

    def change(database: Database) -> Returned:
        return _give_back(database, may_lose=may_lose or is_trial)

    if is_trial:
        return try_out(place, change)
    with opened(place.reading()) as database:
        require_adopted(database)
        (journal,) = (name for name, _, _ in archive.kept(database, "journal"))
    done = remake(place, files.ontologies, change)
    if journal != "wal":
        with opened(place.remaking()) as database, suppress(peewee.DatabaseError):  # another program may hold it open
            database.run(f"PRAGMA journal_mode = {journal}")
    return done


def discard_remainder(place: Place, ontology_id: str) -> Remade[Remainder]:
    """Remove what no file has claimed of one ontology. Raises ConfigError where there is nothing."""

    def change(database: Database) -> Remainder:
        migrate.require_current(database)
        if not remainder.exists(database, ontology_id):
            raise ConfigError(f"nothing of an older VisionFlow is left in ontology {ontology_id!r}")
        done = remainder.discard(database, ontology_id, timestamp(datetime.now(UTC)))
        require_references(database, sorted(migrate.own_names() & _tables(database)))
        return done

    return remake(place, lambda _: [ontology_id], change)


def require_adopted(database: Database) -> None:
    """Raise DatabaseError for a database that was never of an old shape."""
    if migrate.current_version(database) < LEGACY_VERSION or not archive.tables(database):
        raise DatabaseError(
            f"{database.path} was not made of an older VisionFlow's: there is no old shape to go back to. "
            "`migrate down --to N` takes the schema back to an older version"
        )


def _give_back(database: Database, *, may_lose: bool) -> Returned:
    require_adopted(database)
    ours = {*TABLES, *(archived(name) for name in TABLES), *migrate.own_names()}
    before = rows_of_others(database, ours)
    had_statistics = bool(archive.kept(database, "statistics"))
    for name in sorted(migrate.own_names() & _all_views(database)):
        database.run(f"DROP VIEW {name}")
    done = give_back(database)
    lost = {what: number for what, number in done.lost.items() if number}
    if lost and not may_lose:
        shown = ", ".join(f"{number:,} {what}" for what, number in sorted(lost.items()))
        raise DatabaseError(
            f"the old shape has no place for all that came since ({shown}): give --allow-loss to leave it out. "
            "Nothing was touched"
        )
    archive.drop(database)
    for name in sorted(_tables(database)):
        if name.removeprefix("present_") in TABLES and name.startswith("present_"):
            database.run(f"DROP TABLE {name}")
    for name in sorted((migrate.own_names() - set(TABLES)) & _tables(database)):
        database.run(f"DROP TABLE {name}")
    if not had_statistics and "sqlite_stat1" in _tables(database):
        database.run("DROP TABLE sqlite_stat1")
    if before != rows_of_others(database, ours):
        raise DatabaseError("tables of other programs have other rows than before: all was undone")
    return done


def _adopt(database: Database, rules: Rules) -> Account:
    shape = shape_of(database)
    _require_names(database, shape)
    declared = archive.describe(database, shape)
    ours = {*TABLES, *(archived(name) for name in TABLES), *migrate.own_names()}
    before = rows_of_others(database, ours)
    seen = _views(database)
    archive.put_aside(database, shape)
    migrate.apply(database, migrate.migrations())
    archive.keep(database, declared)
    adoption = Adoption(database, shape, rules.prefixes, timestamp(datetime.now(UTC)), rules.ontology_id)
    adopt(adoption)
    if before != rows_of_others(database, ours):
        raise DatabaseError("tables of other programs have other rows than before: all was undone")
    require_references(database, sorted(migrate.own_names() & _tables(database)))
    return account_for(adoption, _notes(declared, seen - _views(database)))


def _require_names(database: Database, shape: Shape) -> None:
    """Raise DatabaseError where another program has tables or indexes by names that are to be ours."""
    taken = {
        name
        for name, table in database.rows("SELECT name, tbl_name FROM sqlite_master")
        if name in migrate.own_names() and table not in shape.tables
    }
    if taken:
        raise DatabaseError(
            f"{database.path} has {', '.join(sorted(taken))}, which another program made: this program needs the "
            "name for itself. Rename it, or let the daemon write another file. Nothing was touched"
        )


def _tables(database: Database) -> set[str]:
    return {name for (name,) in database.rows("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _all_views(database: Database) -> set[str]:
    return {name for (name,) in database.rows("SELECT name FROM sqlite_master WHERE type = 'view'")}


def _views(database: Database) -> set[str]:
    """Name the views that can be asked."""
    return {name for name in _all_views(database) if _works(database, name)}


def _works(database: Database, view: str) -> bool:
    try:
        database.rows(f"SELECT 1 FROM {quoted(view)} LIMIT 0")
    except peewee.DatabaseError:
        return False
    return True


def _notes(declared: Iterable[tuple[object, ...]], broken: set[str]) -> list[str]:
    kinds: dict[str, list[str]] = {}
    for kind, name, *_ in declared:
        kinds.setdefault(str(kind), []).append(str(name))
    notes = [f"view {name} no longer works: it asks for columns that are gone" for name in sorted(broken)]
    notes += [f"trigger {name} is set aside until the way back" for name in kinds.get("trigger", [])]
    notes += [f"foreign keys of {name} refer to the archive until the way back" for name in kinds.get("reference", [])]
    return notes
