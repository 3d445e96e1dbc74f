"""What is to be known of a PostgreSQL server before it is connected to: its address, and how it is dealt with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit, urlunsplit

from visionflow_daemon.errors import ConfigError
from visionflow_daemon.storage.database import Address

SERVERS = ("postgresql://", "postgres://")
"""What the URL of a server begins with."""

SECRET_KEYS = frozenset({"password", "sslpassword"})
"""Parameters of a URL that are secrets; https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS"""


@dataclass(frozen=True, slots=True)
class ServerRules:
    """How a PostgreSQL server is dealt with; times are in seconds.

    `connections` are held at most, `idle_timeout` is how long a transaction may wait for its program, a lease holds for
    `lease` seconds after its holder's last sign of life. Where the server is away, a pass waits for up to `patience`.
    `pgbouncer` says that one stands between, in transaction mode: sessions then keep no settings, and no statements.
    """

    connections: int = 20
    connect_timeout: float = 5.0
    statement_timeout: float = 60.0
    idle_timeout: float = 5.0
    patience: float = 60.0
    lease: float = 5.0
    pgbouncer: bool = False
    password_file: str | None = None


def no_password() -> str | None:
    """Leave it to the client library: PGPASSFILE, ~/.pgpass, or none."""
    return None


def never() -> bool:
    """Nobody tells the program to end."""
    return False


@dataclass(frozen=True, slots=True)
class Server:
    """How to deal with a server, and where the password comes from when a connection is made.

    Once `is_over` tells that the program is to end, a server that is silent is waited for no longer.
    """

    rules: ServerRules = ServerRules()
    password: Callable[[], str | None] = field(default=no_password, repr=False)
    is_over: Callable[[], bool] = field(default=never, repr=False)


DEFAULT_SERVER = Server()


def server_address(url: str) -> Address:
    """Say which database a URL names. Raises ConfigError for one that isn't understood, or holds a secret."""
    parts = _split(url)
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    host = parts.netloc.rpartition("@")[2] or given.get("host") or "localhost"
    database = unquote(parts.path.lstrip("/")) or given["dbname"]
    name = f"postgresql://{host}/{database}"
    return Address(name, f"{name} {given.get('options', '')}".rstrip())


def conninfo(url: str) -> str:
    """Give a URL as the client library takes it. Raises ConfigError."""
    parts = _split(url)
    return urlunsplit(("postgresql", *parts[1:4], ""))


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ConfigError(f"database: the URL can't be read: {error}") from None
    keys = {key.lower() for key, _ in parse_qsl(parts.query, keep_blank_values=True)}
    if parts.password is not None or keys & SECRET_KEYS:
        raise ConfigError(
            "database: the URL holds a password, which other users of the machine may see: give it as "
            "postgresql.password_file, VISIONFLOW_DATABASE_PASSWORD, or in PGPASSFILE"
        )
    if len(parts.path) <= 1 and "dbname" not in keys:
        raise ConfigError("database: the URL names no database; give postgresql://user@host/name")
    return parts
