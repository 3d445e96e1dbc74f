"""`forget`: removes what is held of an ontology that is wanted no more."""

from __future__ import annotations

import dataclasses
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from visionflow_daemon import lean
from visionflow_daemon.cli import tables
from visionflow_daemon.cli.settings import (
    Options,
    as_json,
    common,
    load,
    load_whole,
    merged,
    ontology_of,
    open_existing,
)
from visionflow_daemon.config.values import Config
from visionflow_daemon.environment import state_directory
from visionflow_daemon.errors import ConfigError
from visionflow_daemon.model import harmless

if TYPE_CHECKING:
    from visionflow_daemon.forgetting import Found


@click.command()
@common
@as_json
@click.option("--lock-timeout", type=float, metavar="SECONDS", help="Wait for a pass to end [default: 10].")
@click.option("--dry-run", "is_trial", is_flag=True, help="Only say what would be removed.")
@click.option("--yes", "is_sure", is_flag=True, help="Don't ask.")
@click.option("--with-inferred", is_flag=True, help="Remove axioms that other programs wrote, too.")
@click.option("--even-if-configured", "may_return", is_flag=True, help="Also where the next pass would bring it back.")
@click.argument("ontology", metavar="[ONTOLOGY_ID]", required=False)
@click.pass_context
def forget(
    context: click.Context,
    /,
    *,
    ontology: str | None,
    as_json: bool,
    is_trial: bool,
    is_sure: bool,
    with_inferred: bool,
    may_return: bool,
    **given: Any,  # noqa: ANN401 - click's parameters
) -> None:
    """Remove all that is held of an ontology: its rows, its clone, its notes. There is no way back but a backup.

    Other sources are synced meanwhile, and readers go on. What is cut off is gone on with when it is done again.
    """
    lean.import_structlog()
    import structlog  # noqa: PLC0415 - as all below: verbs start lean

    from visionflow_daemon import logs  # noqa: PLC0415
    from visionflow_daemon.forgetting import Rules, forget_ontology, look  # noqa: PLC0415

    options = merged(context, **given)
    ontology_id = _named(options, ontology)
    config = load(replace(options, ontology_id=None, source_name=()))
    if not may_return:
        _refuse_configured(config, ontology_id)
    logs.configure(config.log.format, "error" if sys.stderr.isatty() else config.log.level, to_stderr=True)
    structlog.contextvars.bind_contextvars(ontology_id=ontology_id)
    state = state_directory(os.environ)
    database = open_existing(config, read_only=is_trial)
    found = look(config, database, state, ontology_id)
    if not found:
        raise ConfigError(f"there is no ontology {ontology_id!r}: `visionflow-daemon status` tells of those there are")
    if not is_trial:
        if not is_sure:
            _ask(ontology_id, database.name, found)
        found = forget_ontology(config, database, state, ontology_id, Rules(config.sync.lock_timeout, with_inferred))
    database.close()
    removed = dataclasses.asdict(found.contents)
    kept = 0 if with_inferred else removed.pop("inferred")
    if as_json:
        places = [str(place) for place in found.places]
        answer = {"ontology_id": ontology_id, "is_trial": is_trial, "removed": removed, "kept": {"inferred": kept}}
        tables.echo_json(answer | {"state": places})
        return
    tables.echo(removed.items(), ("would be removed" if is_trial else "removed", "rows"))
    for place in found.places:
        click.echo(harmless(f"{'would be deleted' if is_trial else 'deleted'}: {place}"))
    if kept:
        click.echo(f"kept: {kept:,} axioms that other programs wrote; --with-inferred removes them, too")


def _named(options: Options, argument: str | None) -> str:
    """Say which ontology is meant: it has to be named, one way or the other."""
    if argument is not None:
        if options.ontology_id not in {None, argument}:
            raise ConfigError(f"--ontology-id: it names {options.ontology_id!r}, not {argument!r}")
        options = replace(options, ontology_id=argument)
    if options.ontology_id is None and not options.source_name:
        raise ConfigError("say what to forget: give an ontology's id, or --source-name")
    return ontology_of(load_whole(options), options)


def _refuse_configured(config: Config, ontology_id: str) -> None:
    """Keep what the next pass would bring back."""
    for at, source in enumerate(config.sources):
        if source.ontology_id == ontology_id:
            raise ConfigError(
                f"ontology {ontology_id!r} is fed by sources[{at}] of the configuration, which would bring it back: "
                "take that out first, and let the daemon read its configuration anew; or give --even-if-configured"
            )


def _ask(ontology_id: str, database: str, found: Found) -> None:
    """Let somebody say yes. Raises ConfigError where there is nobody, click's Abort where they don't."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ConfigError("what is forgotten is gone: give --yes, or look first with --dry-run")
    rows = found.contents
    what = f"{rows.files:,} files, {rows.classes:,} classes, {rows.properties:,} properties and {rows.axioms:,} axioms"
    click.confirm(harmless(f"Remove ontology {ontology_id!r} of {database}: {what}?"), abort=True, err=True)
