"""One booted machine for all tests of the units, and a service of each test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import Repo
from tests.systemd.machine import Machine, booted
from tests.systemd.service import ONCE, Service


@pytest.fixture(scope="package")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """The machine, booted."""
    with booted(tmp_path_factory.mktemp("machine")) as running:
        yield running


@pytest.fixture
def service(machine: Machine) -> Iterator[Service]:
    """The daemon's unit, as it is shipped. Whatever it said is valid log lines."""
    unit = Service(machine)
    try:
        yield unit
        unit.events()
    finally:
        unit.cleared()


@pytest.fixture
def once(machine: Machine) -> Iterator[Service]:
    """The unit of single passes."""
    unit = Service(machine, ONCE)
    try:
        yield unit
        unit.events()
    finally:
        unit.cleared()


@pytest.fixture
def pages(machine: Machine) -> Repo:
    """An empty bare repository, which the machine has at /srv/pages.git."""
    return Repo(machine.pages / "pages.git")
