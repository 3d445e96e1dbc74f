"""Readers on other machines: a role that may read the views, and can do nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.postgresql import server
from tests.postgresql.server import PASSWORD
from tests.support import Daemon, Repo, class_page, outline_page
from visionflow_daemon.storage.migrate import Migration, apply, migrations
from visionflow_daemon.storage.opening import open_database
from visionflow_daemon.storage.server import Server

SECRET = "'{}'".format(PASSWORD.replace("'", "''"))
VIEWS = [
    f"visionflow_{name}"
    for name in ("axioms", "classes", "failures", "leases", "pages", "parents", "properties", "runs", "sources")
]


@pytest.fixture
def name(tmp_path: Path, repo: Repo, daemon: Daemon) -> Iterator[str]:
    """A database with some pages in it."""
    found = server.database_name(tmp_path)
    url = server.shared().new_database(found)
    daemon.environment["VISIONFLOW_DATABASE_PASSWORD"] = PASSWORD
    repo.commit(
        {
            "A.md": class_page("urn:t:a", "A"),
            "Outline.md": outline_page("Outline", "has-part:: [[Some Link]]", prefix="t"),
            "bad.md": "```json-ld\n{ broken\n```\n",
        }
    )
    ran = daemon.run("--once", "--source", repo.path, "--database", url, "--prefix", "t=urn:t:")
    assert ran.code == 3, ran.err
    yield found
    server.shared().rows(f'DROP DATABASE "{found}" WITH (FORCE)')


@pytest.fixture
def role(name: str) -> Iterator[str]:
    """A role of a reader's, with a name that has to be quoted."""
    found = f'reader "of"? {name}'
    quoted = '"{}"'.format(found.replace('"', '""'))
    server.shared().rows(f"CREATE ROLE {quoted} LOGIN PASSWORD {SECRET}")
    yield found
    server.shared().rows(f"DROP OWNED BY {quoted}", name)
    server.shared().rows(f"DROP OWNED BY {quoted}")
    server.shared().rows(f"DROP ROLE {quoted}")


def as_reader(name: str, role: str, sql: str) -> list[tuple[object, ...]]:
    """Ask as the role itself, by its own password."""
    port = server.shared().port
    with psycopg.connect(
        host="127.0.0.1", port=port, user=role, password=PASSWORD, dbname=name, autocommit=True
    ) as connection:
        cursor = connection.execute(sql.encode())
        return cursor.fetchall() if cursor.description else []


def readers(daemon: Daemon, name: str, *arguments: str) -> object:
    ran = daemon.run("readers", *arguments, "--json", "--database", server.shared().url(name))
    assert ran.code == 0, ran.err
    return ran.json


def test_a_role_reads_all_views_until_it_may_no_more(daemon: Daemon, name: str, role: str) -> None:
    assert readers(daemon, name) == []
    assert readers(daemon, name, role) == {"role": role, "views": VIEWS, "more": []}
    for view in VIEWS:
        as_reader(name, role, f"SELECT * FROM {view}")
    assert as_reader(name, role, "SELECT path, line FROM visionflow_failures") == [("bad.md", 2)]
    assert readers(daemon, name) == ['"{}"'.format(role.replace('"', '""'))]
    assert readers(daemon, name, role, "--revoke") == {"role": role, "views": [], "more": []}
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        as_reader(name, role, "SELECT * FROM visionflow_pages")


REFUSED = (
    "SELECT * FROM owl_classes",
    "SELECT * FROM source_files",
    "SELECT * FROM leases",
    "DELETE FROM visionflow_pages",
    "UPDATE visionflow_parents SET parent_iri = 'x'",
    "INSERT INTO visionflow_parents VALUES ('default', 'x', 'y')",
    "DROP VIEW visionflow_runs",
    "CREATE TABLE public.mine (x INTEGER)",
    "SELECT pg_read_file('/etc/passwd')",
)


def test_a_reader_can_do_nothing_else(daemon: Daemon, name: str, role: str) -> None:
    readers(daemon, name, role)
    for sql in REFUSED:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            as_reader(name, role, sql)


