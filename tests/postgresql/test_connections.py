"""A server has but so many connections for a process: a pass, and a worker, has one only while it needs it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.postgresql.server import Server
from tests.support import Daemon, Repo, class_page

SOURCES, PAGES = 6, 40


@pytest.fixture
def several(client: Daemon, shared: Server, database: str) -> Path:
    """A configuration of more sources than there are connections."""
    text = f'database = "{shared.url(database)}"\n[postgresql]\nconnections = 2\npatience = 5.0\n[sync]\nworkers = 4\n'
    for number in range(SOURCES):
        repo = Repo(client.folder / f"{number}.git")
        repo.commit({f"p{page}.md": class_page(f"urn:t:{page}", f"P{page} of {number}") for page in range(PAGES)})
        text += f'[[sources]]\nlocation = "{repo.path}"\nontology_id = "o{number}"\n'
    path = client.folder / "several.toml"
    path.write_text(text)
    return path


def test_more_passes_than_connections_come_through(
    client: Daemon, shared: Server, database: str, several: Path
) -> None:
    ran = client.run("--once", "--config", several)
    assert ran.code == 0, ran.err
    counted = "SELECT COUNT(*), COUNT(DISTINCT ontology_id) FROM owl_classes"
    assert shared.rows(counted, database) == [(SOURCES * PAGES, SOURCES)]


def test_a_daemon_with_more_passes_than_connections_does_them_all(
    client: Daemon, shared: Server, database: str, several: Path
) -> None:
    with client.running("--config", several) as running:
        for _ in range(SOURCES):
            running.until("pass finished", saved=PAGES)
        others = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ((held,),) = shared.rows(others, database)
        assert running.end() == 0
    assert running.count("pass failed") == 0
    assert held <= 2 + 2  # the leases have some of their own, which no pass takes
