"""The configuration: one TOML file, overridden by the environment, then by the command line; checked as a whole."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import cattrs

from visionflow_daemon.environment import PREFIX, Given, override
from visionflow_daemon.errors import ConfigError
from visionflow_daemon.git.credentials import Credentials, redact, url_problem
from visionflow_daemon.git.repository import Network
from visionflow_daemon.model import DEFAULT_NOT_RELATIONS, DEFAULT_PREFIXES, ApartRules, Limits, Reading
from visionflow_daemon.sync.breaker import Rules

DEFAULT_INCLUDE = ("*.md", "*.ttl", "*.nt", "*.nq", "*.trig", "*.rdf", "*.owl", "*.xml", "*.jsonld", "*.ofn", "*.omn")
DEFAULT_EXCLUDE = ("logseq/bak/", "logseq/.recycle/")
MIN_WORKERS, MAX_WORKERS = 4, 8
PASSWORD = f"{PREFIX}GIT_PASSWORD"
"""The variable that holds a secret, and is no key of the configuration."""

SECTIONS = ("reading", "sync", "daemon", "http", "network", "breaker", "log")
LOG_FORMATS = ("auto", "json", "console")
LOG_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """One repository and branch, with the globs that choose its files, feeding one ontology.

    `interval` None means the daemon's.
    """

    location: str
    branch: str | None = None
    ontology_id: str = "default"
    include: tuple[str, ...] = DEFAULT_INCLUDE
    exclude: tuple[str, ...] = DEFAULT_EXCLUDE
    username: str | None = None
    password_file: str | None = None
    ssh_key_file: str | None = None
    interval: float | None = None


@dataclass(frozen=True, slots=True)
class ReadingConfig:
    """How pages are read."""

    prefixes: dict[str, str] = field(default_factory=dict)
    not_relations: tuple[str, ...] = DEFAULT_NOT_RELATIONS
    limits: Limits = field(default_factory=Limits)
    apart: ApartRules = field(default_factory=ApartRules)


@dataclass(frozen=True, slots=True)
class SyncConfig:
    """How a pass works. `workers` None means one a core, at least 4 and at most 8; both timeouts are in seconds.

    `mass_delete_share`: deletions that leave more of an ontology's classes declared by nobody are held; 1 holds none.
    """

    workers: int | None = None
    queue: int = 32
    lock_timeout: float = 10.0
    busy_timeout: float = 5.0
    mass_delete_share: float = 0.3


@dataclass(frozen=True, slots=True)
class DaemonConfig:
    """When the running daemon looks at its sources, all in seconds.

    `jitter` is by how much a look may be earlier or later; `poll` is for local sources whose changes nobody reports.
    """

    interval: float = 60.0
    jitter: float = 5.0
    poll: float = 2.0


@dataclass(frozen=True, slots=True)
class HttpConfig:
    """Where the daemon serves health, metrics and its status page; port 0 serves none.

    `names` are host names, beside localhost, by which a server on the loopback address may be asked for. A source is
    ready while its last success is younger than `ready_intervals` of its intervals.
    """

    address: str = "127.0.0.1"
    port: int = 9470
    names: tuple[str, ...] = ()
    ready_intervals: float = 3.0


@dataclass(frozen=True, slots=True)
class LogConfig:
    """What is logged, and in which form; `auto` is console on a terminal, JSON elsewhere."""

    format: str = "auto"
    level: str = "info"


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration. Relative paths start at `base`: the folder of the file, or the working directory."""

    sources: tuple[SourceConfig, ...] = ()
    database: str = "sqlite:///visionflow.db"
    reading: ReadingConfig = field(default_factory=ReadingConfig)
    sync: SyncConfig = SyncConfig()
    daemon: DaemonConfig = DaemonConfig()
    http: HttpConfig = HttpConfig()
    network: Network = field(default_factory=Network)
    breaker: Rules = field(default_factory=Rules)
    log: LogConfig = LogConfig()
    base: Path = Path()

    def reading_rules(self) -> Reading:
        """Give how files are read: the default prefixes, added to and overridden by the configured ones."""
        keys = frozenset(key.lower() for key in self.reading.not_relations)
        return Reading({**DEFAULT_PREFIXES, **self.reading.prefixes}, keys, self.reading.limits)

    def interval(self, source: SourceConfig) -> float:
        """Give the seconds between two looks at a source."""
        return self.daemon.interval if source.interval is None else source.interval

    def workers(self) -> int:
        """Give the width of the thread pool."""
        return self.sync.workers or min(MAX_WORKERS, max(MIN_WORKERS, os.cpu_count() or 1))


