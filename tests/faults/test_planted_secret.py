"""A planted password is found nowhere, whatever goes wrong, and no other host is told it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.git import ailments
from tests.git.ailments import redirecting
from tests.git.servers import PASSWORD, USER, Ailment, git_http
from tests.support import Daemon, Ran, Repo, class_page
from tests.test_apart import children_of
from tests.test_stops import when
from visionflow_daemon.git.credentials import is_same_host


def pass_with_secret(daemon: Daemon, address: str, where: str, *arguments: str) -> Ran:
    """Run a pass whose password stands in the environment, or in the URL."""
    daemon.environment["STATE_DIRECTORY"] = str(daemon.folder / "state")
    url = f"http://{address}/source.git"
    if where == "environment":
        daemon.environment["VISIONFLOW_GIT_PASSWORD"] = PASSWORD
        daemon.environment["VISIONFLOW_SOURCES"] = f'[{{location = "{url}", username = "{USER}"}}]'
        return daemon.run("--once", "--database", "kg.db", "--log-level", "debug", *arguments)
    url = url.replace("//", f"//{USER}:{PASSWORD}@")
    return daemon.run("--once", "--source", url, "--database", "kg.db", "--log-level", "debug", *arguments)


def assert_untold(daemon: Daemon, *rans: Ran) -> None:
    """See that the password stands in no output, and that grep finds it in no file."""
    assert PASSWORD not in "".join(ran.out + ran.err for ran in rans)
    found = subprocess.run(["grep", "-rlaF", PASSWORD, str(daemon.folder)], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stdout) == (1, "")


SICK: dict[str, Ailment] = {
    "hanging up": ailments.hanging_up,
    "truncating the pack": ailments.in_packs_only(ailments.truncating),
    "refusing": ailments.refusing,
    "refusing the pack": ailments.in_packs_only(ailments.refusing),
    "failing": ailments.failing,
    "babbling": ailments.babbling,
    "stalling": ailments.stalling,
}


@pytest.mark.parametrize("where", ["environment", "url"])
def test_no_fault_of_a_server_brings_a_password_to_light(repo: Repo, daemon: Daemon, where: str) -> None:
    repo.commit({"A.md": class_page("urn:t:a", "A"), "bad.md": "```json-ld\n{\n```\n"})
    daemon.environment["VISIONFLOW_BREAKER__FAILING_PASSES"] = "3"
    daemon.environment["VISIONFLOW_BREAKER__COOL_DOWN"] = "0"
    rans = []
    for ail in SICK.values():
        with git_http(daemon.folder, asks=True, ail=ail) as server:
            rans.append(pass_with_secret(daemon, server.address, where, "--fetch-timeout", "1"))
            assert rans[-1].code == 4, rans[-1].err
            assert len([proof for proof in server.proofs if proof == f"{USER}:{PASSWORD}"]) <= 6
    with git_http(daemon.folder, asks=True) as server:
        rans.append(pass_with_secret(daemon, server.address, where))
        assert rans[-1].code == 3, rans[-1].err
    (daemon.folder / "metrics.json").write_text(daemon.run("status", "--database", "kg.db", "--json").out)
    rans.append(daemon.run("failures", "--database", "kg.db", "--explain", "bad.md"))
    assert_untold(daemon, *rans)


@pytest.mark.parametrize("where", ["environment", "url"])
def test_another_host_that_a_remote_redirects_to_is_told_no_password(repo: Repo, daemon: Daemon, where: str) -> None:
    repo.commit({"A.md": class_page("urn:t:a", "A")})
    with git_http(daemon.folder, asks=True) as other:
        elsewhere = f"http://localhost:{other.server_address[1]}"
        with git_http(daemon.folder, ail=redirecting(elsewhere)) as server:
            ran = pass_with_secret(daemon, server.address, where)
        assert ran.code == 4, ran.err
        assert "which asks for credentials: they were not sent there" in ran.err
        assert other.proofs == []
        with git_http(daemon.folder, asks=True, ail=redirecting(elsewhere)) as server:
            ran = pass_with_secret(daemon, server.address, where)
        assert ran.code == 4, ran.err
        assert other.proofs == []
    assert_untold(daemon, ran)


def test_no_process_shows_a_password_in_its_command_line(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": class_page("urn:t:a", "A")})
    secret = daemon.folder.parent / f"{daemon.folder.name}.secret"
    secret.write_text(PASSWORD)
    with git_http(daemon.folder, asks=True, ail=ailments.silent) as server:
        source = (
            f'[{{location = "http://{server.address}/source.git", username = "{USER}", password_file = "{secret}"}}]'
        )
        daemon.environment["VISIONFLOW_SOURCES"] = source
        process = daemon.start("--once", "--database", "kg.db")
        when(lambda: bool(server.proofs), process)
        for pid in (process.pid, *children_of(process.pid)):
            for what in ("cmdline", "environ"):
                assert PASSWORD.encode() not in Path(f"/proc/{pid}/{what}").read_bytes()
        process.terminate()
        process.communicate(timeout=10)


def test_a_redirect_to_a_host_that_asks_for_nothing_is_followed(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": class_page("urn:t:a", "A")})
    with git_http(daemon.folder) as other:
        ail = redirecting(f"http://localhost:{other.server_address[1]}")
        with git_http(daemon.folder, ail=ail) as server:
            assert pass_with_secret(daemon, server.address, "url").code == 0
        assert other.proofs == []


@pytest.mark.parametrize(
    ("ours", "theirs", "is_same"),
    [
        ("https://a.org/x", "https://a.org/y", True),
        ("https://A.org/x", "https://a.org/x", True),
        ("http://a.org/x", "https://a.org/x", True),
        ("https://a.org/x", "http://a.org/x", False),
        ("https://a.org/x", "https://b.org/x", False),
        ("https://a.org/x", "https://a.org:8443/x", False),
        ("http://a.org:80/x", "https://a.org:443/x", False),
        ("https://a.org/x", "https://a.org.b.org/x", False),
        ("https://a.org/x", "https://a.org@b.org/x", False),
        ("ssh://git@a.org/x", "ssh://git@a.org/x", True),
        ("git@a.org:x", "git@a.org:x", True),
        ("git@a.org:x", "git@b.org:x", False),
    ],
)
def test_what_is_the_same_host(ours: str, theirs: str, is_same: bool) -> None:  # noqa: FBT001 - a case's outcome
    assert is_same_host(ours, theirs) is is_same
