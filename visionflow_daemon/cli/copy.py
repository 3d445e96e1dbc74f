"""`copy`: moves what one database holds into another, from a file to a server, or back."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import click

from visionflow_daemon import lean
from visionflow_daemon.cli import tables
from visionflow_daemon.cli.settings import as_json, common, database_from, load, merged
from visionflow_daemon.config.secrets import server_of
from visionflow_daemon.errors import ConfigError, ExitCode

if TYPE_CHECKING:
    from visionflow_daemon.storage.copying import Copied
    from visionflow_daemon.storage.database import Database


@click.command()
@common
@as_json
@click.option("--lock-timeout", type=float, metavar="SECONDS", help="Wait for a pass to end [default: 10].")
@click.option("--replace", "may_replace", is_flag=True, help="Let it take the place of an ontology of the same id.")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.pass_context
def copy(
    context: click.Context,
    /,
    *,
    source: str,
    target: str,
    as_json: bool,
    may_replace: bool,
    **given: Any,  # noqa: ANN401 - click's parameters
) -> None:
    """Copy all ontologies of a database into another one, and prove that both say the same.

    A daemon may write FROM meanwhile: what it saves then, the next pass brings to TO. What is cut off is gone on with
    when it is done again; ontologies that are there already are not copied once more.
    """
    lean.import_structlog()

    from visionflow_daemon import logs  # noqa: PLC0415 - as all below: verbs start lean
    from visionflow_daemon.storage.copying import ontologies  # noqa: PLC0415
    from visionflow_daemon.storage.migrate import open_migrated, require_current  # noqa: PLC0415
    from visionflow_daemon.storage.opening import address, open_database  # noqa: PLC0415
    from visionflow_daemon.storage.trouble import told  # noqa: PLC0415

    options = merged(context, **given)
    wanted = options.ontology_id
    config = load(replace(options, ontology_id=None))
    logs.configure(config.log.format, "error", to_stderr=True)
    here = Path.cwd()
    source, target = database_from(here, source), database_from(here, target)
    if address(source, here).identity == address(target, here).identity:
        raise ConfigError("FROM and TO are the same database")
    how: dict[str, Any] = {"busy_timeout": config.sync.busy_timeout, "server": server_of(config, os.environ)}
    reading = open_database(source, here, read_only=True, **how)
    with told(reading.name):
        require_current(reading)
        due = ontologies(reading, wanted)
    writing, _ = open_migrated(target, here, **how)
    began = time.monotonic()
    try:
        with told(writing.name):
            done = [_one(reading, writing, each, config.sync.lock_timeout, may_replace=may_replace) for each in due]
    finally:
        for database in (reading, writing):
            database.close()
            database.end()
    seconds = round(time.monotonic() - began, 1)
    if as_json:
        tables.echo_json({"copied": [asdict(each) for each in done], "seconds": seconds})
    else:
        tables.echo([(each.ontology_id, each.rows, _said(each)) for each in done], ("ontology", "rows", "outcome"))
    context.exit(ExitCode.LEDGER if any(each.differences for each in done) else ExitCode.OK)


def _one(source: Database, target: Database, ontology_id: str, wait: float, *, may_replace: bool) -> Copied:
    """Copy one ontology, unless it is there; in any case compare."""
    from visionflow_daemon.model import timestamp  # noqa: PLC0415 - as above
    from visionflow_daemon.storage import copying, forget  # noqa: PLC0415
    from visionflow_daemon.storage.hold import held_by_us  # noqa: PLC0415
    from visionflow_daemon.sync.forget import remove  # noqa: PLC0415

    with held_by_us(target, ontology_id, wait) as ours:
        if copying.is_same(source, ours, ontology_id):
            return copying.Copied(ontology_id, 0, True, 0)
        if not may_replace:
            copying.refuse_other(source, ours, ontology_id)
        forget.mark(ours, ontology_id, timestamp(datetime.now(UTC)))
        remove(ours, ontology_id, time.sleep, Event(), with_inferred=True)
        with source.snapshot():  # what a daemon writes meanwhile is the next pass's to bring
            rows = copying.copy_rows(source, ours, ontology_id, _telling(ontology_id))
            found = sum(1 for _ in copying.differences(source, ours, ontology_id))
    return copying.Copied(ontology_id, rows, False, found)


def _telling(ontology_id: str) -> Any:  # noqa: ANN401 - a function
    """Show how many rows are copied, on a terminal."""
    is_shown = sys.stderr.isatty()

    def told(table: str, rows: int) -> None:
        if is_shown:
            click.echo(f"\r\x1b[Kcopying {ontology_id!a}: {rows:,} rows, at {table}", nl=False, err=True)

    return told


def _said(done: Copied) -> str:
    if done.differences:
        return f"{done.differences:,} rows differ: do it again, or `verify` both"
    return "there already, and the same" if done.was_there else "copied, and the same"
