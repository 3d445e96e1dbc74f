"""The command line: the daemon, `--once`, and the verbs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any, TextIO

import click
import peewee

from visionflow_daemon import lean
from visionflow_daemon.cli import tables
from visionflow_daemon.cli.backup import backup, restore
from visionflow_daemon.cli.compare import compare
from visionflow_daemon.cli.copy import copy
from visionflow_daemon.cli.forget import forget
from visionflow_daemon.cli.ledger import failures, retry
from visionflow_daemon.cli.migrate import migrate
from visionflow_daemon.cli.readers import readers
from visionflow_daemon.cli.settings import DATABASE_NAME, Options, common, load, of_source
from visionflow_daemon.cli.verbs import check_config, dump, parse, status
from visionflow_daemon.cli.verify import verify
from visionflow_daemon.errors import ConfigError, ExitCode, VisionflowError
from visionflow_daemon.storage import trouble


class Program(click.Group):
    """Turns this program's errors into messages and exit codes, for every verb alike."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's own signature
        """Run a verb; leave with the code of the error that it raises."""
        try:
            return super().invoke(ctx)
        except VisionflowError as error:
            tables.complain(str(error))
            ctx.exit(error.exit_code)
        except BrokenPipeError:
            # Whoever read our output has seen enough; what Python flushes at exit must not fail too.
            _silence(sys.stdout)
            ctx.exit(ExitCode.OK)
        except (OSError, peewee.DatabaseError) as error:
            words = None
            if isinstance(error, peewee.DatabaseError):
                words = trouble.in_words(error, ctx.meta.get(DATABASE_NAME, Path("database")))
                if words is None:
                    raise
            tables.complain(str(words or f"the system refuses: {error}"))
            ctx.exit(words.exit_code if words else ExitCode.INTERNAL)


@click.group(cls=Program, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--once", is_flag=True, help="Run one pass of each source, then leave.")
@click.option("--full", is_flag=True, help="Read every file anew, also what has not changed.")
@of_source
@click.option("--workers", type=int, metavar="N", help="Threads that read and save [default: 4 to 8, by cores].")
@click.option("--fetch-timeout", type=float, metavar="SECONDS", help="For all that a remote is asked [default: 600].")
@click.option("--replace-source", is_flag=True, help="Let this source replace another's facts in the ontology.")
@click.option("--allow-mass-delete", is_flag=True, help="Delete also where most classes would go with it.")
@click.option("--allow-lower-rollout", is_flag=True, help="Take files back that a lower rollout leaves out.")
@common
@click.version_option(package_name="visionflow-daemon")
@click.pass_context
def program(
    context: click.Context,
    /,
    *,
    once: bool,
    full: bool,
    replace_source: bool,
    allow_mass_delete: bool,
    allow_lower_rollout: bool,
    **given: Any,  # noqa: ANN401 - click's parameters
) -> None:
    r"""Keep an ontology database equal to a git repository of pages, commit by commit.

    Without --once, it stays and follows the repository until it is ended by SIGTERM or Ctrl-C; SIGHUP lets it read its
    configuration anew.

    \b
    Exit codes of --once:
      0  all saved               4  remote unreachable, refused or late
      1  internal error          5  deletions held, or a breaker open
      2  usage or configuration  6  database, or a limit of the system
      3  saved, but some files failed: see `failures`
    """
    options = Options(**given)
    context.obj = options
    if context.invoked_subcommand is not None:
        if once:
            raise ConfigError(f"--once runs a pass: leave it out before {context.invoked_subcommand!r}")
        return
    given_anyway = {
        "--full": full,
        "--replace-source": replace_source,
        "--allow-mass-delete": allow_mass_delete,
        "--allow-lower-rollout": allow_lower_rollout,
    }
    if not once and any(given_anyway.values()):
        names = ", ".join(name for name, value in given_anyway.items() if value)
        raise ConfigError(f"{names}: that is for one pass; give --once, too")
    lean.import_structlog()
    from visionflow_daemon import logs  # noqa: PLC0415 - verbs need none of this

    config = load(options)
    sink = logs.configure(config.log.format, config.log.level)
    if not once:
        from visionflow_daemon.daemon.run import serve  # noqa: PLC0415 - a single pass needs no scheduler

        context.exit(serve(lambda: load(options)))
    from visionflow_daemon.cli.once import How, run  # noqa: PLC0415 - verbs need none of this

    how = How(full, replace_source, allow_mass_delete, allow_lower_rollout)
    context.exit(run(config, sink, how))


for verb in (
    status,
    failures,
    retry,
    parse,
    verify,
    dump,
    compare,
    migrate,
    backup,
    restore,
    copy,
    readers,
    forget,
    check_config,
):
    program.add_command(verb)


def main() -> None:
    """Run the program."""
    _open_closed_streams()
    try:
        program(prog_name="visionflow-daemon" if Path(sys.argv[0]).name != "__main__.py" else None)
    finally:
        _let_go_of_streams()


def _open_closed_streams() -> None:
    """Open nothing in place of standard streams that are closed, else the next file opened would get their output."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one
            setattr(sys, name, os.fdopen(number, "w" if number else "r", closefd=False))


def _let_go_of_streams() -> None:
    """Drop what standard streams don't take: Python would fail at it once more at its exit, and spoil the exit code."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            _silence(stream)


def _silence(stream: TextIO) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
