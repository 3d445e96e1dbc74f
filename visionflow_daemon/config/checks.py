"""Checks of the configuration what types alone can't tell."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network

from visionflow_daemon.config.notifications import notification_problems
from visionflow_daemon.config.values import (
    FOLLOW_WORKTREE,
    FOLLOWS,
    LOG_FORMATS,
    LOG_LEVELS,
    Config,
    SourceConfig,
    SourceLimits,
)
from visionflow_daemon.errors import ConfigError
from visionflow_daemon.git.credentials import is_remote, url_problem
from visionflow_daemon.model import Limits

LONGEST_NAME = 200
ID_BYTES = 600
"""Characters of an ontology's id, and of a source's name."""


def check(config: Config) -> None:
    """Check what types alone can't tell. Raises ConfigError with every mistake, each with its key."""
    problems = [
        *_outside("sync.workers", config.sync.workers, 1, 64),
        *_outside("sync.queue", config.sync.queue, 1, 10_000),
        *_outside("sync.lock_timeout", config.sync.lock_timeout, 0, 86_400),
        *_outside("sync.busy_timeout", config.sync.busy_timeout, 0, 3_600),
        *_outside("sync.mass_delete_share", config.sync.mass_delete_share, 0, 1),
        *_outside("daemon.interval", config.daemon.interval, 0.1, 86_400),
        *_outside("daemon.jitter", config.daemon.jitter, 0, 86_400),
        *_outside("daemon.poll", config.daemon.poll, 0.1, 3_600),
        *_outside("http.port", config.http.port, 0, 65_535),
        *_outside("http.ready_intervals", config.http.ready_intervals, 1, 1_000_000),
        *_outside("webhook.body_bytes", config.webhook.body_bytes, 1_000, 64 << 20),
        *_outside("webhook.requests_per_minute", config.webhook.requests_per_minute, 1, 1_000_000),
        *_not_networks("webhook.proxies", config.webhook.proxies),
        *_outside("network.connect_timeout", config.network.connect_timeout, 0.1, 3_600),
        *_outside("network.read_timeout", config.network.read_timeout, 0.1, 3_600),
        *_outside("network.fetch_timeout", config.network.fetch_timeout, 0.1, 86_400),
        *_outside("network.fetch_bytes", config.network.fetch_bytes, 1_000, 1 << 50),
        *_outside("postgresql.connections", config.postgresql.connections, 2, 1_000),
        *_outside("postgresql.connect_timeout", config.postgresql.connect_timeout, 2, 600),
        *_outside("postgresql.statement_timeout", config.postgresql.statement_timeout, 1, 3_600),
        *_outside("postgresql.idle_timeout", config.postgresql.idle_timeout, 1, 600),
        *_outside("postgresql.patience", config.postgresql.patience, 0, 3_600),
        *_outside("postgresql.lease", config.postgresql.lease, 1, 600),
        *_outside("breaker.failing_share", config.breaker.failing_share, 0, 1),
        *_outside("breaker.fewest_failing", config.breaker.fewest_failing, 1, 1_000_000),
        *_outside("breaker.failing_passes", config.breaker.failing_passes, 1, 1_000_000),
        *_outside("breaker.cool_down", config.breaker.cool_down, 0, 86_400),
        *_outside("breaker.longest_cool_down", config.breaker.longest_cool_down, 0, 604_800),
        *_outside("backup.interval", config.backup.interval or None, 60, 31_622_400),
        *_outside("backup.keep", config.backup.keep, 1, 10_000),
        *_outside("backup.keep_weeks", config.backup.keep_weeks, 0, 10_000),
        *_limit_problems("reading.limits", config.reading.limits),
        *_outside("reading.apart.from_bytes", config.reading.apart.from_bytes, 0, 1 << 30),
        *_outside("reading.apart.seconds", config.reading.apart.seconds, 0.1, 86_400),
        *_outside("reading.apart.memory_bytes", config.reading.apart.memory_bytes, 256 << 20, 1 << 40),
        *_not_one_of("log.format", config.log.format, LOG_FORMATS),
        *_not_one_of("log.level", config.log.level, LOG_LEVELS),
    ]
    problems += notification_problems(config.notifications)
    if config.backup.folder == "":
        problems.append("backup.folder: it is empty; leave it out for `backups` beside the database")
    for at, source in enumerate(config.sources):
        problems += _source_problems(f"sources[{at}]", source)
    problems += _said_twice(config.sources)
    if problems:
        raise ConfigError(*problems)


