"""Delivers an event to a hook, whichever it is."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import structlog

from visionflow_daemon.config.notifications import webhook_problem
from visionflow_daemon.config.secrets import secret
from visionflow_daemon.config.values import NotificationConfig
from visionflow_daemon.errors import ConfigError
from visionflow_daemon.ops.hooks.answer import Answer
from visionflow_daemon.ops.hooks.event import Event
from visionflow_daemon.ops.hooks.patience import Patience

log = structlog.get_logger()


def deliver(hook: NotificationConfig, base: Path, event: Event, patience: Patience) -> Answer:
    """Tell a hook of an event, and give how it went. Secrets are read anew each time, so that they may change."""
    document = event.document(datetime.now(UTC))
    if hook.command:
        return _run(hook, base, event, document, patience)
    try:
        return _post(hook, base, event, document, patience)
    except ConfigError as error:
        return Answer(str(error))


def _run(hook: NotificationConfig, base: Path, event: Event, document: bytes, patience: Patience) -> Answer:
    from visionflow_daemon.ops.hooks import command  # noqa: PLC0415 - for those who have such a hook

    answer, output = command.run(hook.command, base, document, event.variables(), patience)
    if output:
        log.debug("notification output", hook=hook.shown, output=output)
    return answer


def _post(hook: NotificationConfig, base: Path, event: Event, document: bytes, patience: Patience) -> Answer:
    from visionflow_daemon.ops.hooks import web  # noqa: PLC0415 - as above

    url = hook.url or _secret(hook.url_file, base) or ""
    if why := webhook_problem(url):
        raise ConfigError(f"{hook.shown}: {why}")
    token = _secret(hook.token_file, base)
    if token is not None and not (token.isascii() and token.isprintable()):
        raise ConfigError(f"the token in {hook.token_file} holds characters that can't be sent")
    headers = {
        "User-Agent": "visionflow-daemon",
        "X-Visionflow-Event": event.kind.value,
        "X-Visionflow-Delivery": event.id,
    }
    return web.post(url, document, web.Secrets(_secret(hook.secret_file, base), token), headers, patience)


def _secret(file: str | None, base: Path) -> str | None:
    """Read a secret, where one is configured: an empty one would prove nothing. Raises ConfigError."""
    if file is None:
        return None
    found = secret(base / Path(file).expanduser()).strip()
    if not found:
        raise ConfigError(f"there is no secret in {file}: it is empty")
    return found
