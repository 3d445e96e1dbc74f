"""One booted machine for all tests of the units, and a service of each test's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import Repo
from tests.systemd.machine import Machine, booted
from tests.systemd.service import DAEMON, ONCE, Service


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
def instances(machine: Machine) -> Iterator[tuple[Service, Service]]:
    """Two instances of the template."""
    units = Service(machine, f"{DAEMON}@work"), Service(machine, f"{DAEMON}@home")
    try:
        yield units
        for unit in units:
            unit.events()
    finally:
        for unit in units:
            machine.run("systemctl", "stop", unit.name)
        for unit in units:
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
