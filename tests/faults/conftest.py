"""Fixtures of the fault matrix."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.support import Scene
from tests.support import Daemon, Repo


@pytest.fixture
def scene(repo: Repo, daemon: Daemon) -> Scene:
    """A saved commit, and one to be saved."""
    return Scene(repo, daemon, daemon.folder / "kg.db")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can reach: pytest's own are root's alone."""
    folder = Path(tempfile.mkdtemp(prefix="visionflow-faults-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)
