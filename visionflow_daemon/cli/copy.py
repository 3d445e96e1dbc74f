"""`copy`: what one database holds, in another one, from a file to a server or back, and proven to be the same."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from visionflow_daemon import lean
from visionflow_daemon.cli import tables
from visionflow_daemon.cli.settings import Options, database_from, load, merged
from visionflow_daemon.cli.steps import steps
from visionflow_daemon.config.secrets import server_of
from visionflow_daemon.errors import ExitCode
from visionflow_daemon.model import harmless

if TYPE_CHECKING:
    from visionflow_daemon.copies import Copied

SAID = {
    "copied": "copied, and the same row by row",
    "equal": "there already, and the same row by row",
    "behind": "there already, as of an earlier pass: the next one on it catches up; --replace copies anew",
}


@click.command()
@click.option("--config", type=click.Path(path_type=Path), help="The TOML file, for [postgresql] and [sync].")
@click.option("--ontology-id", metavar="ID", help="Only this one [default: all].")
@click.option("--lock-timeout", type=float, metavar="SECONDS", help="Wait for a pass to end [default: 10].")
@click.option("--replace", "may_replace", is_flag=True, help="Let it take the place of what TO holds by that id.")
@click.option("--dry-run", "is_trial", is_flag=True, help="Only say what would be copied.")
@click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
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
    is_trial: bool,
    **given: Any,  # noqa: ANN401 - click's parameters
) -> None:
    """Copy a database into another one, and prove that both hold the same. Leaves with 3 where they don't.

    A daemon may write FROM meanwhile: what it saves then, the next pass brings to TO. What is cut off is gone on with
    when it is done again: ontologies that are there already are not copied once more.
    """
    lean.import_structlog()
    from visionflow_daemon import logs  # noqa: PLC0415 - as all below: verbs start lean
    from visionflow_daemon.copies import Rules, copy_database  # noqa: PLC0415

    options = merged(context, **given)
    config = load(Options(config=options.config, lock_timeout=options.lock_timeout))
    logs.configure(config.log.format, "error" if sys.stderr.isatty() else config.log.level, to_stderr=True)
    here = Path.cwd()
    places = database_from(here, source), database_from(here, target)
    began = time.monotonic()
    how = Rules(options.ontology_id, may_replace, is_trial)
    with steps() as told:
        done = copy_database(config, places, server_of(config, os.environ), how, told)
    seconds = round(time.monotonic() - began, 3)
    if as_json:
        answer = {"is_trial": is_trial, "ontologies": [dataclasses.asdict(each) for each in done], "seconds": seconds}
        tables.echo_json(answer)
    else:
        _echo(done, seconds, is_trial=is_trial)
    context.exit(ExitCode.LEDGER if any(each.differences for each in done) else ExitCode.OK)


def _echo(done: list[Copied], seconds: float, *, is_trial: bool) -> None:
    rows = [
        (each.ontology_id, (each.commit or "-")[:12], sum(each.rows.values()), _said(each, is_trial=is_trial))
        for each in done
    ]
    tables.echo(rows, ("ontology", "commit", "rows", "outcome"))
    for each in done:
        if each.without_nul:
            replaced = (
                f"{each.ontology_id}: NUL became U+FFFD in {each.without_nul:,} rows: no text of a server's holds it"
            )
            click.echo(harmless(replaced))
        for example in each.examples:
            click.echo(harmless(f"{each.ontology_id}: {example}"))
    if not done:
        click.echo("there is nothing to copy: no pass has run")
    elif not is_trial:
        click.echo(f"done: {seconds:,.1f} s")


def _said(each: Copied, *, is_trial: bool) -> str:
    if each.differences:
        return f"{each.differences:,} rows differ: run a pass on FROM, then copy again with --replace"
    if is_trial:
        return "would be copied" if each.outcome == "copied" else "would be left as it is"
    return SAID[each.outcome]
