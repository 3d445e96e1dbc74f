"""The values of the configuration, with their defaults."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from urllib.parse import urlsplit

from visionflow_daemon.git.credentials import redact
from visionflow_daemon.git.repository import Network
from visionflow_daemon.model import DEFAULT_NOT_RELATIONS, DEFAULT_PREFIXES, ApartRules, Limits, Reading
from visionflow_daemon.storage.server import SERVERS, ServerRules
from visionflow_daemon.sync.breaker import Rules

DEFAULT_INCLUDE = ("*.md", "*.ttl", "*.nt", "*.nq", "*.trig", "*.rdf", "*.owl", "*.xml", "*.jsonld", "*.ofn", "*.omn")
DEFAULT_EXCLUDE = ("logseq/bak/", "logseq/.recycle/")
MIN_WORKERS, MAX_WORKERS = 4, 8
FOLLOW_WORKTREE = "worktree"
FOLLOWS = ("commits", FOLLOW_WORKTREE)
LOG_FORMATS = ("auto", "json", "console")
LOG_LEVELS = ("debug", "info", "warning", "error")
NOTIFY_ON = ("changed", "failing", "recovered", "held")


@dataclass(frozen=True, slots=True)
class SourceLimits:
    """The limits that a source has for itself; None means that of all sources."""

    page_bytes: int | None = None
    rdf_bytes: int | None = None
    depth: int | None = None
    statements: int | None = None
    iri_bytes: int | None = None

    def over(self, limits: Limits) -> Limits:
        """Lay them over those of all sources."""
        own = {each.name: getattr(self, each.name) for each in fields(self)}
        return replace(limits, **{name: value for name, value in own.items() if value is not None})


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """One repository and branch, with the globs that choose its files, feeding one ontology.

    `interval` None means the daemon's, `name` None the ontology's. `follow` is what is read: the branch's commits, or
    the files on disk of a checkout on this machine. `rollout_percent` is the share of the chosen files that are live.
    `prefixes`, `not_relations` and `limits` are laid over those of all sources, key by key.
    """

    location: str
    branch: str | None = None
    ontology_id: str = "default"
    include: tuple[str, ...] = DEFAULT_INCLUDE
    exclude: tuple[str, ...] = DEFAULT_EXCLUDE
    username: str | None = None
    password_file: str | None = None
    ssh_key_file: str | None = None
    webhook_secret_file: str | None = None
    interval: float | None = None
    follow: str = "commits"
    rollout_percent: float = 100.0
    name: str | None = None
    prefixes: dict[str, str] = field(default_factory=dict)
    not_relations: tuple[str, ...] | None = None
    limits: SourceLimits = SourceLimits()

    @property
    def called(self) -> str:
        """What the source is called on the command line."""
        return self.ontology_id if self.name is None else self.name

    @property
    def shown(self) -> str:
        """The location as messages name it, without its secrets."""
        return redact(self.location)


@dataclass(frozen=True, slots=True)
class ReadingConfig:
    """How pages are read, where a source doesn't say it for itself."""

    prefixes: dict[str, str] = field(default_factory=dict)
    not_relations: tuple[str, ...] = DEFAULT_NOT_RELATIONS
    limits: Limits = field(default_factory=Limits)
    apart: ApartRules = field(default_factory=ApartRules)


@dataclass(frozen=True, slots=True)
class SyncConfig:
    """How passes work; both timeouts are in seconds.

    All share the `workers`: None means one a core, at least 4 and at most 8. Each has a `queue` of its own.
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
class WebhookConfig:
    """What a webhook's request may ask for, where a source has a secret for it.

    `proxies` are addresses, or networks, whose word is taken for where a request comes from.
    """

    body_bytes: int = 1_048_576
    requests_per_minute: int = 600
    proxies: tuple[str, ...] = ("127.0.0.0/8", "::1")


@dataclass(frozen=True, slots=True)
class NotificationConfig:
    """Who is told how passes end: a program, or the URL of a webhook, which may stand in a file.

    `sources` are the ontologies it is about, all where it is empty; `timeout` and `keep_trying` are in seconds.
    """

    on: tuple[str, ...] = ("failing", "recovered", "held")
    command: tuple[str, ...] = ()
    url: str | None = None
    url_file: str | None = None
    secret_file: str | None = None
    token_file: str | None = None
    sources: tuple[str, ...] = ()
    timeout: float = 10.0
    keep_trying: float = 3600.0

    @property
    def shown(self) -> str:
        """The name by which messages call it, without secrets: the path of a webhook's URL often is one."""
        if self.command:
            return self.command[0]
        if self.url is None:
            return f"the webhook in {self.url_file}"
        parts = urlsplit(redact(self.url))
        return f"{parts.scheme}://{parts.netloc}"


@dataclass(frozen=True, slots=True)
class BackupConfig:
    """When the daemon takes backups, where they are, and which are kept.

    `interval` is in seconds; at 0 only `backup` takes them. `folder` None means `backups`, beside the database.
    """

    interval: float = 0.0
    folder: str | None = None
    keep: int = 7
    keep_weeks: int = 4


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
    webhook: WebhookConfig = WebhookConfig()
    network: Network = field(default_factory=Network)
    postgresql: ServerRules = field(default_factory=ServerRules)
    breaker: Rules = field(default_factory=Rules)
    notifications: tuple[NotificationConfig, ...] = ()
    backup: BackupConfig = BackupConfig()
    log: LogConfig = LogConfig()
    base: Path = Path()

    def reading_rules(self, source: SourceConfig | None = None) -> Reading:
        """Give how the files of a source are read: the default prefixes, overridden by all sources', then by its own.

        Without a source, it is how those are read that say nothing for themselves.
        """
        own = source or SourceConfig("")
        not_relations = self.reading.not_relations if own.not_relations is None else own.not_relations
        return Reading(
            {**DEFAULT_PREFIXES, **self.reading.prefixes, **own.prefixes},
            frozenset(key.lower() for key in not_relations),
            own.limits.over(self.reading.limits),
        )

    def interval(self, source: SourceConfig) -> float:
        """Give the seconds between two looks at a source."""
        return self.daemon.interval if source.interval is None else source.interval

    def backup_folder(self, database: Path) -> Path:
        """Give the folder of a database's backups."""
        return database.parent / "backups" if self.backup.folder is None else self.base / self.backup.folder

    def workers(self) -> int:
        """Give the width of the thread pool; on a server each has a connection, and one is left for the passes."""
        wanted = self.sync.workers or min(MAX_WORKERS, max(MIN_WORKERS, os.cpu_count() or 1))
        return min(wanted, self.postgresql.connections - 1) if self.database.startswith(SERVERS) else wanted
