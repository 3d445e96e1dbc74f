"""`compare`: what an old database and a new one say differently."""

from __future__ import annotations

import dataclasses
import sys
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from visionflow_daemon.cli import tables
from visionflow_daemon.cli.settings import Options, by_name, load, merged, reading_of
from visionflow_daemon.errors import ConfigError, ExitCode
from visionflow_daemon.model import harmless

if TYPE_CHECKING:
    from visionflow_daemon.storage.parallel.contrast import Contrast, Count
    from visionflow_daemon.storage.parallel.run import Comparison, Seen

ALL_KINDS = "class,label,comment,parent,property,axiom,inferred"
SHOWN = 100
"""How many differences are shown, unless --limit says otherwise."""

WIDEST = 160
"""Characters of a value that a line for people shows."""


def of_comparison(command: Any) -> Any:  # noqa: ANN401 - click's decorators have no type
    """Give a command the options that say what is compared."""
    for option in reversed(
        (
            click.option("--config", type=click.Path(path_type=Path), help="The TOML file, for its prefixes."),
            by_name,
            click.option("--prefix", multiple=True, metavar="NAME=NAMESPACE", help="A prefix of OWL names."),
            click.option("--ontology-id", metavar="ID", help="The ontology, where a database holds several."),
            click.option("--old-ontology-id", metavar="ID", help="The same, of OLD alone."),
            click.option("--new-ontology-id", metavar="ID", help="The same, of NEW alone."),
            click.option("--only", metavar="KINDS", help=f"Compare these alone, of {ALL_KINDS}."),
            click.option("--ignore", metavar="KINDS", help="Leave these out; separated by commas."),
            click.option("--annotations", "with_annotations", is_flag=True, help="Tell axioms by annotations, too."),
            click.option("--exact", "is_exact", is_flag=True, help="Take every value as it is written."),
            click.option("--limit", type=click.IntRange(0), default=SHOWN, help="Differences shown [default: 100]."),
            click.option("--json", "as_json", is_flag=True, help="Answer as JSON."),
            click.option("--json-lines", "as_lines", is_flag=True, help="One JSON object a line: all differences."),
        )
    ):
        command = option(command)
    return command


@click.command()
@of_comparison
@click.argument("old")
@click.argument("new")
@click.pass_context
def compare(context: click.Context, /, *, old: str, new: str, **given: Any) -> None:  # noqa: ANN401
    """Say what databases OLD and NEW, of any shape, say differently. Leaves with 3 on a difference."""
    from visionflow_daemon.storage.parallel.run import Place, Rules, compared  # noqa: PLC0415 - verbs start lean
    from visionflow_daemon.storage.parallel.scope import kinds_of  # noqa: PLC0415

    if given["as_json"] and given["as_lines"]:
        raise ConfigError("--json and --json-lines: give one of them")
    options = merged(context, **{name: given[name] for name in ("config", "prefix", "source_name")})
    config = load(Options(config=options.config, prefix=options.prefix, source_name=options.source_name))
    both = given["ontology_id"] or options.ontology_id
    rules = Rules(
        kinds_of(_listed(given["only"]), _listed(given["ignore"])),
        reading_of(config).prefixes,
        given["is_exact"],
        given["with_annotations"],
        config.sync.busy_timeout,
    )
    places = (
        Place(old, given["old_ontology_id"] or both, "--old-ontology-id"),
        Place(new, given["new_ontology_id"] or both, "--new-ontology-id"),
    )
    show = _lines if given["as_lines"] else _document if given["as_json"] else _table
    with compared(*places, rules, Path.cwd()) as comparison:
        is_equal = show(comparison, given["limit"])
    context.exit(ExitCode.OK if is_equal else ExitCode.LEDGER)


def _listed(names: str | None) -> tuple[str, ...]:
    return tuple(name for each in (names or "").split(",") if (name := each.strip()))


