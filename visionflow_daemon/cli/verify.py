"""`verify`: compares the database with what the repository says, and mends it on demand."""

from __future__ import annotations

import os
import sys
from collections import Counter
from contextlib import nullcontext
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from visionflow_daemon import lean
from visionflow_daemon.cli import tables
from visionflow_daemon.cli.settings import common, load, merged, of_source, open_existing
from visionflow_daemon.config.values import FOLLOW_WORKTREE
from visionflow_daemon.environment import state_directory
from visionflow_daemon.errors import ConfigError, ExitCode
from visionflow_daemon.git.credentials import is_remote
from visionflow_daemon.model import display_path, harmless

if TYPE_CHECKING:
    from visionflow_daemon.storage.compare import Difference

SHOWN = 1_000
"""How many differences are answered one by one; the rest is counted."""


@click.command()
@of_source
@common
@click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
@click.option("--repair", "is_repair", is_flag=True, help="Save the files that differ again.")
@click.pass_context
def verify(context: click.Context, /, *, as_json: bool, is_repair: bool, **given: Any) -> None:  # noqa: ANN401
    """Compare every row with what the files of the synced commit say, read afresh. Leaves with 3 on a difference."""
    lean.import_structlog()
    from visionflow_daemon import logs, passes  # noqa: PLC0415 - as all below: verbs start lean
    from visionflow_daemon.cli.bar import Bar, Screen  # noqa: PLC0415
    from visionflow_daemon.git import clone, repository  # noqa: PLC0415
    from visionflow_daemon.storage import ledger  # noqa: PLC0415
    from visionflow_daemon.storage.legacy import remainder  # noqa: PLC0415
    from visionflow_daemon.sync import verify as verifying  # noqa: PLC0415
    from visionflow_daemon.sync.job import Services  # noqa: PLC0415
    from visionflow_daemon.sync.progress import Unwatched  # noqa: PLC0415

    config = load(merged(context, **given))
    if len(config.sources) != 1:
        raise ConfigError("say what to verify: give --source, or the --source-name of one that is configured")
    source = config.sources[0]
    repository.configure(config.network)
    state = state_directory(os.environ)
    is_ours = is_remote(source.location) or source.follow == FOLLOW_WORKTREE
    place = passes.place_of(config, source, state)
    if is_repair:
        database, _ = passes.open_to_write(config)
    else:
        database = open_existing(config)
    sink = logs.configure(config.log.format, config.log.level, to_stderr=True)
    services = Services(database, watcher=Bar(Screen(sink), "verifying") if sys.stderr.isatty() else Unwatched())
    job = passes.job_of(config, source)
    found = Found()
    with clone.in_use(place) if is_ours else nullcontext():
        for difference in verifying.differences(job, services, place, state):
            found.add(difference, is_shown=not as_json)
        left = found.total
        if found.total and is_repair:
            left = len(verifying.repair(job, services, place, state))
    left_over = remainder.count(database, source.ontology_id)
    stale = [entry.path for entry in ledger.entries(database, source.ontology_id)]
    if as_json:
        answer = {"differences": found.shown, "total": found.total, "ledger": stale, "legacy": asdict(left_over)}
        tables.echo_json(answer | ({"mended": found.total - left, "left": left} if is_repair else {}))
    else:
        for path in stale:
            click.echo(f"{path}: in the ledger, compared with its last good content")
        if left_over:
            click.echo(f"{remainder.NAME}: {left_over.described()}, of an older VisionFlow, which no file claims: kept")
        found.echo_summary()
        if is_repair and found.total:
            click.echo("mended" if not left else f"mended all but {left:,}: run verify again to see them")
    database.close()
    context.exit(ExitCode.LEDGER if left else ExitCode.OK)


class Found:
    """The differences of one comparison: the first ones as they are, all of them by file and kind."""

    def __init__(self) -> None:
        self.shown: list[dict[str, object]] = []
        self.total = 0
        self._by_kind: Counter[str] = Counter()

    def add(self, difference: Difference, *, is_shown: bool) -> None:
        """Count a difference, and print it while there are few."""
        self.total += 1
        self._by_kind[difference.kind] += 1
        if self.total > SHOWN:
            return
        path = display_path(difference.path) if difference.path is not None else None
        what = difference.described()
        self.shown.append({"path": path, "kind": difference.kind, "what": difference.what, "description": what})
        if is_shown:
            click.echo(harmless(f"{path}: {what}" if path else what))

    def echo_summary(self) -> None:
        """Print what was found, by kind of row."""
        if not self.total:
            click.echo("no difference")
            return
        if self.total > SHOWN:
            click.echo(f"… and {self.total - SHOWN:,} more")
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in sorted(self._by_kind.items()))
        click.echo(f"{self.total:,} rows differ: {kinds}")
