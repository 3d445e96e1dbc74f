"""Several daemons on one machine, by the template that is shipped: none is in the way of another."""

from __future__ import annotations

import pytest

from tests.support import Daemon, Repo, class_page
from tests.systemd.machine import Machine
from tests.systemd.service import ONCE, SOON, Service

pytestmark = pytest.mark.sqlite

PAGES, OTHERS = "/srv/pages.git", "/srv/others.git"


def page(number: int) -> dict[bytes | str, str]:
    return {f"p{number}.md": class_page(f"urn:t:{number}", f"P{number}")}


def port(number: int) -> str:
    return f"[http]\nport = {number}\n"


def uid(unit: Service) -> str:
    status = (unit.process / "status").read_text()
    return next(line for line in status.splitlines() if line.startswith("Uid:"))


def test_one_is_killed_and_the_other_goes_on(
    instances: tuple[Service, Service], pages: Repo, machine: Machine, daemon: Daemon
) -> None:
    work, home = instances
    others = Repo(machine.pages / "others.git")
    pages.commit(page(1))
    others.commit(page(2))
    work.configure(PAGES, extra=port(9481))
    home.configure(OTHERS, extra=port(9482))
    work.change(SOON, "visionflow-daemon@.service")
    for each in instances:
        each.start()
        each.until("pass finished")
    before = home.show("MainPID")
    assert uid(work) != uid(home)
    work.kill("SIGKILL")
    work.wait(lambda: work.show("NRestarts") == "1" and work.show("ActiveState") == "active")
    pages.commit(page(3))
    others.commit(page(4))
    work.until("pass finished", 2)
    home.until("pass finished", 2)
    assert (home.show("MainPID"), home.show("NRestarts")) == (before, "0")
    work.assert_exact(pages.path, daemon)
    home.assert_exact(others.path, daemon)


def test_two_at_one_port_are_a_mistake_of_the_second(instances: tuple[Service, Service], pages: Repo) -> None:
    work, home = instances
    pages.commit(page(1))
    work.configure(PAGES, extra=port(9483))
    home.configure(PAGES, extra=port(9483))
    work.start()
    work.until("pass finished")
    assert home.machine.run("systemctl", "start", home.name).returncode != 0
    assert (home.show("Result"), home.show("ExecMainStatus")) == ("exit-code", "2")
    assert any("9483" in line for line in home.lines())
    assert work.show("ActiveState") == "active"


def test_single_passes_of_an_instance_share_its_database(
    instances: tuple[Service, Service], pages: Repo, machine: Machine
) -> None:
    work, _ = instances
    pages.commit(page(1))
    work.configure(PAGES)
    once = Service(machine, f"{ONCE}@work")
    once.start()
    assert once.until("pass finished")["saved"] == 1
    work.start()
    work.until("nothing to do")
