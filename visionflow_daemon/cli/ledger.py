"""`failures` and `retry`: what could not be saved and why, and how it is tried again."""

from __future__ import annotations

import dataclasses
import os
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

from visionflow_daemon import lean
from visionflow_daemon.cli import tables
from visionflow_daemon.cli.settings import (
    as_json,
    common,
    known_ontology,
    load_whole,
    merged,
    ontology_of,
    open_existing,
)
from visionflow_daemon.environment import state_directory
from visionflow_daemon.errors import ConfigError
from visionflow_daemon.model import display_path, harmless, timestamp
from visionflow_daemon.storage.database import Database
from visionflow_daemon.storage.trouble import told
from visionflow_daemon.sync.retry import IN_LEDGER, persistently

if TYPE_CHECKING:
    from visionflow_daemon.storage.files import LeftOut
    from visionflow_daemon.storage.ledger import Failed, LedgerEntry

COLUMNS = ("path", "line", "class", "attempts", "first failed", "last failed", "next attempt", "stale", "reason")


@click.command()
@common
@click.option("--source", metavar="URL-OR-PATH", help="Where --explain reads the page [default: as the last pass].")
@as_json
@click.option("--warnings", is_flag=True, help="List the statements that were left out of files that are saved, too.")
@click.option(
    "--class", "classes", multiple=True, type=click.Choice([*map(str, IN_LEDGER)]), help="Only these failures."
)
@click.option("--path", "globs", multiple=True, metavar="GLOB", help="Only these files, as in .gitignore; repeatable.")
@click.option("--due", "is_due", is_flag=True, help="Only files that the next pass tries again.")
@click.option("--table", "as_table", is_flag=True, help="Show all that is known of each failure, in columns.")
@click.option("--explain", metavar="PATH", help="Tell all that is known of one file, and what to do.")
@click.pass_context
def failures(
    context: click.Context,
    /,
    *,
    as_json: bool,
    warnings: bool,
    classes: tuple[str, ...],
    globs: tuple[str, ...],
    is_due: bool,
    as_table: bool,
    explain: str | None,
    **given: Any,  # noqa: ANN401 - click's parameters
) -> None:
    """List the files that could not be saved, each with line and reason."""
    from visionflow_daemon.storage import files, ledger  # noqa: PLC0415 - as all below: verbs start lean

    options = merged(context, **given)
    config = load_whole(options)
    selects = _selection(globs) if globs else ledger.everything
    database = open_existing(config)
    ontology_id = known_ontology(ontology_of(config, options), files.ontologies(database))
    if explain is not None:
        from visionflow_daemon.cli import explain as explaining  # noqa: PLC0415

        if warnings or classes or globs or is_due or as_table:
            raise ConfigError("--explain is about one file: leave out --warnings, --class, --path, --due and --table")
        explaining.tell(database, ontology_id, config, explain, as_json=as_json)
        return
    now = _now()
    found = [
        entry
        for entry in ledger.entries(database, ontology_id, selects)
        if (not classes or entry.failure_class in classes) and (not is_due or entry.is_due(now))
    ]
    left_out = files.warnings(database, ontology_id, selects) if warnings else None
    if as_json:
        answer = {"failures": [dataclasses.asdict(entry) for entry in found]}
        if left_out is not None:
            answer["warnings"] = [dataclasses.asdict(entry) for entry in left_out]
        tables.echo_json(answer)
        return
    (_echo_table if as_table else _echo_lines)(found, left_out or [])
    if sys.stderr.isatty():
        stale = sum(entry.is_stale for entry in found)
        click.echo(f"{len(found):,} {'failure' if len(found) == 1 else 'failures'}, {stale:,} stale", err=True)


