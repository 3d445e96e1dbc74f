"""`backup` and `restore`: copies of the database that are proven to be whole, and the way back to one."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from visionflow_daemon import lean
from visionflow_daemon.cli import tables
from visionflow_daemon.cli.settings import as_json, common, load, merged
from visionflow_daemon.cli.steps import steps
from visionflow_daemon.config.values import Config
from visionflow_daemon.errors import ConfigError, DatabaseError
from visionflow_daemon.model import harmless

if TYPE_CHECKING:
    from visionflow_daemon.storage.backups.restore import Restored
    from visionflow_daemon.storage.backups.shelf import Backup, Shelf, Stock
    from visionflow_daemon.storage.backups.take import Taken

LATEST = "latest"


@click.command()
@common
@as_json
@click.option("--list", "is_list", is_flag=True, help="List the backups that are there; take none.")
@click.option(
    "--prune", "is_rotated", is_flag=True, help="Then delete those that backup.keep and keep_weeks don't keep."
)
@click.argument("to", type=click.Path(path_type=Path), required=False)
@click.pass_context
def backup(
    context: click.Context,
    /,
    *,
    to: Path | None,
    is_list: bool,
    is_rotated: bool,
    as_json: bool,
    **given: Any,  # noqa: ANN401 - click's parameters
) -> None:
    """Take a backup of the database into the folder TO, while others write to it, and prove that it is whole.

    Without TO it is the configured folder: `backups` beside the database, unless backup.folder says otherwise.
    """
    config = load(merged(context, **given))
    _begin_to_log(config)
    from visionflow_daemon.backups import back_up, shelf_of  # noqa: PLC0415 - verbs start lean

    shelf = shelf_of(config, to.absolute() if to else None)
    if is_list:
        if is_rotated:
            raise ConfigError("--prune comes with a new backup: leave out --list")
        _echo_list(shelf, shelf.stock(), is_json=as_json)
        return
    with steps() as told:
        taken = back_up(config, shelf, told, is_rotated=is_rotated)
    if as_json:
        tables.echo_json(_values(taken.backup) | {"deleted": [str(each.path) for each in taken.gone]} | _took(taken))
    else:
        tables.echo(_taken_rows(taken))


@click.command()
@common
@as_json
@click.option("--lock-timeout", type=float, metavar="SECONDS", help="Wait for a pass to end [default: 10].")
@click.option("--dry-run", "is_trial", is_flag=True, help="Prove the backup, and say what would be done.")
@click.argument("source", metavar="FROM")
@click.pass_context
def restore(
    context: click.Context,
    /,
    *,
    source: str,
    is_trial: bool,
    as_json: bool,
    **given: Any,  # noqa: ANN401 - click's parameters
) -> None:
    """Put a backup into the place of the database, once it is proven to be whole; what it replaces is kept beside.

    FROM is an archive or its manifest, the name of one in the folder of backups, `latest` for the newest there, or a
    database's file, as `migrate` and `restore` keep them. The next pass brings the database to the source's commit.
    """
    config = load(merged(context, **given))
    _begin_to_log(config)
    from visionflow_daemon.backups import put_back, shelf_of  # noqa: PLC0415 - verbs start lean

    path = _found(source, shelf_of(config))
    with steps() as told:
        done = put_back(config, path, told, is_trial=is_trial)
    if as_json:
        tables.echo_json(_restored_values(done))
    else:
        tables.echo(_restored_rows(done))


def _begin_to_log(config: Config) -> None:
    """Log on standard error; on a terminal, the answer says it all."""
    lean.import_structlog()
    from visionflow_daemon import logs  # noqa: PLC0415 - as all below: verbs start lean

    logs.configure(config.log.format, "error" if sys.stderr.isatty() else config.log.level, to_stderr=True)


def _found(source: str, shelf: Shelf) -> Path:
    """Say which backup is meant."""
    if source == LATEST:
        from visionflow_daemon.storage.backups.take import utc_now  # noqa: PLC0415

        if (newest := shelf.newest(utc_now())) is None:
            raise DatabaseError(
                f"there is no backup of {shelf.database} in {shelf.folder}: `backup --list` tells of what there is"
            )
        return newest.path
    path = Path(source).expanduser()
    in_folder = shelf.folder / source
    return in_folder if path.name == source and not path.exists() and in_folder.exists() else path


def _echo_list(shelf: Shelf, stock: Stock, *, is_json: bool) -> None:
    if is_json:
        tables.echo_json(
            {"folder": str(shelf.folder), "backups": [*map(_values, stock.backups)], "odd": stock.oddities}
        )
        return
    if not stock.backups:
        click.echo(harmless(f"there is no backup of {shelf.database} in {shelf.folder}"))
    rows = [
        (
            each.path.name,
            each.manifest.taken_at.strftime("%Y-%m-%d %H:%M:%S"),
            each.manifest.archive.bytes,
            each.manifest.content.bytes,
            each.manifest.schema_version,
            _synced(each),
        )
        for each in stock.backups
    ]
    tables.echo(rows, ("backup", "taken (UTC)", "bytes", "unpacked", "schema", "synced to"))
    for oddity in stock.oddities:
        click.echo(harmless(oddity), err=True)


def _synced(backup: Backup) -> str:
    commits = backup.manifest.commits
    return ", ".join(f"{name} {commit[:12] if commit else '-'}" for name, commit in commits.items()) or "-"


def _values(backup: Backup) -> dict[str, object]:
    from visionflow_daemon.storage.backups.manifest import written  # noqa: PLC0415

    values = dataclasses.asdict(backup.manifest) | {"path": str(backup.path)}
    return values | {"taken_at": written(backup.manifest.taken_at), "commits": dict(backup.manifest.commits)}


def _took(done: Taken | Restored) -> dict[str, object]:
    return {"seconds": round(done.seconds, 3)}


def _taken_rows(taken: Taken) -> list[tuple[str, object]]:
    found = taken.backup.manifest
    return [
        ("backup, verified", taken.backup.path),
        ("manifest", taken.backup.manifest_path),
        ("bytes", f"{found.archive.bytes:,}, of a database of {found.content.bytes:,}"),
        ("schema version", str(found.schema_version)),
        ("synced to", _synced(taken.backup)),
        *(("deleted", gone.path) for gone in taken.gone),
        ("seconds", f"{taken.seconds:,.1f}"),
    ]


def _restored_values(done: Restored) -> dict[str, object]:
    from visionflow_daemon.storage.backups.manifest import written  # noqa: PLC0415

    return dataclasses.asdict(done) | {
        "database": str(done.database),
        "source": str(done.source),
        "taken_at": None if done.taken_at is None else written(done.taken_at),
        "commits": dict(done.commits),
        "replaced": None if done.replaced is None else str(done.replaced),
        **_took(done),
    }


def _restored_rows(done: Restored) -> list[tuple[str, object]]:
    is_older = not done.schema_version
    schema = "an older VisionFlow's: `migrate up` adopts it" if is_older else str(done.schema_version)
    if done.migrated:
        schema += f", brought up to {done.migrated[-1]}"
    commits = ", ".join(f"{name} {commit[:12] if commit else '-'}" for name, commit in done.commits.items())
    return [
        ("backup, verified", done.source),
        ("taken", done.taken_at.strftime("%Y-%m-%d %H:%M:%S UTC") if done.taken_at else "-"),
        ("schema version", schema),
        ("synced to", commits or "-"),
        ("would be put at" if done.is_trial else "put at", done.database),
        ("what was there", "left as it is" if done.is_trial else done.replaced or "nothing"),
        ("seconds", f"{done.seconds:,.1f}"),
    ]
