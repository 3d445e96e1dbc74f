"""`readers`: which roles of a server may read the views."""

from __future__ import annotations

import dataclasses
from typing import Any

import click

from visionflow_daemon.cli import tables
from visionflow_daemon.cli.settings import as_json, common, load, merged, open_existing
from visionflow_daemon.errors import ConfigError
from visionflow_daemon.model import harmless


@click.command()
@common
@as_json
@click.option("--revoke", "is_revoked", is_flag=True, help="Take the right away again.")
@click.argument("role", required=False)
@click.pass_context
def readers(
    context: click.Context,
    /,
    *,
    role: str | None,
    is_revoked: bool,
    as_json: bool,
    **given: Any,  # noqa: ANN401 - click's parameters
) -> None:
    """Let ROLE of a PostgreSQL server read the views, and nothing else; without ROLE, say which roles may."""
    from visionflow_daemon.storage import grants  # noqa: PLC0415 - verbs start lean
    from visionflow_daemon.storage.database import POSTGRESQL  # noqa: PLC0415

    if is_revoked and role is None:
        raise ConfigError("--revoke: say from which role")
    database = open_existing(load(merged(context, **given)), read_only=role is None)
    if database.engine != POSTGRESQL:
        raise ConfigError(
            f"{database.name} is a file, and SQLite knows no roles: who may read the file reads it all. Give readers "
            "the file read-only, and let them ask the views all the same"
        )
    if role is None:
        _echo_roles(grants.readers(database), is_json=as_json)
        return
    found = grants.revoke(database, role) if is_revoked else grants.grant(database, role)
    if as_json:
        tables.echo_json(dataclasses.asdict(found))
        return
    tables.echo([("role", found.role), ("reads", ", ".join(found.views) or "no view")])
    for each in found.more:
        click.echo(harmless(f"but it also has {each}"), err=True)


def _echo_roles(roles: list[str], *, is_json: bool) -> None:
    if is_json:
        tables.echo_json(roles)
    else:
        click.echo("\n".join(map(harmless, roles)) or "no role was granted the views")
