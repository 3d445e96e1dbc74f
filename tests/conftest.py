"""Fixtures: a real repository and the real program, in temporary folders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import engines
from tests.support import SHARED, Daemon, Repo, git


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out, on a PostgreSQL server, what is about SQLite's files."""
    if engines.IS_SERVER:
        for item in items:
            if item.get_closest_marker("sqlite"):
                item.add_marker(pytest.mark.skip(reason="it is about a file of SQLite's"))


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """An empty bare repository."""
    return Repo(tmp_path / "source.git")


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """The program, with a folder and a home of its own."""
    yield Daemon(tmp_path)
    engines.drop_all(tmp_path)


def corpus(name: str, into: Path) -> Path:
    """Clone one of the real repositories beside the project, or skip the test."""
    bundle = SHARED / "corpora" / f"{name}.bundle"
    if not bundle.is_file():
        pytest.skip(f"the real repository {bundle.name} is not beside the project")
    target = into / f"{name}.git"
    git("clone", "--quiet", "--bare", str(bundle), str(target))
    return target
