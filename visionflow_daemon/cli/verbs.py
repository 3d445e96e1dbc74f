"""The verbs: what the database holds, what a page yields, what is configured."""

from __future__ import annotations

import dataclasses
import os
import sys
from pathlib import Path
from typing import Any

import click

from visionflow_daemon import lean
from visionflow_daemon.cli import tables
from visionflow_daemon.cli.settings import (
    Options,
    as_json,
    common,
    known_ontology,
    load,
    load_whole,
    merged,
    ontology_of,
    open_existing,
    reading_of,
)
from visionflow_daemon.config.values import Config, SourceConfig
from visionflow_daemon.environment import state_directory
from visionflow_daemon.errors import ConfigError, ExitCode, PageError
from visionflow_daemon.model import Page, harmless


@click.command()
@common
@as_json
@click.pass_context
def status(context: click.Context, /, *, as_json: bool, **given: Any) -> None:  # noqa: ANN401 - click's parameters
    """Say how far each source is synced, and what its ontology holds, be it configured still or not."""
    lean.import_structlog()
    from visionflow_daemon.cli.report import Standing, standing  # noqa: PLC0415 - as all below: verbs start lean
    from visionflow_daemon.storage import files  # noqa: PLC0415

    options = merged(context, **given)
    config = load_whole(options)
    database = open_existing(config)
    held = files.ontologies(database)
    sources = {source.ontology_id: source for source in config.sources}
    wanted = list(sources) if options.source_name else [*sources, *(each for each in held if each not in sources)]
    if options.ontology_id is not None:
        about = ontology_of(config, options)
        wanted = [about if about in sources else known_ontology(about, held)]
    state = state_directory(os.environ)
    found: list[Standing] = [standing(database, state, each, config) for each in wanted]
    if as_json:
        tables.echo_json([dataclasses.asdict(each) for each in found])
        return
    if not found:
        click.echo("no ontology yet: no pass has run")
    for number, each in enumerate(found):
        if number:
            click.echo()
        tables.echo(each.rows())


@click.command()
@common
@as_json
@click.option("--path", metavar="PATH", help="The page's path in its repository [default: FILE].")
@click.argument("file", type=click.Path(path_type=Path))
@click.pass_context
def parse(context: click.Context, /, *, file: Path, path: str | None, as_json: bool, **given: Any) -> None:  # noqa: ANN401
    """Say what a page yields, and why not. FILE may be - for standard input."""
    from visionflow_daemon.formats.choose import read_page  # noqa: PLC0415

    config = load(merged(context, **given))
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
    except OSError as error:
        raise ConfigError(f"can't read {file}: {error.strerror}") from error
    try:
        page = read_page(os.fsencode(path or file.name), data, reading_of(config))
    except PageError as error:
        where = f"{file}:{error.line}" if error.line else str(file)
        if as_json:
            tables.echo_json({"error": error.reason, "line": error.line})
        else:
            click.echo(f"{harmless(where)}: {harmless(error.reason)}", err=True)
        context.exit(ExitCode.LEDGER)
    if as_json:
        tables.echo_json(dataclasses.asdict(page))
    else:
        _show(page)


@click.command()
@common
@click.pass_context
def dump(context: click.Context, /, **given: Any) -> None:  # noqa: ANN401 - click's parameters
    """Print the canonical dump: all rows, sorted, without times and surrogate keys."""
    from visionflow_daemon.storage import files  # noqa: PLC0415
    from visionflow_daemon.storage.dump import dump as lines  # noqa: PLC0415

    options = merged(context, **given)
    config = load_whole(options)
    database = open_existing(config)
    for line in lines(database, known_ontology(ontology_of(config, options), files.ontologies(database))):
        sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


@click.command("check-config")
@common
@as_json
@click.pass_context
def check_config(context: click.Context, /, *, as_json: bool, **given: Any) -> None:  # noqa: ANN401 - click's parameters
    """Check the configuration, and print what is in force."""
    options: Options = merged(context, **given)
    config = load(options)
    shown = dataclasses.asdict(config) | {"base": str(config.base), "workers": config.workers()}
    for source, given_source in zip(shown["sources"], config.sources, strict=True):
        source.update(_in_force(config, given_source))
    for notification, given_hook in zip(shown["notifications"], config.notifications, strict=True):
        notification["url"] = given_hook.shown if given_hook.url else None
    if as_json:
        tables.echo_json(shown)
        return
    click.echo(harmless(f"the configuration is good: {len(config.sources)} source(s), database {config.database}"))
    columns = ["ontology_id", "location", "branch"]
    if any(source.called != source.ontology_id for source in config.sources):
        columns.insert(0, "name")
    tables.echo(
        [[source[column] or "(HEAD's)" for column in columns] for source in shown["sources"]],
        [column.removesuffix("_id") for column in columns],
    )


def _in_force(config: Config, source: SourceConfig) -> dict[str, Any]:
    """Give what a source leaves to the sections of all sources, or has for itself, and its location without secrets."""
    reading = config.reading_rules(source)
    return {
        "location": source.shown,
        "name": source.called,
        "interval": config.interval(source),
        "prefixes": dict(reading.prefixes),
        "not_relations": sorted(reading.not_relations),
        "limits": dataclasses.asdict(reading.limits),
    }


def _show(page: Page) -> None:
    rows: list[tuple[object, ...]] = [("format", page.format)]
    rows += [("skipped", page.skip_reason)] if page.skip_reason else []
    rows += [("public", "yes" if page.is_public else "no")]
    rows += [("class", fact.iri, fact.label or "") for fact in page.classes]
    rows += [("property", fact.iri, fact.property_type) for fact in page.properties]
    rows += [
        ("axiom", axiom.axiom_type, axiom.subject, axiom.property_iri or "", axiom.object) for axiom in page.axioms
    ]
    rows += [
        ("link", link.axiom_type, link.property_iri or "", f"[[{link.name}]]", link.minted_iri or "")
        for link in page.links
    ]
    rows += [("warning", f"line {warning.line}" if warning.line else "", warning.message) for warning in page.warnings]
    for row in rows:
        click.echo("  ".join(harmless(str(cell)) for cell in row if cell != ""))