def load(path: Path | None, environment: Mapping[str, str]) -> Config:
    """Read the configuration file, if there is one, and the environment. Raises ConfigError with every mistake."""
    data: dict[str, Any] = {}
    base = Path.cwd()
    if path is not None:
        try:
            data = tomllib.loads(path.read_text("utf-8"))
        except FileNotFoundError:
            raise ConfigError(f"there is no configuration file at {path}") from None
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"can't read the configuration {path}: {error}") from error
        base = path.resolve().parent
    override(data, environment, apart=frozenset({PASSWORD}))
    config, problems = _structured(data) if data else (Config(), [])
    config = replace(config, base=base)
    try:
        check(config)
    except ConfigError as error:
        problems += error.problems
    if problems:
        raise ConfigError(*problems)
    return config


def _structured(data: dict[str, Any]) -> tuple[Config, list[str]]:
    """Turn data into a configuration, and give the mistakes of kind; the keys that hold them keep their defaults."""
    import cattrs  # noqa: PLC0415 - a pass without a file starts without it

    converter = _converter()
    wrong = [name for name in SECTIONS if not isinstance(data.get(name, {}), dict)]
    problems = [f"{name}: a section is due, not {data.pop(name)!r}" for name in wrong]
    sources = data.get("sources", [])
    if not isinstance(sources, list) or not all(isinstance(source, dict) for source in sources):
        problems.append("sources: a list of sections is due, [[sources]]")
        del data["sources"]
    while True:
        try:
            return converter.structure(data, Config), problems
        except cattrs.BaseValidationError as error:
            found = [_readable(line) for line in cattrs.transform_error(error, path="", format_exception=_why)]
        problems += found
        if not all([_without(data, problem) for problem in found]):  # noqa: C419 - each is to be taken out
            raise ConfigError(*problems)


def _without(data: dict[str, Any], problem: str) -> bool:
    """Take out of the data what a problem is about, so that the rest can be looked at; tell whether that worked."""
    where, _, reason = problem.partition(": ")
    if where.startswith("there is no such key"):
        where, reason = "", problem
    place: Any = data
    path = [int(step) if step.isdecimal() else step for step in re.findall(r"[^.\[\]]+", where)]
    unknown = re.match(r"there is no such key: (.*)", reason)
    doomed = unknown[1].split(", ") if unknown else [path.pop()] if path else []
    try:
        for step in path:
            place = place[step]
        for key in doomed:
            del place[key]
    except (KeyError, IndexError, TypeError):
        return False
    return bool(doomed)


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
        *_outside("network.connect_timeout", config.network.connect_timeout, 0.1, 3_600),
        *_outside("network.read_timeout", config.network.read_timeout, 0.1, 3_600),
        *_outside("network.fetch_timeout", config.network.fetch_timeout, 0.1, 86_400),
        *_outside("network.fetch_bytes", config.network.fetch_bytes, 1_000, 1 << 50),
        *_outside("breaker.failing_share", config.breaker.failing_share, 0, 1),
        *_outside("breaker.fewest_failing", config.breaker.fewest_failing, 1, 1_000_000),
        *_outside("breaker.failing_passes", config.breaker.failing_passes, 1, 1_000_000),
        *_outside("breaker.cool_down", config.breaker.cool_down, 0, 86_400),
        *_outside("breaker.longest_cool_down", config.breaker.longest_cool_down, 0, 604_800),
        *_outside("reading.limits.depth", config.reading.limits.depth, 10, 250),
        *_outside("reading.limits.page_bytes", config.reading.limits.page_bytes, 1, 1 << 30),
        *_outside("reading.limits.rdf_bytes", config.reading.limits.rdf_bytes, 1, 1 << 30),
        *_outside("reading.limits.statements", config.reading.limits.statements, 1, 10_000_000),
        *_outside("reading.limits.iri_bytes", config.reading.limits.iri_bytes, 16, 1_024),
        *_outside("reading.apart.from_bytes", config.reading.apart.from_bytes, 0, 1 << 30),
        *_outside("reading.apart.seconds", config.reading.apart.seconds, 0.1, 86_400),
        *_outside("reading.apart.memory_bytes", config.reading.apart.memory_bytes, 256 << 20, 1 << 40),
        *_not_one_of("log.format", config.log.format, LOG_FORMATS),
        *_not_one_of("log.level", config.log.level, LOG_LEVELS),
    ]
    owners: dict[str, int] = {}
    for at, source in enumerate(config.sources):
        problems += _source_problems(f"sources[{at}]", source)
        if (first := owners.setdefault(source.ontology_id, at)) != at:
            problems.append(
                f"sources[{at}].ontology_id: {source.ontology_id!r} is fed by sources[{first}] already; "
                "give each source one of its own"
            )
    if problems:
        raise ConfigError(*problems)


