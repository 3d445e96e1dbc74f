"""Which roles of a server may read the views, and may no more than that.

Views ask the tables with their owner's rights: who may read a view needs no right to any table (ADR 0032).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import compress

import peewee

from visionflow_daemon.errors import ConfigError, DatabaseError
from visionflow_daemon.storage.database import POSTGRESQL, Database

VIEWS = (
    "SELECT oid, relname FROM pg_catalog.pg_class WHERE relkind = 'v' AND relnamespace = current_schema()::regnamespace"
    " AND starts_with(relname, 'visionflow_') ORDER BY relname"
)
GRANTED = (
    "SELECT DISTINCT CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END"
    f" FROM ({VIEWS}) v JOIN pg_catalog.pg_class c ON c.oid = v.oid CROSS JOIN aclexplode(c.relacl) a"
    " WHERE a.privilege_type = 'SELECT' AND a.grantee <> c.relowner ORDER BY 1"
)
ROLE = "SELECT quote_ident(rolname) FROM pg_catalog.pg_roles WHERE rolname = ?"
PLACE = "SELECT quote_ident(current_database()), quote_ident(current_schema())"
LACKS = (
    "SELECT NOT has_database_privilege(?, current_database(), 'CONNECT'),"
    " NOT has_schema_privilege(?, current_schema(), 'USAGE')"
)
MORE = (
    "SELECT CASE WHEN c.relkind = 'r' THEN 'table ' ELSE 'view ' END || c.relname, p.privilege"
    " FROM pg_catalog.pg_class c CROSS JOIN (VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE')) p (privilege)"
    " WHERE c.relnamespace = current_schema()::regnamespace AND has_table_privilege(?, c.oid, p.privilege)"
    " AND (c.relkind = 'r' OR (c.relkind = 'v' AND p.privilege <> 'SELECT')) ORDER BY c.relkind, c.relname, 2"
)


@dataclass(frozen=True, slots=True)
class Access:
    """What a role may do: the views that it may read, and what it may do beside, for whatever reason."""

    role: str
    views: tuple[str, ...]
    more: tuple[str, ...]


def readers(database: Database) -> list[str]:
    """Name the roles that were granted views, each as SQL writes it."""
    return [role for (role,) in database.rows(GRANTED)] if database.engine == POSTGRESQL else []


def renew(database: Database, roles: Iterable[str]) -> None:
    """Grant these roles the views that there are, within the transaction that changed them."""
    named = ", ".join(roles)
    views = _views(database) if named else ""
    if views:
        database.run(f"GRANT SELECT ON {views} TO {named}")


def grant(database: Database, role: str) -> Access:
    """Let a role read the views. Raises ConfigError for a role that there is none of, DatabaseError where we may not.

    What it lacks to come as far as the views, to connect and to use the schema, is granted, too.
    """
    quoted = _quoted(database, role)
    (place, schema) = database.row(PLACE) or ("", "")
    ways = (f"GRANT CONNECT ON DATABASE {place} TO {quoted}", f"GRANT USAGE ON SCHEMA {schema} TO {quoted}")
    for way in _lacking(database, role, ways):
        try:
            with database.transaction(in_order=False):
                database.run(way)
        except peewee.DatabaseError as error:
            raise _not_ours(database, way) from error
    for way in _lacking(database, role, ways):  # without the right to grant, a server may only warn
        raise _not_ours(database, way)
    with database.transaction(in_order=False):
        renew(database, [quoted])
    return access(database, role)


def revoke(database: Database, role: str) -> Access:
    """Let a role read the views no more; that it may connect and use the schema is left as it is."""
    with database.transaction(in_order=False):
        quoted = _quoted(database, role)
        database.run(f"REVOKE SELECT ON {_views(database)} FROM {quoted}")
    return access(database, role)


def access(database: Database, role: str) -> Access:
    """Say what a role may read, and what it may do beside."""
    may = f"SELECT relname FROM ({VIEWS}) v WHERE has_table_privilege(?, v.oid, 'SELECT')"
    more: dict[str, list[str]] = {}
    for what, privilege in database.rows(MORE, (role,)):
        more.setdefault(what, []).append(privilege)
    return Access(
        role,
        tuple(name for (name,) in database.rows(may, (role,))),
        tuple(f"{', '.join(each)} on {what}" for what, each in more.items()),
    )


def _views(database: Database) -> str:
    return ", ".join(name for _, name in database.rows(VIEWS))


def _quoted(database: Database, role: str) -> str:
    if (found := database.row(ROLE, (role,))) is None:
        raise ConfigError(
            f"there is no role {role!r} on the server of {database.name}: make it first, with a password of its own, "
            "CREATE ROLE … LOGIN"
        )
    return str(found[0])


def _lacking(database: Database, role: str, ways: tuple[str, str]) -> list[str]:
    """Give what is still to be granted, for a role to come as far as the views."""
    return list(compress(ways, database.row(LACKS, (role, role)) or ()))


def _not_ours(database: Database, way: str) -> DatabaseError:
    return DatabaseError(
        f"the role by which {database.name} is opened may not grant this; let the owner say: {way}. Nothing was changed"
    )
