"""Which proxy the environment names for a URL, as for git and most programs."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from visionflow_daemon.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy that is spoken to by HTTP, and what it is to get as Proxy-Authorization."""

    host: str
    port: int
    authorization: str | None = field(default=None, repr=False)


def proxy_for(scheme: str, host: str) -> Proxy | None:
    """Give the proxy for a host, by http_proxy, https_proxy, all_proxy and no_proxy; None where it is asked itself.

    Raises ConfigError where what is named can't be used.
    """
    from urllib import request  # noqa: PLC0415 - for webhooks alone

    named = request.getproxies_environment()
    place = named.get(scheme) or named.get("all")
    if not place or request.proxy_bypass_environment(host, named):  # type: ignore[attr-defined]
        return None
    parts = urlsplit(place if "://" in place else f"http://{place}")
    try:
        port = parts.port or 80
    except ValueError:
        port = 0
    if parts.scheme != "http" or not parts.hostname or not port:
        raise ConfigError(f"the proxy that {scheme}_proxy names is no http://HOST:PORT")
    if parts.username is None:
        return Proxy(parts.hostname, port)
    return Proxy(parts.hostname, port, basic(unquote(parts.username), unquote(parts.password or "")))


def basic(user: str, password: str) -> str:
    """Give what proves to a web server who we are, by user name and password."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
