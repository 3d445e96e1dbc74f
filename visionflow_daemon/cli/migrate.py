"""`migrate`: the schema, forward and back; databases of an older VisionFlow, adopted and given back."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from visionflow_daemon.cli import tables
from visionflow_daemon.cli.settings import Options, as_json, common, load, load_whole, merged, ontology_of, reading_of
from visionflow_daemon.config.secrets import server_of
from visionflow_daemon.config.values import Config
from visionflow_daemon.errors import ConfigError
from visionflow_daemon.model import harmless
from visionflow_daemon.storage.database import POSTGRESQL
from visionflow_daemon.storage.opening import address, open_database

if TYPE_CHECKING:
    from visionflow_daemon.storage.legacy.account import Account
    from visionflow_daemon.storage.legacy.returning import Returned
    from visionflow_daemon.storage.legacy.standing import LegacyStanding
    from visionflow_daemon.storage.remake import Place, Remade

to_version = click.option("--to", "to", type=click.IntRange(min=0), metavar="N", help="The schema's version.")
on_a_copy = click.option("--dry-run", "is_trial", is_flag=True, help="Do it with a copy, and only tell.")
may_lose = click.option("--allow-loss", "may_lose", is_flag=True, help="Go back also where something is lost.")


@click.group(invoke_without_command=True)
@common
@to_version
@on_a_copy
@may_lose
@as_json
@click.pass_context
def migrate(
    context: click.Context,
    /,
    *,
    to: int | None,
    is_trial: bool,
    may_lose: bool,
    as_json: bool,
    **given: Any,  # noqa: ANN401 - click's parameters
) -> None:
    """Bring the database's schema up to date; a pass does so by itself. --to goes to any version, also back.

    A database of an older VisionFlow is only touched by `migrate up`.
    """
    context.obj = merged(context, **given)
    if context.invoked_subcommand is not None:
        if to is not None or is_trial or may_lose or as_json:
            raise ConfigError(f"give the options of {context.invoked_subcommand} behind it")
        return
    _change_schema(load(context.obj), to, is_trial=is_trial, may_lose=may_lose, is_json=as_json)


@migrate.command()
@common
@as_json
@click.pass_context
def status(context: click.Context, /, *, as_json: bool, **given: Any) -> None:  # noqa: ANN401 - click's parameters
    """Say what the database is, what `up` would do, and what is left of an older VisionFlow."""
    from visionflow_daemon.storage.legacy import standing  # noqa: PLC0415 - as all below: verbs start lean

    found = standing.look(_place(load(merged(context, **given))))
    if as_json:
        tables.echo_json(dataclasses.asdict(found))
    else:
        tables.echo(_standing_rows(found))


@migrate.command()
@common
@to_version
@on_a_copy
@as_json
@click.pass_context
def up(
    context: click.Context,
    /,
    *,
    to: int | None,
    is_trial: bool,
    as_json: bool,
    **given: Any,  # noqa: ANN401 - click's parameters
) -> None:
    """Adopt a database of an older VisionFlow, or bring our schema up to date."""
    from visionflow_daemon.storage.legacy import migration, shapes  # noqa: PLC0415
    from visionflow_daemon.storage.remake import opened  # noqa: PLC0415

    options: Options = merged(context, **given)
    config = load(options)
    if address(config.database, config.base).path is None:
        _change_schema(config, to, is_trial=is_trial, may_lose=False, is_json=as_json)
        return
    place = _place(config)
    with opened(place.reading()) as database:
        is_foreign = bool(shapes.foreign_tables(database))
    if not is_foreign:
        _change_schema(config, to, is_trial=is_trial, may_lose=False, is_json=as_json)
        return
    if to is not None:
        raise ConfigError("--to: an older VisionFlow's database is brought to the newest version; go back from there")
    rules = migration.Rules(reading_of(config).prefixes, ontology_of(config, options))
    done = migration.adopt_database(place, rules, is_trial=is_trial)
    if as_json:
        tables.echo_json(dataclasses.asdict(done.answer) | _circumstances(done, is_trial=is_trial))
        return
    tables.echo(_account_rows(done.answer))
    _echo_circumstances(done, is_trial=is_trial)


@migrate.command()
@common
@to_version
@on_a_copy
@may_lose
@as_json
@click.pass_context
def down(
    context: click.Context,
    /,
    *,
    to: int | None,
    is_trial: bool,
    may_lose: bool,
    as_json: bool,
    **given: Any,  # noqa: ANN401 - click's parameters
) -> None:
    """Give an adopted database its old shape again, with what it holds by now; with --to, take our schema back."""
    from visionflow_daemon.storage.legacy.migration import give_back_database  # noqa: PLC0415

    config = load(merged(context, **given))
    if to is not None:
        _change_schema(config, to, is_trial=is_trial, may_lose=may_lose, is_json=as_json, is_back=True)
        return
    done = give_back_database(_place(config), may_lose=may_lose, is_trial=is_trial)
    if as_json:
        tables.echo_json(dataclasses.asdict(done.answer) | _circumstances(done, is_trial=is_trial))
        return
    tables.echo(_returned_rows(done.answer))
    _echo_circumstances(done, is_trial=is_trial)


@migrate.command()
@common
@as_json
@click.pass_context
def discard(context: click.Context, /, *, as_json: bool, **given: Any) -> None:  # noqa: ANN401 - click's parameters
    """Remove what no file has claimed of what an older VisionFlow knew of one ontology."""
    from visionflow_daemon.storage.legacy.migration import discard_remainder  # noqa: PLC0415

    options = merged(context, **given)
    config = load_whole(options)
    ontology_id = ontology_of(config, options)
    done = discard_remainder(_place(config), ontology_id)
    if as_json:
        tables.echo_json(dataclasses.asdict(done.answer) | _circumstances(done, is_trial=False))
        return
    tables.echo([(name, number) for name, number in dataclasses.asdict(done.answer).items()], ("removed", "facts"))
    _echo_circumstances(done, is_trial=False)


def _place(config: Config) -> Place:
    from visionflow_daemon.storage.remake import Place  # noqa: PLC0415

    return Place(config.database, config.base, config.sync.busy_timeout, config.sync.lock_timeout)


def _change_schema(
    config: Config, to: int | None, *, is_trial: bool, may_lose: bool, is_json: bool, is_back: bool = False
) -> None:
    """Bring our own schema to a version, or up to date."""
    from visionflow_daemon.passes import open_to_write  # noqa: PLC0415
    from visionflow_daemon.storage import migrate as migrations  # noqa: PLC0415
    from visionflow_daemon.storage.remake import opened, try_out  # noqa: PLC0415
    from visionflow_daemon.storage.sqlite import database_path  # noqa: PLC0415
    from visionflow_daemon.storage.step_back import step_back  # noqa: PLC0415

    if address(config.database, config.base).path is None:
        _change_schema_of_server(config, to, is_trial=is_trial, may_lose=may_lose, is_json=is_json, is_back=is_back)
        return
    place = _place(config)
    path = database_path(config.database, config.base)
    version = 0
    if path.is_file() and path.stat().st_size:
        with opened(place.reading()) as database:
            version = migrations.current_version(database)
    if to is not None and to < version:
        back = step_back(place, to, may_lose=may_lose, is_trial=is_trial)
        did = "would take back" if is_trial else "took back"
        _echo_schema(did, back.answer, path, to, _circumstances(back, is_trial=is_trial) if is_json else None)
        if not is_json:
            _echo_circumstances(back, is_trial=is_trial)
        return
    if is_back:
        raise ConfigError(f"--to: the schema has version {version}, so {to} is no way back")
    migrations.require_known(to)
    if is_trial:
        trial = try_out(place, lambda database: migrations.apply_pending(database, to))
        more = _circumstances(trial, is_trial=True) if is_json else None
        _echo_schema("would apply", trial.answer, path, version, more)
        return
    database, applied = open_to_write(config, to)
    reached = migrations.current_version(database)
    database.close()
    _echo_schema("applied", applied, path, reached, {} if is_json else None)


def _change_schema_of_server(
    config: Config, to: int | None, *, is_trial: bool, may_lose: bool, is_json: bool, is_back: bool
) -> None:
    """Bring the schema on a server to a version, in one transaction, which undoes changes of tables, too."""
    from visionflow_daemon.storage import migrate as migrations  # noqa: PLC0415
    from visionflow_daemon.storage.step_back import require_allowed  # noqa: PLC0415
    from visionflow_daemon.storage.trouble import told  # noqa: PLC0415

    if is_trial:
        raise ConfigError(
            "--dry-run: a server's database is not copied; try it on a copy that createdb --template makes"
        )
    migrations.require_known(to, POSTGRESQL)
    database = open_database(
        config.database, config.base, busy_timeout=config.sync.busy_timeout, server=server_of(config, os.environ)
    )
    try:
        with told(database.name):
            version = migrations.current_version(database)
            if to is not None and to < version:
                with database.transaction():
                    steps = migrations.steps_back(database, to)
                    require_allowed(database, steps, may_lose=may_lose)
                    migrations.take_back(database, steps)
                _echo_schema("took back", steps, database.name, to, {} if is_json else None)
                return
            if is_back:
                raise ConfigError(f"--to: the schema has version {version}, so {to} is no way back")
            applied = migrations.migrate(database, to)
            reached = migrations.current_version(database)
        _echo_schema("applied", applied, database.name, reached, {} if is_json else None)
    finally:
        database.close()


def _echo_schema(did: str, steps: list[Any], path: object, version: int, more: dict[str, object] | None) -> None:
    """Say which migrations were dealt with; as JSON where there is `more` to go with it, be it nothing."""
    if more is not None:
        tables.echo_json({did.replace(" ", "_"): [each.version for each in steps], "version": version} | more)
        return
    for each in steps:
        click.echo(f"{did} {each.version:04} {each.name}")
    if not did.startswith("would"):
        click.echo(harmless(f"{path} has schema version {version}"))


def _circumstances(done: Remade[Any], *, is_trial: bool) -> dict[str, object]:
    return {
        "is_trial": is_trial,
        "backup": str(done.backup.path) if done.backup else None,
        "seconds": round(done.seconds, 3),
    }


def _echo_circumstances(done: Remade[Any], *, is_trial: bool) -> None:
    if done.backup:
        click.echo(harmless(f"backup, verified: {done.backup.path}, {done.backup.size:,} bytes"))
    how = "tried with a copy, nothing was changed" if is_trial else "done"
    click.echo(f"{how}: {done.seconds:,.1f} s")


def _account_rows(account: Account) -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = [("shape", account.shape), *(("", reason) for reason in account.reasons)]
    rows.append(("ontologies", ", ".join(account.ontologies)))
    rows += [
        (name, f"{count.rows:,} rows: {count.in_place:,} in place, {count.in_quarantine:,} in quarantine")
        for name, count in account.tables.items()
    ]
    rows += [(f"{what}", f"{before:,} before, {after:,} after") for what, (before, after) in account.meanings.items()]
    rows.append(("undeclared classes", f"{account.undeclared:,}"))
    rows += _quarantine_rows(account.quarantine)
    rows += [
        (f"columns of {name}", f"kept in properties: {', '.join(each)}")
        for name, each in account.unknown_columns.items()
    ]
    rows += [
        (f"in {name}", f"{number:,} {what}") for name, odd in account.oddities.items() for what, number in odd.items()
    ]
    return [*rows, *(("note", note) for note in account.notes)]


def _quarantine_rows(found: Mapping[str, Mapping[str, int]]) -> list[tuple[str, object]]:
    return [
        ("quarantine", f"{number:,} rows of {table}: {reason}")
        for table, reasons in found.items()
        for reason, number in reasons.items()
    ]


def _returned_rows(returned: Returned) -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = [("shape", returned.shape)]
    for name, counts in returned.tables.items():
        rows.append((name, ", ".join(f"{number:,} {what}" for what, number in counts.items() if number) or "no rows"))
    return [*rows, *(("no place for", f"{number:,} {what}") for what, number in returned.lost.items() if number)]


def _standing_rows(found: LegacyStanding) -> list[tuple[str, object]]:
    rows: list[tuple[str, object]] = [("database", found.database), ("is", found.what)]
    rows += [("", reason) for reason in found.reasons]
    rows += [(name, f"{number:,} rows") for name, number in found.rows.items()]
    rows.append(("schema version", f"{found.version}, of {found.newest}"))
    rows.append(("`migrate up`", found.would))
    rows += [(f"unclaimed in {name}", left.described()) for name, left in found.remainders.items()]
    return rows + _quarantine_rows(found.quarantine)
