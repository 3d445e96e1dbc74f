"""Where secrets come from: files, the environment, and systemd's credentials."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from visionflow_daemon.config.values import SourceConfig
from visionflow_daemon.environment import PREFIX
from visionflow_daemon.errors import ConfigError
from visionflow_daemon.git.credentials import Credentials

PASSWORD = f"{PREFIX}GIT_PASSWORD"
"""The variable that holds a secret, and is no key of the configuration."""


def credentials(source: SourceConfig, base: Path, environment: Mapping[str, str]) -> Credentials:
    """Read a source's secrets: from its file, else the environment, else systemd's credentials. Raises ConfigError.

    The environment's name is VISIONFLOW_GIT_PASSWORD, the systemd credential's git-password.
    """
    password = environment.get(PASSWORD)
    folder = environment.get("CREDENTIALS_DIRECTORY")
    if source.password_file:
        password = secret(base / Path(source.password_file).expanduser())
    elif password is None and folder and (Path(folder) / "git-password").exists():
        password = secret(Path(folder) / "git-password")
    key = str(base / Path(source.ssh_key_file).expanduser()) if source.ssh_key_file else None
    return Credentials(source.username, password, key)


def secret(path: Path) -> str:
    """Read the secret in a file. Raises ConfigError, which names the file alone."""
    try:
        return path.read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"can't read the secret in {path}: {type(error).__name__}") from None
