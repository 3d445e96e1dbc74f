"""Options that the commands share, laid over the configuration."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

import click

from visionflow_daemon.config.checks import check
from visionflow_daemon.config.load import load as read_configuration
from visionflow_daemon.config.secrets import server_of
from visionflow_daemon.config.values import FOLLOWS, LOG_FORMATS, LOG_LEVELS, Config, SourceConfig
from visionflow_daemon.errors import ConfigError
from visionflow_daemon.git.credentials import is_remote
from visionflow_daemon.model import Reading
from visionflow_daemon.storage import trouble
from visionflow_daemon.storage.database import Database
from visionflow_daemon.storage.migrate import require_current
from visionflow_daemon.storage.opening import open_database

Command = TypeVar("Command", bound=Callable[..., Any])

as_json = click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
by_name = click.option(
    "--source-name", multiple=True, metavar="NAME", help="Only this source of the configuration; repeatable."
)
DATABASE_NAME = "visionflow_daemon.database"
"""Where click's context keeps the path of the database that a verb reads, for messages about it."""

SEVERAL = "several sources are configured: say which with --source-name"


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says; None where it says nothing."""

    config: Path | None = None
    source: str | None = None
    branch: str | None = None
    follow: str | None = None
    rollout_percent: float | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()
    database: str | None = None
    ontology_id: str | None = None
    source_name: tuple[str, ...] = ()
    workers: int | None = None
    lock_timeout: float | None = None
    fetch_timeout: float | None = None
    log_format: str | None = None
    log_level: str | None = None


def common(command: Command) -> Command:
    """Give a command the options that say which database and which ontology."""
    for option in reversed(
        (
            click.option("--config", type=click.Path(path_type=Path), help="The TOML file; see config.example.toml."),
            click.option("--database", metavar="URL", help="A path, or sqlite:///path."),
            click.option("--ontology-id", metavar="ID", help="The ontology within the database [default: default]."),
            by_name,
            click.option("--log-format", type=click.Choice(LOG_FORMATS), help="How log lines look."),
            click.option("--log-level", type=click.Choice(LOG_LEVELS), help="What is logged."),
        )
    ):
        command = option(command)
    return command


def of_source(command: Command) -> Command:
    """Give a command the options that say which repository, and how its files are chosen and read."""
    for option in reversed(
        (
            click.option("--source", metavar="URL-OR-PATH", help="The git repository: a URL, or a path."),
            click.option("--branch", metavar="NAME", help="The branch [default: the one that HEAD names]."),
            click.option("--follow", type=click.Choice(FOLLOWS), help="A branch's commits, or the files on disk, too."),
            click.option("--rollout-percent", type=float, metavar="P", help="The share of the files that are live."),
            click.option("--include", multiple=True, metavar="GLOB", help="Which files, as in .gitignore; repeatable."),
            click.option("--exclude", multiple=True, metavar="GLOB", help="Which files not; repeatable."),
            click.option("--prefix", multiple=True, metavar="NAME=NAMESPACE", help="A prefix of OWL names."),
            click.option("--lock-timeout", type=float, metavar="SECONDS", help="Wait for another pass [default: 10]."),
        )
    ):
        command = option(command)
    return command


def merged(context: click.Context, **given: Any) -> Options:  # noqa: ANN401 - click's parameters
    """Join a verb's options with those that stand before it."""
    outer = context.obj if isinstance(context.obj, Options) else Options()
    return replace(outer, **{name: value for name, value in given.items() if value not in (None, ())})


def load(options: Options) -> Config:
    """Read the configuration and lay the command line over it. Raises ConfigError with every mistake."""
    config = read_configuration(options.config, os.environ)
    here = Path.cwd()
    changes: dict[str, Any] = {}
    if options.database is not None:
        changes["database"] = _from(here, options.database)
    added = dict(_prefix(text) for text in options.prefix)
    if added:
        changes["reading"] = replace(config.reading, prefixes={**config.reading.prefixes, **added})
    changes["sync"] = _over(config.sync, workers=options.workers, lock_timeout=options.lock_timeout)
    changes["network"] = _over(config.network, fetch_timeout=options.fetch_timeout)
    changes["log"] = _over(config.log, format=options.log_format, level=options.log_level)
    sources = _sources(config, options, here)
    changes["sources"] = tuple(replace(source, prefixes={**source.prefixes, **added}) for source in sources)
    config = replace(config, **changes)
    check(config)
    return config


def load_whole(options: Options) -> Config:
    """Read the configuration as `load` does, for a verb about what the database holds, be it configured or not.

    --ontology-id chooses among that, by `ontology_of`, and no source.
    """
    return load(replace(options, ontology_id=None))


