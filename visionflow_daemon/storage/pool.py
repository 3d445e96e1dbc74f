"""The connections to a PostgreSQL server that a process keeps, and how their sessions are set up."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

from playhouse.pool import PooledPostgresqlDatabase

from visionflow_daemon.storage.leaseholder import US
from visionflow_daemon.storage.server import Server, ServerRules, conninfo
from visionflow_daemon.storage.silence import Adapter, Connection, Silence

TCP_TIMEOUT = 20.0
"""Seconds after which a server's machine that acknowledges nothing counts as gone."""

STALE_SECONDS = 300
"""How long a connection that nobody uses is kept."""


class _Pool(PooledPostgresqlDatabase):  # type: ignore[misc]
    psycopg3_adapter = Adapter

    def _is_closed(self, conn: Connection) -> bool:
        """Look at our side alone: Peewee asks the server, while all who want a connection wait for the pool's lock.

        Whether the server has closed its side is seen by whoever gets it (storage/postgresql.py).
        """
        return conn.closed


def session_settings(rules: ServerRules, busy_timeout: float) -> dict[str, str | int]:
    """Say what is set in each session: limits, and that commits don't wait for the disk (ADR 0029)."""
    return {
        "synchronous_commit": "off",
        "statement_timeout": _milliseconds(rules.statement_timeout),
        "lock_timeout": _milliseconds(busy_timeout),
        "idle_in_transaction_session_timeout": _milliseconds(rules.idle_timeout),
    }


def beginning(rules: ServerRules, settings: Mapping[str, str | int]) -> list[str]:
    """Give what begins a transaction: through pgbouncer, a session keeps no settings for the next."""
    if not rules.pgbouncer:
        return ["BEGIN"]
    return ["BEGIN", "SELECT " + ", ".join(f"set_config('{name}', '{settings[name]}', true)" for name in settings)]


def open_pool(url: str, server: Server, settings: Mapping[str, str | int]) -> PooledPostgresqlDatabase:
    """Make the pool of a server's connections, which connects when it is first asked for one."""
    rules = server.rules
    given = {}
    if not rules.pgbouncer:
        given["options"] = " ".join([*_own_options(url), *(f"-c {name}={settings[name]}" for name in settings)])
    if (password := server.password()) is not None:
        given["password"] = password
    return _Pool(
        conninfo(url),
        silence=Silence(rules.statement_timeout, server.is_over),
        max_connections=rules.connections,
        stale_timeout=STALE_SECONDS,
        timeout=max(1, int(rules.patience)),
        prefer_psycopg3=True,
        connect_timeout=max(2, round(rules.connect_timeout)),  # libpq takes whole seconds, and 1 for 2
        prepare_threshold=None,  # we name our own statements (pipeline.py), and after a rollback it would drop them
        application_name=session_name(US.is_known_as),
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=3,
        tcp_user_timeout=_milliseconds(TCP_TIMEOUT),
        client_encoding="utf8",
        **given,
    )


def session_name(process: str) -> str:
    """Name the sessions of a process, as the server shows them: it cuts a name to 63 bytes."""
    return f"visionflow-daemon {process}"[:63]


def _own_options(url: str) -> list[str]:
    """Give the settings that a URL asks for itself."""
    return [value for key, value in parse_qsl(urlsplit(url).query) if key == "options"]


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000)) if seconds else 0