def _said_twice(sources: Sequence[SourceConfig]) -> list[str]:
    """Give the sources that share an ontology, or a name."""
    problems = []
    owners: dict[str, int] = {}
    names: dict[str, int] = {}
    for at, source in enumerate(sources):
        if (first := owners.setdefault(source.ontology_id, at)) != at:
            problems.append(
                f"sources[{at}].ontology_id: {source.ontology_id!r} is fed by sources[{first}] already; "
                "give each source one of its own"
            )
        if (first := names.setdefault(source.called, at)) != at and (source.name or owners[source.ontology_id] == at):
            problems.append(f"sources[{at}].name: sources[{first}] is called {source.called!r} already")
    return problems


def _source_problems(where: str, source: SourceConfig) -> list[str]:
    problems = []
    if not source.location:
        problems.append(f"{where}.location: it is empty; give a URL or a path")
    elif why := url_problem(source.location):
        problems.append(f"{where}.location: {why}")
    for key, text in (("ontology_id", source.ontology_id), ("name", source.name)):
        if text is not None and not (1 <= len(text) <= LONGEST_NAME and text.isprintable()):
            problems.append(f"{where}.{key}: give 1 to {LONGEST_NAME} printable characters")
    if source.ontology_id.isprintable() and len(source.ontology_id.encode()) > ID_BYTES:
        problems.append(f"{where}.ontology_id: it has more than {ID_BYTES} bytes: no index holds it beside two IRIs")
    if source.branch is not None and not source.branch:
        problems.append(f"{where}.branch: it is empty; leave it out for the branch that HEAD names")
    problems += _not_one_of(f"{where}.follow", source.follow, FOLLOWS)
    if source.follow == FOLLOW_WORKTREE and is_remote(source.location):
        problems.append(f"{where}.follow: only a checkout on this machine has a work tree; give its path as location")
    if not 0 < source.rollout_percent <= 100:  # noqa: PLR2004 - a percentage
        problems.append(f"{where}.rollout_percent: {source.rollout_percent:g} is not above 0, and at most 100")
    problems += _outside(f"{where}.interval", source.interval, 0.1, 86_400)
    problems += _limit_problems(f"{where}.limits", source.limits)
    if not source.include:
        problems.append(f"{where}.include: it is empty, so that no file would be read")
    return problems


def _limit_problems(where: str, limits: Limits | SourceLimits) -> list[str]:
    return [
        *_outside(f"{where}.depth", limits.depth, 10, 250),
        *_outside(f"{where}.page_bytes", limits.page_bytes, 1, 1 << 30),
        *_outside(f"{where}.rdf_bytes", limits.rdf_bytes, 1, 1 << 30),
        *_outside(f"{where}.statements", limits.statements, 1, 10_000_000),
        *_outside(f"{where}.iri_bytes", limits.iri_bytes, 16, 1_024),
    ]


def _outside(key: str, value: float | None, low: float, high: float) -> list[str]:
    if value is None or low <= value <= high:
        return []
    return [f"{key}: {value} is not between {low} and {high}"]


def _not_networks(key: str, values: tuple[str, ...]) -> list[str]:
    problems = []
    for at, value in enumerate(values):
        try:
            ip_network(value)
        except ValueError:
            problems.append(f"{key}[{at}]: {value!r} is neither an address nor a network, as 10.0.0.0/8 is one")
    return problems


def _not_one_of(key: str, value: str, allowed: tuple[str, ...]) -> list[str]:
    return [] if value in allowed else [f"{key}: {value!r} is none of {', '.join(allowed)}"]
