"""Single passes under a real systemd, by the service and the timer that are shipped."""

from __future__ import annotations

import pytest

from tests.support import Daemon, Repo, class_page
from tests.systemd.machine import Machine
from tests.systemd.service import Service

pytestmark = pytest.mark.sqlite

PAGES = "/srv/pages.git"
BAD = '```json-ld\n{"@type": "Class", oops}\n```\n'


def page(number: int) -> dict[bytes | str, str]:
    return {f"p{number}.md": class_page(f"urn:t:{number}", f"P{number}")}


def test_a_pass_is_a_success_also_with_files_in_the_ledger(once: Service, pages: Repo) -> None:
    pages.commit(page(1))
    once.configure(PAGES)
    once.start()  # returns at its end, and only where that is a success
    assert once.until("pass finished")["failed"] == 0
    pages.commit({"bad.md": BAD})
    once.start()
    assert once.until("pass finished", 2)["failed"] == 1
    assert once.query("SELECT COUNT(*) FROM owl_classes") == [(1,)]


def test_a_pass_that_fails_is_no_success(once: Service, machine: Machine) -> None:
    once.configure("/srv/nothing.git")
    assert machine.run("systemctl", "start", once.name).returncode != 0
    assert (once.show("Result"), once.show("ExecMainStatus")) == ("exit-code", "2")
    assert once.until("pass failed")["exit_code"] == 2


def test_the_timer_runs_one_pass_after_the_other(once: Service, pages: Repo, machine: Machine, daemon: Daemon) -> None:
    pages.commit(page(1))
    once.configure(PAGES)
    timer = f"{once.name}.timer"
    settings = ("OnBootSec=", "OnUnitInactiveSec=", "OnActiveSec=10ms", "OnUnitInactiveSec=500ms")
    once.change("\n".join(["[Timer]", *settings, "RandomizedDelaySec=0", "AccuracySec=10ms", ""]), timer)
    machine.ask("systemctl", "start", timer)
    try:
        once.until("pass finished")
        once.until("nothing to do")
        commit = pages.commit(page(2))
        assert once.until("pass finished", 2)["commit"] == commit
    finally:
        machine.ask("systemctl", "stop", timer)
    once.wait(lambda: once.show("ActiveState") == "inactive")
    once.assert_exact(pages.path, daemon)