def test_what_a_role_lacks_to_come_to_the_views_is_granted(daemon: Daemon, name: str, role: str) -> None:
    server.shared().rows(f'REVOKE CONNECT ON DATABASE "{name}" FROM PUBLIC', name)
    server.shared().rows("REVOKE USAGE ON SCHEMA public FROM PUBLIC", name)
    with pytest.raises(psycopg.OperationalError):
        as_reader(name, role, "SELECT 1")
    readers(daemon, name, role)
    assert as_reader(name, role, "SELECT label FROM visionflow_classes WHERE iri = 'urn:t:a'") == [("A",)]


def test_who_may_do_more_is_told(daemon: Daemon, name: str, role: str) -> None:
    quoted = '"{}"'.format(role.replace('"', '""'))
    server.shared().rows(f"GRANT SELECT, DELETE ON owl_axioms TO {quoted}", name)
    ran = daemon.run("readers", role, "--database", server.shared().url(name))
    assert (ran.code, ran.err.splitlines()) == (0, ["but it also has DELETE, SELECT on table owl_axioms"])


def test_a_role_that_there_is_none_of_is_refused(daemon: Daemon, name: str) -> None:
    for stray in ("nobody of that name", "public", "PUBLIC"):
        ran = daemon.run("readers", stray, "--database", server.shared().url(name))
        assert (ran.code, "there is no role" in ran.err) == (2, True), ran.err
    assert readers(daemon, name) == []


def test_a_role_that_may_not_grant_says_who_has_to(daemon: Daemon, name: str, role: str) -> None:
    """The daemon's own role need not own the database."""
    one = server.shared()
    one.rows(f'CREATE ROLE "owner of {name}" LOGIN PASSWORD {SECRET}')
    try:
        one.rows(f'REVOKE CONNECT ON DATABASE "{name}" FROM PUBLIC', name)
        one.rows(f'GRANT CONNECT ON DATABASE "{name}" TO "owner of {name}"', name)
        one.rows("GRANT USAGE ON SCHEMA public TO PUBLIC", name)
        for (view,) in one.rows("SELECT viewname FROM pg_views WHERE schemaname = 'public'", name):
            one.rows(f'ALTER VIEW {view} OWNER TO "owner of {name}"', name)
        one.rows(f'GRANT SELECT ON ALL TABLES IN SCHEMA public TO "owner of {name}"', name)
        ran = daemon.run("readers", role, "--database", one.url(name, f"owner%20of%20{name}"))
        assert (ran.code, f'GRANT CONNECT ON DATABASE {name} TO "reader' in ran.err) == (6, True), ran.err
    finally:
        one.rows(f'REASSIGN OWNED BY "owner of {name}" TO vf', name)
        one.rows(f'DROP OWNED BY "owner of {name}"', name)
        one.rows(f'DROP ROLE "owner of {name}"')


def test_a_file_has_no_roles(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": class_page("urn:t:a", "A")})
    daemon.once(repo.path, database="sqlite:///kg.db")
    ran = daemon.run("readers", "dashboard", "--database", "sqlite:///kg.db")
    assert (ran.code, "SQLite knows no roles" in ran.err) == (2, True), ran.err


def test_who_could_read_the_views_can_read_those_of_a_later_version(daemon: Daemon, name: str, role: str) -> None:
    readers(daemon, name, role)
    (views,) = (each for each in migrations("postgresql") if each.name == "views")
    more = "CREATE VIEW visionflow_more AS SELECT ontology_id FROM checkpoints;\n"
    later = Migration(views.version + 1_000, "other_views", f"{views.way_back}{views.script}{more}")
    database = open_database(server.shared().url(name), Path(), server=Server(password=lambda: PASSWORD))
    with database.transaction():
        apply(database, [later])
    database.close()
    database.end()
    for view in (*VIEWS, "visionflow_more"):
        as_reader(name, role, f"SELECT * FROM {view}")
