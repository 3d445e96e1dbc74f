"""Where secrets come from: files, the environment, and systemd's credentials."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from visionflow_daemon.config.values import Config, SourceConfig
from visionflow_daemon.environment import PREFIX
from visionflow_daemon.errors import ConfigError
from visionflow_daemon.git.credentials import Credentials
from visionflow_daemon.storage.server import Server

PASSWORD = f"{PREFIX}GIT_PASSWORD"
WEBHOOK = f"{PREFIX}WEBHOOK_SECRET"
DATABASE_PASSWORD = f"{PREFIX}DATABASE_PASSWORD"
"""The variables that hold a secret, and are no keys of the configuration."""

SIGNING_PREFIX = "whsec_"
SHORTEST_SECRET = 16
MOST_SECRETS = 8
"""Characters of a webhook's secret, so that nobody guesses it, and how many may hold at a time for one source."""


@dataclass(frozen=True, slots=True)
class WebhookSecret:
    """What a webhook is signed with. Nothing here appears in a repr, and so in no log.

    `whsec_` and base64 is a key for signatures by Standard Webhooks, and never sent.
    """

    text: bytes = field(repr=False)
    signing_key: bytes = field(repr=False)
    is_for_signing: bool

    @classmethod
    def of(cls, text: str) -> WebhookSecret:
        """Read a secret. Raises ValueError, which doesn't show it."""
        if len(text) < SHORTEST_SECRET:
            raise ValueError(f"it has fewer than {SHORTEST_SECRET} characters; `openssl rand -hex 32` makes a good one")
        is_for_signing = text.startswith(SIGNING_PREFIX)
        key = text.encode()
        if is_for_signing:
            try:
                key = b64decode(text.removeprefix(SIGNING_PREFIX), validate=True)
            except (binascii.Error, ValueError):
                raise ValueError(f"what stands behind {SIGNING_PREFIX} is not base64") from None
            if len(key) < SHORTEST_SECRET:
                raise ValueError(f"the key behind {SIGNING_PREFIX} has fewer than {SHORTEST_SECRET} bytes")
        return cls(text.encode(), key, is_for_signing)


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


def server_of(config: Config, environment: Mapping[str, str]) -> Server:
    """Say how a database server is dealt with; the password is read when it is opened.

    From its file, else VISIONFLOW_DATABASE_PASSWORD, else systemd's credential database-password; else
    it is left to the client library, which reads PGPASSFILE. The reading raises ConfigError.
    """
    folder = environment.get("CREDENTIALS_DIRECTORY")
    given = Path(folder) / "database-password" if folder else None

    def password() -> str | None:
        if config.postgresql.password_file:
            return secret(config.base / Path(config.postgresql.password_file).expanduser())
        if DATABASE_PASSWORD in environment:
            return environment[DATABASE_PASSWORD]
        return secret(given) if given is not None and given.exists() else None

    return Server(config.postgresql, password)


def webhook_secrets(source: SourceConfig, base: Path, environment: Mapping[str, str]) -> tuple[WebhookSecret, ...]:
    """Read what a source's webhooks are signed with, one secret a line; none where none is given. Raises ConfigError.

    From its file, else the environment (VISIONFLOW_WEBHOOK_SECRET), else systemd's credential webhook-secret.
    """
    text, where = environment.get(WEBHOOK), WEBHOOK
    folder = environment.get("CREDENTIALS_DIRECTORY")
    path = None
    if source.webhook_secret_file:
        path = base / Path(source.webhook_secret_file).expanduser()
    elif text is None and folder and (Path(folder) / "webhook-secret").exists():
        path = Path(folder) / "webhook-secret"
    if path is not None:
        text, where = secret(path), str(path)
    if text is None:
        return ()
    lines = [line for each in text.split("\n") if (line := each.rstrip("\r"))]
    if not 1 <= len(lines) <= MOST_SECRETS:
        raise ConfigError(f"the webhook secret in {where}: give 1 to {MOST_SECRETS}, one a line")
    try:
        return tuple(map(WebhookSecret.of, lines))
    except ValueError as error:
        raise ConfigError(f"the webhook secret in {where}: {error}") from None


def secret(path: Path) -> str:
    """Read the secret in a file. Raises ConfigError, which names the file alone."""
    try:
        return path.read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"can't read the secret in {path}: {type(error).__name__}") from None
