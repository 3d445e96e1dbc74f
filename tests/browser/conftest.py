"""Fixtures: one Chromium for all tests of this folder, which are skipped where there is none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser.chromium import Browser


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A Chromium, found on the PATH."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        pytest.skip("chromium is not installed")
    running = Browser(executable, tmp_path_factory.mktemp("chromium"))
    try:
        yield running
    finally:
        running.close()


@pytest.fixture
def pictures() -> Path | None:
    """Where pictures of the page go, for people to look at: the folder that VISIONFLOW_PICTURES names, if any."""
    if not (name := os.environ.get("VISIONFLOW_PICTURES")):
        return None
    folder = Path(name)
    folder.mkdir(parents=True, exist_ok=True)
    return folder
