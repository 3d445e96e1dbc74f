"""Passwords of remotes: used where they belong, and told nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.git.servers import PASSWORD, USER, fetched, free_port, git_http
from tests.support import Daemon, Repo, class_page, git
from visionflow_daemon.git.clone import clone_path

A = "urn:t:a"
WRONG = "Wrong-Battery-77"


def state_of(daemon: Daemon) -> Path:
    daemon.environment["STATE_DIRECTORY"] = str(daemon.folder / "state")
    return daemon.folder / "state"


def held(daemon: Daemon) -> set[str]:
    return {iri for (iri,) in daemon.query("SELECT class_iri FROM owl_classes")}


def assert_untold(daemon: Daemon, secret: str, *outputs: str) -> None:
    """See that a secret stands in no output and in no file that the program wrote."""
    assert secret not in "".join(outputs)
    for path in daemon.folder.rglob("*"):
        if path.is_file():
            assert secret.encode() not in path.read_bytes(), path


@pytest.mark.parametrize("where", ["environment", "file", "url", "systemd"])
def test_a_password_opens_the_remote_and_is_told_nowhere(repo: Repo, daemon: Daemon, where: str) -> None:
    repo.commit({"A.md": class_page(A, "A")})
    state_of(daemon)
    extra = ""
    outside = daemon.folder.parent / f"{daemon.folder.name}-secrets"
    outside.mkdir()
    (outside / "git-password").write_text(f"{PASSWORD}\n")
    with git_http(daemon.folder, asks=True) as server:
        source = f"http://{server.address}/source.git"
        if where == "environment":
            daemon.environment["VISIONFLOW_GIT_PASSWORD"] = PASSWORD
        elif where == "systemd":
            daemon.environment["CREDENTIALS_DIRECTORY"] = str(outside)
        elif where == "file":
            extra = f'password_file = "{outside}/git-password"\n'
        else:
            daemon.environment["VISIONFLOW_SOURCES__0__LOCATION"] = (
                f"http://{USER}:{PASSWORD}@{server.address}/source.git"
            )
        if where != "url":
            extra += f'username = "{USER}"\n'
        (daemon.folder / "x.toml").write_text(f'database = "kg.db"\n[[sources]]\nlocation = "{source}"\n{extra}')
        ran = daemon.run("--once", "--config", "x.toml", "--log-level", "debug")
        assert ran.code == 0, ran.err
        assert set(server.proofs) == {f"{USER}:{PASSWORD}"}
        shown = [daemon.run("status", "--config", "x.toml", "--json").out]
    assert held(daemon) == {A}
    assert_untold(daemon, PASSWORD, ran.out, ran.err, *shown)


@pytest.mark.parametrize("where", ["environment", "url"])
def test_a_wrong_password_is_sent_once_and_told_nowhere(repo: Repo, daemon: Daemon, where: str) -> None:
    repo.commit({"A.md": class_page(A, "A")})
    with git_http(daemon.folder, asks=True) as server:
        bare = f"http://{server.address}/source.git"
        source = bare.replace("//", f"//{USER}:{WRONG}@") if where == "url" else bare.replace("//", f"//{USER}@")
        if where == "environment":
            daemon.environment["VISIONFLOW_GIT_PASSWORD"] = WRONG
            daemon.environment["VISIONFLOW_SOURCES"] = f'[{{location = "{bare}", username = "{USER}"}}]'
            ran = daemon.run("--once", "--database", "kg.db")
        else:
            ran = daemon.run("--once", "--source", source, "--database", "kg.db")
        assert ran.code == 4
        assert ran.err == f"visionflow-daemon: {bare} refuses the user name and password\n"
        assert server.proofs == [f"{USER}:{WRONG}"]
    assert held(daemon) == set()
    assert_untold(daemon, WRONG, ran.out, ran.err)


def test_a_remote_that_asks_when_nothing_is_configured_is_told(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": class_page(A, "A")})
    with git_http(daemon.folder, asks=True) as server:
        url = f"http://{server.address}/source.git"
        ran = daemon.once(url, expect=4)
        assert server.proofs == []
    assert ran.err == f"visionflow-daemon: {url} asks for credentials, and none are configured for this source\n"


def test_thirty_fetches_leave_no_credential_and_no_address_in_the_config(repo: Repo, daemon: Daemon) -> None:
    state = state_of(daemon)
    with git_http(daemon.folder, asks=True) as server:
        url = f"http://{USER}:{PASSWORD}@{server.address}/source.git"
        for number in range(30):
            commit = repo.commit({"A.md": class_page(A, f"A{number}")})
            target = fetched(url, None, state)
            assert target.commit == commit
        clone = clone_path(state, url)
        assert "127.0.0.1" not in (clone / "config").read_text()
        assert git("for-each-ref", "--format=%(objectname)", cwd=clone) == commit
    assert_untold(daemon, PASSWORD)
    assert_untold(daemon, USER)


def test_a_secret_in_the_query_of_a_url_stands_in_no_file(repo: Repo, daemon: Daemon) -> None:
    repo.commit({"A.md": class_page(A, "A")})
    with git_http(daemon.folder) as server:
        ran = daemon.run("--once", "--database", "kg.db", "--source", f"http://{server.address}/source.git?key={WRONG}")
    assert ran.err == ""
    assert_untold(daemon, WRONG, ran.out, ran.err)


@pytest.mark.parametrize("url", ["https://[::1/x.git", "https://[nowhere]/x.git"])
def test_a_url_that_is_none_is_told_as_a_mistake_of_usage(daemon: Daemon, url: str) -> None:
    for arguments in (("--once", "--database", "kg.db", "--source", url), ("--source", url, "check-config")):
        ran = daemon.run(*arguments)
        assert ran.code == 2, ran.err
        assert "Traceback" not in ran.err + ran.out


@pytest.mark.parametrize("secret", ["pa#ss-4711", "pa/ss-4711", "pa?ss-4711"])
def test_no_part_of_a_password_with_special_characters_is_told(daemon: Daemon, secret: str) -> None:
    url = f"https://{USER}:{secret}@127.0.0.1:{free_port()}/x.git"
    for arguments in (("--once", "--database", "kg.db", "--source", url), ("--source", url, "check-config")):
        ran = daemon.run(*arguments)
        assert f"{USER}:pa" not in ran.out + ran.err
        assert "ss-4711" not in ran.out + ran.err


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_the_traceback_of_an_internal_error_tells_no_password(daemon: Daemon, log_format: str) -> None:
    url = f"https://{USER}:{WRONG}@[::1/x.git"
    ran = daemon.run("--once", "--database", "kg.db", "--source", url, "--log-format", log_format)
    assert ran.code != 0
    assert_untold(daemon, WRONG, ran.out, ran.err)
