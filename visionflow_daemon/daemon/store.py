"""The database as the daemon holds it: opened when a pass needs it, and anew where it is no longer the same."""

from __future__ import annotations

from pathlib import Path

import structlog

from visionflow_daemon.config.values import Config
from visionflow_daemon.passes import open_to_write
from visionflow_daemon.storage.database import Database
from visionflow_daemon.storage.opening import address

log = structlog.get_logger()


class Store:
    """The one database that the configuration names."""

    def __init__(self) -> None:
        self._config = Config()
        self._database: Database | None = None
        self._node: tuple[int, int] | None = None

    def use(self, config: Config) -> None:
        """Take the database of this configuration from now on. Raises ConfigError where it names none."""
        address(config.database, config.base)
        if _wanted(config) != _wanted(self._config):
            self.close()
        self._config = config

    def open(self) -> Database:
        """Give the database, with its schema up to date. Raises what `open_migrated` does."""
        config = self._config
        where = address(config.database, config.base)
        if self._database is not None and self._node != _node(where.path):
            log.warning("database replaced", path=where.name, reason="its file is another one; it is opened anew")
            self.close()
        if self._database is None:
            self._database, applied = open_to_write(config)
            self._node = _node(where.path)
            for migration in applied:
                log.info("migration applied", version=migration.version, name=migration.name)
        return self._database

    def close(self) -> None:
        """Let go of the database."""
        database, self._database = self._database, None
        if database is not None:
            database.close()
            database.end()


def _wanted(config: Config) -> tuple[object, ...]:
    """Give what decides how the database is opened."""
    return config.database, config.base, config.sync.busy_timeout, config.postgresql


def _node(path: Path | None) -> tuple[int, int] | None:
    """Tell one file from another at the same place."""
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
