"""The database as the daemon holds it: opened when a pass needs it, and anew where it is no longer the same."""

from __future__ import annotations

from pathlib import Path

import structlog

from visionflow_daemon.config.values import Config
from visionflow_daemon.storage.database import Database, database_path
from visionflow_daemon.storage.migrate import open_migrated

log = structlog.get_logger()


class Store:
    """The one database that the configuration names."""

    def __init__(self) -> None:
        self._config = Config()
        self._database: Database | None = None
        self._node: tuple[int, int] | None = None

    def use(self, config: Config) -> None:
        """Take the database of this configuration from now on. Raises ConfigError where it names none."""
        wanted = (database_path(config.database, config.base), config.sync.busy_timeout)
        if wanted != (database_path(self._config.database, self._config.base), self._config.sync.busy_timeout):
            self.close()
        self._config = config

    def open(self) -> Database:
        """Give the database, with its schema up to date. Raises what `open_migrated` does."""
        config = self._config
        path = database_path(config.database, config.base)
        if self._database is not None and self._node != _node(path):
            log.warning("database replaced", path=str(path), reason="its file is another one; it is opened anew")
            self.close()
        if self._database is None:
            self._database, applied = open_migrated(config.database, config.base, busy_timeout=config.sync.busy_timeout)
            self._node = _node(path)
            for migration in applied:
                log.info("migration applied", version=migration.version, name=migration.name)
        return self._database

    def close(self) -> None:
        """Let go of the database."""
        database, self._database = self._database, None
        if database is not None:
            database.close()


def _node(path: Path) -> tuple[int, int] | None:
    """Tell one file from another at the same place."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
