"""Opens the database that a URL names, with the engine that it is for."""

from __future__ import annotations

from pathlib import Path

from visionflow_daemon.errors import ConfigError
from visionflow_daemon.storage.database import BUSY_TIMEOUT, Address, Database
from visionflow_daemon.storage.server import DEFAULT_SERVER, SERVERS, Server, server_address
from visionflow_daemon.storage.sqlite import address_of, database_path, open_sqlite


def open_database(
    url: str,
    base: Path,
    *,
    read_only: bool = False,
    busy_timeout: float = BUSY_TIMEOUT,
    server: Server = DEFAULT_SERVER,
) -> Database:
    """Open the database that a URL or a plain path names; relative paths start at `base`.

    Raises ConfigError for a URL that isn't understood, DatabaseError for a place where no database can be, or none of
    this program's, BusyError for a server that does not answer, and CorruptError for a damaged file.
    """
    if not url.startswith(SERVERS):
        return open_sqlite(url, base, read_only=read_only, busy_timeout=busy_timeout)
    try:
        from visionflow_daemon.storage.postgresql import open_postgresql  # noqa: PLC0415 - files have no use for it
    except ImportError as error:
        raise ConfigError(
            f"database: a PostgreSQL server needs psycopg ({error}): install the extra [postgres]"
        ) from error

    return open_postgresql(url, server, read_only=read_only, busy_timeout=busy_timeout)


def address(url: str, base: Path) -> Address:
    """Say which database a URL names. Raises ConfigError for one that isn't understood."""
    return server_address(url) if url.startswith(SERVERS) else address_of(database_path(url, base))