def _table(comparison: Comparison, limit: int) -> bool:
    """Print the first differences, how many there are by kind, and what was taken as equal."""
    for difference in islice(comparison.differences, limit):
        click.echo(_line(difference))
    if more := sum(1 for _ in comparison.differences):
        click.echo(f"… and {more:,} more")
    rows = [(kind, *dataclasses.astuple(count)) for kind, count in _in_order(comparison)]
    tables.echo(rows, ("", "old", "new", "equal", "missing", "extra", "different"))
    for name, seen in (("OLD", comparison.old), ("NEW", comparison.new)):
        of = f", ontology {seen.ontology_id!r}" if seen.ontology_id is not None else ""
        click.echo(harmless(f"{name}: {seen.path} ({seen.shape}{of})"))
        for what, count in sorted(seen.norms.items()):
            click.echo(f"  {count:,} {what}")
    for what in comparison.left_out:
        click.echo(f"not compared: {what}")
    total = _total(comparison)
    click.echo(f"{total:,} differences" if total else "no difference")
    return not total


def _document(comparison: Comparison, limit: int) -> bool:
    """Print one JSON document, with the first differences."""
    first = [_as_json(difference) for difference in islice(comparison.differences, limit)]
    deque(comparison.differences, maxlen=0)  # the others are counted as they pass
    tables.echo_json(_summary(comparison) | {"differences": first})
    return not _total(comparison)


def _lines(comparison: Comparison, _limit: int) -> bool:
    """Print each difference as a JSON object of one line, and the summary as the last."""
    from visionflow_daemon.storage.dump import json_line  # noqa: PLC0415 - verbs start lean

    out = sys.stdout.buffer
    for difference in comparison.differences:
        out.write(json_line(_as_json(difference)))
    out.write(json_line({"summary": _summary(comparison)}))
    out.flush()
    return not _total(comparison)


def _line(difference: Contrast) -> str:
    named = difference.kind if difference.of is None else f"{difference.kind} of {difference.of}"
    key = " ".join(_short(value) for value in difference.key.values() if value)
    values = "; ".join(_values(difference))
    return harmless(f"{difference.what}: {named} {key}" + (f": {values}" if values else ""))


def _values(difference: Contrast) -> Iterator[str]:
    old, new = difference.old, difference.new
    if old is not None and new is not None:
        for name in old:
            yield f"{name} was {_short(old[name])}, is {_short(new[name])}"
    else:
        for name, value in (old or new or {}).items():
            if value is not None:
                yield f"{name} {_short(value)}"


def _short(value: object) -> str:
    if value is None:
        return "not given"
    text = str(value)
    return text if len(text) <= WIDEST else f"{text[:WIDEST]}…"


def _as_json(difference: Contrast) -> dict[str, Any]:
    return {"what": difference.what, **dataclasses.asdict(difference)}


def _summary(comparison: Comparison) -> dict[str, Any]:
    return {
        "is_equal": not _total(comparison),
        "total": _total(comparison),
        "kinds": {kind: dataclasses.asdict(count) for kind, count in _in_order(comparison)},
        "old": _seen(comparison.old),
        "new": _seen(comparison.new),
        "not_compared": list(comparison.left_out),
    }


def _seen(seen: Seen) -> dict[str, Any]:
    return {
        "path": harmless(str(seen.path)),
        "shape": seen.shape,
        "ontology_id": seen.ontology_id,
        "taken_as_equal": dict(sorted(seen.norms.items())),
    }


def _in_order(comparison: Comparison) -> Iterator[tuple[str, Count]]:
    from visionflow_daemon.storage.parallel.scope import KINDS  # noqa: PLC0415 - verbs start lean

    return ((kind, comparison.counts[kind]) for kind in KINDS if kind in comparison.counts)


def _total(comparison: Comparison) -> int:
    return sum(count.missing + count.extra + count.different for count in comparison.counts.values())
