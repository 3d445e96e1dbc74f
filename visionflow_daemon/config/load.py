"""Reads the configuration file and the environment, and reports all mistakes at once."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from visionflow_daemon.config.checks import check
from visionflow_daemon.config.notifications import unknown_sources
from visionflow_daemon.config.secrets import DATABASE_PASSWORD, PASSWORD, WEBHOOK
from visionflow_daemon.config.values import Config
from visionflow_daemon.environment import override
from visionflow_daemon.errors import ConfigError


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
    override(data, environment, apart=frozenset({DATABASE_PASSWORD, PASSWORD, WEBHOOK}))
    config, problems = _structured(data) if data else (Config(), [])
    config = replace(config, base=base)
    try:
        check(config)
    except ConfigError as error:
        problems += error.problems
    problems += unknown_sources(config)
    if problems:
        raise ConfigError(*problems)
    return config


def _structured(data: dict[str, Any]) -> tuple[Config, list[str]]:
    from visionflow_daemon.config.structure import structured  # noqa: PLC0415 - a pass without a file starts without it

    return structured(data)