@click.command()
@common
@as_json
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.pass_context
def retry(context: click.Context, /, *, paths: tuple[str, ...], as_json: bool, **given: Any) -> None:  # noqa: ANN401
    """Let the next pass try failed files again, though nothing has changed, and close the circuit breakers.

    PATH is a failed file's, as `failures` shows it, or a glob as in .gitignore; without any, all are tried.
    """
    lean.import_structlog()
    import structlog  # noqa: PLC0415 - as all below: verbs start lean

    from visionflow_daemon import logs  # noqa: PLC0415
    from visionflow_daemon.storage import files  # noqa: PLC0415
    from visionflow_daemon.sync.breakers import Breakers  # noqa: PLC0415

    options = merged(context, **given)
    config = load_whole(options)
    logs.configure(config.log.format, config.log.level, to_stderr=True)
    database = open_existing(config, read_only=False)
    ontology_id = known_ontology(ontology_of(config, options), files.ontologies(database))
    structlog.contextvars.bind_contextvars(ontology_id=ontology_id)
    due = _make_due(database, ontology_id, paths)
    closed = Breakers(state_directory(os.environ), database.address.identity, ontology_id).close()
    database.close()
    if as_json:
        breakers = [dataclasses.asdict(each) for each in closed]
        tables.echo_json({"retried": [each.display_path for each in due], "total": len(due), "closed": breakers})
        return
    for breaker in closed:
        click.echo(harmless(f"the circuit breaker of the {breaker.guards} is closed"))
    if due:
        click.echo(f"{len(due):,} failed {'file is' if len(due) == 1 else 'files are'} due: the next pass tries again")
    else:
        click.echo("no file has failed" + ("" if closed else ": there is nothing to try again"))


def _make_due(database: Database, ontology_id: str, paths: Sequence[str]) -> list[Failed]:
    """Make failed files due, also beside a pass that keeps the database busy."""
    from visionflow_daemon.storage import ledger  # noqa: PLC0415

    def choose(failed: list[Failed]) -> list[Failed]:
        return _named(failed, paths) if paths else failed

    with told(database.name):
        return persistently(lambda: ledger.make_due(database, ontology_id, _now(), choose), time.sleep)


def _named(failed: list[Failed], paths: Sequence[str]) -> list[Failed]:
    """Give the failed files that are named. Raises ConfigError for every name that none has."""
    named = {path: _of_name(failed, path) for path in paths}
    if strays := [path for path, found in named.items() if not found]:
        raise ConfigError(*(f"no failed file is called '{display_path(os.fsencode(each))}'" for each in strays))
    wanted = {each.path for found in named.values() for each in found}
    return [each for each in failed if each.path in wanted]


def _of_name(failed: list[Failed], name: str) -> list[Failed]:
    """Give the one file of that path, as it is or as it is shown; only where there is none, the name is a glob."""
    raw = os.fsencode(name)
    exact = [each for each in failed if each.path == raw] or [each for each in failed if each.display_path == name]
    if exact:
        return exact
    selects = _selection((name,))
    return [each for each in failed if selects(each.path)]


def _selection(globs: Sequence[str]) -> Callable[[bytes], bool]:
    """Make the test for paths of globs. Raises ConfigError for one that can't be understood."""
    from visionflow_daemon.git.changes import selection  # noqa: PLC0415

    return selection(globs, ())


def _now() -> str:
    return timestamp(datetime.now(UTC))


def _echo_lines(failed: list[LedgerEntry], left_out: list[LeftOut]) -> None:
    """Print one line each, as compilers do: editors jump to it."""
    for entry in failed:
        kept = " (its last good facts are kept)" if entry.is_stale else ""
        click.echo(f"{_where(entry)}: {harmless(entry.reason)}{kept}")
    for warning in left_out:
        click.echo(f"{_where(warning)}: warning: {harmless(warning.message)}")


def _where(entry: LedgerEntry | LeftOut) -> str:
    return f"{entry.path}:{entry.line}" if entry.line else entry.path


def _echo_table(failed: list[LedgerEntry], left_out: list[LeftOut]) -> None:
    rows = [
        (
            entry.path,
            entry.line,
            entry.failure_class,
            entry.attempts,
            entry.first_failed_at,
            entry.last_failed_at,
            entry.next_attempt_at,
            "yes" if entry.is_stale else "no",
            entry.reason,
        )
        for entry in failed
    ]
    tables.echo(rows, COLUMNS)
    if rows and left_out:
        click.echo()
    tables.echo([(warning.path, warning.line, warning.message) for warning in left_out], ("path", "line", "warning"))