def credentials(source: SourceConfig, base: Path, environment: Mapping[str, str]) -> Credentials:
    """Read a source's secrets: from its file, else the environment, else systemd's credentials. Raises ConfigError.

    The environment's name is VISIONFLOW_GIT_PASSWORD, the systemd credential's git-password.
    """
    password = environment.get(PASSWORD)
    folder = environment.get("CREDENTIALS_DIRECTORY")
    if source.password_file:
        password = _secret(base / Path(source.password_file).expanduser())
    elif password is None and folder and (Path(folder) / "git-password").exists():
        password = _secret(Path(folder) / "git-password")
    key = str(base / Path(source.ssh_key_file).expanduser()) if source.ssh_key_file else None
    return Credentials(source.username, password, key)


def state_directory(environment: Mapping[str, str]) -> Path:
    """Give where clones and times are kept: $STATE_DIRECTORY, as systemd sets it, else XDG's place for state."""
    if given := environment.get("STATE_DIRECTORY"):
        return Path(given.partition(":")[0])
    home = environment.get("XDG_STATE_HOME") or str(Path(environment.get("HOME") or "~").expanduser() / ".local/state")
    return Path(home) / "visionflow-daemon"


def _secret(path: Path) -> str:
    try:
        return path.read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"can't read the secret in {path}: {type(error).__name__}") from None


def _source_problems(where: str, source: SourceConfig) -> list[str]:
    problems = []
    if not source.location:
        problems.append(f"{where}.location: it is empty; give a URL or a path")
    elif why := url_problem(source.location):
        problems.append(f"{where}.location: {why}")
    if not source.ontology_id or len(source.ontology_id) > 200 or not source.ontology_id.isprintable():  # noqa: PLR2004
        problems.append(f"{where}.ontology_id: give 1 to 200 printable characters")
    if source.branch is not None and not source.branch:
        problems.append(f"{where}.branch: it is empty; leave it out for the branch that HEAD names")
    problems += _outside(f"{where}.interval", source.interval, 0.1, 86_400)
    if not source.include:
        problems.append(f"{where}.include: it is empty, so that no file would be read")
    return problems


def _outside(key: str, value: float | None, low: float, high: float) -> list[str]:
    if value is None or low <= value <= high:
        return []
    return [f"{key}: {value} is not between {low} and {high}"]


def _not_one_of(key: str, value: str, allowed: tuple[str, ...]) -> list[str]:
    return [] if value in allowed else [f"{key}: {value!r} is none of {', '.join(allowed)}"]


def _converter() -> cattrs.Converter:
    """Make a converter that takes no value for another type's, and no key that it doesn't know."""
    import cattrs  # noqa: PLC0415 - as above
    from cattrs.gen import make_dict_structure_fn  # noqa: PLC0415

    converter = cattrs.Converter(detailed_validation=True, forbid_extra_keys=True)
    for kind in (str, int, bool):
        converter.register_structure_hook(kind, _exactly)
    converter.register_structure_hook(float, lambda value, _: float(_exactly(value, int | float)))
    converter.register_structure_hook(str | None, lambda value, _: _exactly(value, str))
    converter.register_structure_hook(float | None, lambda value, _: float(_exactly(value, int | float)))
    converter.register_structure_hook(int | None, lambda value, _: _exactly(value, int))
    strings = tuple[str, ...]
    converter.register_structure_hook_func(lambda kind: kind == strings, _strings)
    hook = make_dict_structure_fn(Config, converter, _cattrs_forbid_extra_keys=True, base=cattrs.override(omit=True))
    converter.register_structure_hook(Config, hook)
    return converter


def _exactly(value: Any, kind: Any) -> Any:  # noqa: ANN401 - a leaf of parsed TOML, and its type
    if isinstance(value, Given):
        value = value.text() if kind is str else value.read()
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        wanted = {str: "a string", int: "a whole number", bool: "true or false"}.get(kind, "a number")
        raise TypeError(f"{wanted} is due, not {value!r}")
    return value


def _strings(value: Any, _: Any) -> tuple[str, ...]:  # noqa: ANN401 - a leaf of parsed TOML
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise TypeError(f"a list of strings is due, not {value!r}")
    return tuple(value)


def _why(error: BaseException, _: type | None) -> str:
    import cattrs  # noqa: PLC0415 - as above

    if isinstance(error, cattrs.ForbiddenExtraKeysError):
        return f"there is no such key: {', '.join(sorted(error.extra_fields))}"
    if isinstance(error, KeyError):
        return f"the key {error.args[0]!r} is missing"
    return str(error)


def _readable(line: str) -> str:
    """Turn `reason @ .section.key` into `section.key: reason`."""
    reason, _, where = line.rpartition(" @ ")
    where = where.lstrip(".")
    return f"{where}: {reason}" if where else reason


def shown(source: SourceConfig) -> str:
    """Name a source in messages, without its secrets."""
    return redact(source.location)
