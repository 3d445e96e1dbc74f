"""Checks of [[notifications]]: who is told how passes end."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from visionflow_daemon.config.values import NOTIFY_ON, Config, NotificationConfig
from visionflow_daemon.git.credentials import url_problem

MOST = 32
LONGEST_TIMEOUT = 3_600
LONGEST_TRYING = 604_800


def notification_problems(notifications: Sequence[NotificationConfig]) -> list[str]:
    """Give all mistakes, each with its key."""
    problems = [f"notifications: there are more than {MOST}"] if len(notifications) > MOST else []
    known: dict[tuple[object, ...], int] = {}
    for at, each in enumerate(notifications):
        where = f"notifications[{at}]"
        problems += _target_problems(where, each)
        unknown = [name for name in each.on if name not in NOTIFY_ON]
        problems += [f"{where}.on: {name!r} is none of {', '.join(NOTIFY_ON)}" for name in unknown]
        if not each.on:
            problems.append(f"{where}.on: it is empty, so that nothing would be told")
        if not 0.1 <= each.timeout <= LONGEST_TIMEOUT:  # noqa: PLR2004 - a bound that is told
            problems.append(f"{where}.timeout: {each.timeout} is not between 0.1 and {LONGEST_TIMEOUT}")
        if not 0 <= each.keep_trying <= LONGEST_TRYING:
            problems.append(f"{where}.keep_trying: {each.keep_trying} is not between 0 and {LONGEST_TRYING}")
        target = (each.command, each.url, each.url_file, each.sources)
        if (first := known.setdefault(target, at)) != at:
            problems.append(f"{where}: it tells whom notifications[{first}] tells already; join what they are on")
    return problems


def unknown_sources(config: Config) -> list[str]:
    """Give the ontologies that notifications are about, and no configured source feeds."""
    fed = {source.ontology_id for source in config.sources}
    return [
        f"notifications[{at}].sources: no source feeds {name!r}"
        for at, each in enumerate(config.notifications)
        for name in each.sources
        if fed and name not in fed
    ]


def webhook_problem(url: str) -> str | None:
    """Say why a URL can't be a webhook's, without showing what may be secret in it; None where it can."""
    if not (url.isascii() and url.isprintable()) or " " in url:
        return "it holds characters that a URL can't: write them as %XX"
    if why := url_problem(url):
        return why
    return None if urlsplit(url).scheme in {"http", "https"} else "a URL is due that begins with https:// or http://"


def _target_problems(where: str, each: NotificationConfig) -> list[str]:
    problems = []
    given = [name for name in ("command", "url", "url_file") if getattr(each, name)]
    if len(given) != 1:
        problems.append(f"{where}: give one of command, url and url_file, not {' and '.join(given) or 'none'}")
    if each.command and not each.command[0]:
        problems.append(f"{where}.command: the program's name is empty")
    if any("\0" in part for part in each.command):
        problems.append(f"{where}.command: a program can't be given a zero byte")
    if each.url and (why := webhook_problem(each.url)):
        problems.append(f"{where}.url: {why}")
    if each.command:
        problems += [
            f"{where}.{name}: that is for a webhook; a program reads its secrets itself"
            for name in ("secret_file", "token_file")
            if getattr(each, name)
        ]
    if each.token_file and each.url and "@" in each.url.partition("://")[2].partition("/")[0]:
        problems.append(f"{where}.token_file: the URL has a user name already; give one of both")
    return problems