def open_existing(config: Config, *, read_only: bool = True) -> Database:
    """Open the configured database as it is. Raises DatabaseError where there is none of this program's.

    It is looked at by a connection that only reads, whatever is wanted: opening a file to write changes its header.
    """
    timeout, server = config.sync.busy_timeout, server_of(config, os.environ)
    database = open_database(config.database, config.base, read_only=True, busy_timeout=timeout, server=server)
    if context := click.get_current_context(silent=True):
        context.meta[DATABASE_NAME] = database.name
    with trouble.told(database.name):
        require_current(database)
    if read_only:
        return database
    database.close()
    return open_database(config.database, config.base, busy_timeout=timeout, server=server)


def ontology_of(config: Config, options: Options) -> str:
    """Say which ontology a verb is about: the one named, by itself or by its source, else the configured source's."""
    if options.source_name:
        _require_agreement(config.sources, options)
    elif options.ontology_id is not None:
        return options.ontology_id
    if len(config.sources) > 1:
        raise ConfigError(f"{SEVERAL}, or with --ontology-id" if not options.source_name else "give one --source-name")
    return config.sources[0].ontology_id if config.sources else "default"


def reading_of(config: Config) -> Reading:
    """Say how a page is read of which nobody says whose it is."""
    rules = [config.reading_rules(source) for source in config.sources] or [config.reading_rules()]
    if any(each != rules[0] for each in rules):
        raise ConfigError(f"{SEVERAL}: they are read differently")
    return rules[0]


def known_ontology(ontology_id: str, held: list[str]) -> str:
    """Give an ontology's id back. Raises ConfigError where the database holds none of that name."""
    if ontology_id not in held:
        known = f"it holds {', '.join(map(repr, held[:10]))}" if held else "no pass has run yet"
        raise ConfigError(f"there is no ontology {ontology_id!r} in the database: {known}")
    return ontology_id


def _sources(config: Config, options: Options, here: Path) -> tuple[SourceConfig, ...]:
    given = {
        "branch": options.branch,
        "follow": options.follow,
        "rollout_percent": options.rollout_percent,
        "include": options.include or None,
        "exclude": options.exclude or None,
        "ontology_id": options.ontology_id,
    }
    if options.source is not None:
        if options.source_name:
            raise ConfigError("--source-name chooses among the configured sources: leave out --source")
        return (_over(SourceConfig(_from(here, options.source)), **given),)
    chosen = _chosen(config.sources, options)
    if len(chosen) > 1 and any(value is not None for value in given.values()):
        raise ConfigError(SEVERAL)
    return tuple(_over(source, **given) for source in chosen)


def _chosen(sources: Sequence[SourceConfig], options: Options) -> Sequence[SourceConfig]:
    """Give the sources that are named, by themselves or by their ontology; all where none is."""
    if options.source_name:
        known = ", ".join(repr(source.called) for source in sources) or "none"
        strays = [name for name in options.source_name if name not in {source.called for source in sources}]
        if strays:
            raise ConfigError(*(f"--source-name: no source is called {name!r}; there are {known}" for name in strays))
        chosen = [source for source in sources if source.called in options.source_name]
        _require_agreement(chosen, options)
        return chosen
    if options.ontology_id is None or len(sources) < 2:  # noqa: PLR2004 - then it says where the only one goes to
        return sources
    chosen = [source for source in sources if source.ontology_id == options.ontology_id]
    if not chosen:
        raise ConfigError(f"--ontology-id: no configured source feeds {options.ontology_id!r}")
    return chosen


def _require_agreement(named: Sequence[SourceConfig], options: Options) -> None:
    """Raise ConfigError where the sources that are named feed another ontology than the one that is named, too."""
    problems = [
        f"--ontology-id: source {source.called!r} feeds {source.ontology_id!r}, not {options.ontology_id!r}"
        for source in named
        if options.ontology_id not in {None, source.ontology_id}
    ]
    if problems:
        raise ConfigError(*problems)


def _from(here: Path, location: str) -> str:
    """Let a path of the command line start at the working directory, wherever the configuration lies."""
    if "://" in location:
        scheme, _, path = location.partition(":///")
        return f"{scheme}:///{here / path}" if scheme == "sqlite" and path else location
    return location if is_remote(location) else str(here / Path(location).expanduser())


def database_from(here: Path, url: str) -> str:
    """Give a database's URL or path as it is meant on the command line."""
    return _from(here, url)


def _prefix(text: str) -> tuple[str, str]:
    name, separator, namespace = text.partition("=")
    if not separator or not namespace:
        raise ConfigError(f"--prefix: {text!r} is not NAME=NAMESPACE")
    return name.removesuffix(":"), namespace


def _over(section: Any, **given: Any) -> Any:  # noqa: ANN401 - any dataclass of the configuration
    known = {each.name for each in fields(section)}
    return replace(section, **{name: value for name, value in given.items() if name in known and value is not None})
