"""Webhooks and the daemon, as a process: from a request to the row in the database."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import engines, log_lines
from tests.git.servers import free_port
from tests.ops.inbound.support import OTHER_SECRET, PUSH, SECRET, Sent, github, gitlab, plain
from tests.ops.support import Response, Web
from tests.support import PROJECT, Daemon, Repo, Running, class_page, eventually
from visionflow_daemon.config import secrets
from visionflow_daemon.config.load import load
from visionflow_daemon.config.values import SourceConfig
from visionflow_daemon.daemon.wake import QUIET
from visionflow_daemon.errors import ConfigError

WORDS = (SECRET, OTHER_SECRET)
STORM = 1_000
FIRST = "lease taken" if engines.IS_SERVER else "start"
"""What a daemon's first pass is asked for by."""


def page(number: int) -> dict[bytes | str, str]:
    return {f"p{number}.md": class_page(f"urn:t:{number}", f"P{number}")}


def many(count: int) -> dict[bytes | str, str]:
    return {path: text for number in range(count) for path, text in page(number).items()}


@dataclass
class Hooked:
    """A daemon that looks at its remote source when it is told to, and no sooner."""

    repo: Repo
    daemon: Daemon
    running: Running
    web: Web
    config: Path
    secret: Path

    def post(self, sent: Sent | None = None, ontology_id: str = "a") -> Response:
        """Send a request, signed with the source's secret."""
        sent = sent or Sent(plain())
        return self.web.post(f"/hooks/{ontology_id}", sent.body, sent.headers)

    def is_there(self, number: int) -> bool:
        """Tell whether a page's class is in the database."""
        return bool(self.daemon.query(f"SELECT 1 FROM owl_classes WHERE class_iri = 'urn:t:{number}'"))

    def reload(self) -> None:
        """Let the configuration be read anew, and wait for a pass that goes by it."""
        self.running.process.send_signal(signal.SIGHUP)
        self.running.until("configuration read anew")
        self.running.until("nothing to do")


@contextmanager
def hooked(repo: Repo, daemon: Daemon, *, branch: str | None = None, more: str = "") -> Iterator[Hooked]:
    port = free_port()
    secret, config = daemon.folder / "secret", daemon.folder / "config.toml"
    secret.write_text(f"{SECRET}\n")
    config.write_text(
        f'database = "kg.db"\n[[sources]]\nlocation = "file://{repo.path}"\nontology_id = "a"\n'
        + (f'branch = "{branch}"\n' if branch else "")
        + f'webhook_secret_file = "secret"\n[daemon]\ninterval = 3600.0\n[log]\nlevel = "debug"\n{more}'
    )
    daemon.environment["VISIONFLOW_HTTP__PORT"] = str(port)
    with daemon.running("--config", config) as running:
        yield Hooked(repo, daemon, running, Web(port), config, secret)
    lines = [json.dumps(event) for event in running.events]
    assert [each for line in lines if '"webhook' in line and (each := log_lines.complaint(line)) is not None] == []
    assert not [line for line in lines for word in WORDS if word in line]


def passes(running: Running) -> list[str]:
    """Name what asked for each pass so far."""
    return [str(event["why"]) for event in running.events if event["event"] == "pass asked for"]


def test_a_push_is_in_the_database_moments_after_its_webhook(repo: Repo, daemon: Daemon) -> None:
    repo.commit(page(1))
    with hooked(repo, daemon) as it:
        it.running.until("pass finished")
        repo.commit(page(2))
        began = time.monotonic()
        assert it.post(github()).status == 202
        eventually(lambda: it.is_there(2))
        assert time.monotonic() - began < 5
        assert it.post(github(), "b").status == 404
        assert it.post(github({**PUSH, "ref": "refs/heads/other"})).body == "ignored: another branch\n"
        assert it.post(github({}, "ping")).status == 200
        assert it.running.end() == 0
        assert passes(it.running) == [FIRST, "webhook of github"]


def test_the_branch_of_the_configuration_counts_before_any_pass(repo: Repo, daemon: Daemon) -> None:
    repo.commit(page(1), branch="trunk")
    with hooked(repo, daemon, branch="trunk") as it:
        it.running.until("serving http")
        it.running.until("daemon started")
        assert it.post(gitlab()).body == "ignored: another branch\n"
        assert it.post(gitlab("refs/heads/trunk")).body == "accepted: a pass follows\n"


def test_a_storm_costs_at_most_two_passes(repo: Repo, daemon: Daemon) -> None:
    repo.commit(page(1))
    with hooked(repo, daemon) as it:
        it.running.until("pass finished")
        statuses: Counter[int] = Counter()
        number = iter(range(STORM))

        def storm() -> None:
            for at in number:
                if at == STORM // 2:
                    repo.commit(page(2))
                statuses[it.post(github()).status] += 1

        threads = [threading.Thread(target=storm) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert statuses.total() == STORM
        assert set(statuses) <= {202, 429}
        eventually(lambda: it.is_there(2))  # the last is not lost
        assert 2 <= len(passes(it.running)) <= 3
        repo.commit(page(3))
        assert it.post().status in {202, 429}
        eventually(lambda: it.is_there(3))
        assert it.running.end() == 0
        assert len(passes(it.running)) <= 4


def test_a_webhook_during_a_pass_leads_to_exactly_one_more(repo: Repo, daemon: Daemon) -> None:
    repo.commit(many(2_000))
    with hooked(repo, daemon) as it:
        it.running.until("pass started")
        commit = repo.commit(page(5_000))
        for _ in range(5):
            assert it.post().status == 202
            assert it.running.count("pass finished") == 0
        assert it.running.until("pass finished")["saved"] == 2_000
        assert it.running.until("pass finished")["commit"] == commit
        assert it.running.end() == 0
        # Five in quick succession: the first waits for the pass to end, the others for themselves to let up.
        assert passes(it.running)[:2] == [FIRST, "webhook of plain"]
        assert len(passes(it.running)) <= 3


def test_one_webhook_during_a_pass_leads_to_exactly_one_more(repo: Repo, daemon: Daemon) -> None:
    repo.commit(many(2_000))
    with hooked(repo, daemon) as it:
        it.running.until("pass started")
        assert it.post().status == 202
        it.running.until("pass finished")
        it.running.until("nothing to do")
        assert it.running.end() == 0
        assert passes(it.running) == [FIRST, "webhook of plain"]


def test_sighup_changes_the_secret_and_takes_it_away(repo: Repo, daemon: Daemon) -> None:
    repo.commit(page(1))
    with hooked(repo, daemon) as it:
        it.running.until("pass finished")
        theirs, ours = Sent(plain(b"", OTHER_SECRET)), Sent(plain())
        it.secret.write_text(f"{SECRET}\n{OTHER_SECRET}\n")
        assert it.post(theirs).status == 404
        it.reload()
        assert {it.post(ours).status, it.post(theirs).status} == {202}
        it.secret.write_text(f"\r\n{OTHER_SECRET}\r\n")
        it.reload()
        assert (it.post(ours).status, it.post(theirs).status) == (404, 202)
        it.secret.write_text("short\n")
        it.running.process.send_signal(signal.SIGHUP)
        refused = it.running.until("configuration refused")
        assert "fewer than 16 characters" in refused["reason"]
        assert "short" not in refused["reason"]
        assert it.post(theirs).status == 202
        it.config.write_text(it.config.read_text().replace('webhook_secret_file = "secret"\n', ""))
        it.reload()
        assert it.post(theirs).status == 404
        assert it.running.end() == 0


def test_no_secret_is_told_anywhere(repo: Repo, daemon: Daemon) -> None:
    repo.commit(page(1))
    with hooked(repo, daemon) as it:
        it.running.until("pass finished")
        told = [it.post(gitlab()).raw, it.post(gitlab(token=OTHER_SECRET)).raw]
        it.running.until("webhook refused")
        told += [it.web.get(path).raw for path in ("/", "/status", "/metrics", "/readyz")]
        for arguments in (("check-config",), ("check-config", "--json"), ("status", "--json")):
            ran = daemon.run(*arguments, "--config", it.config)
            told.append((ran.out + ran.err).encode())
        command = Path(f"/proc/{it.running.process.pid}/cmdline").read_bytes()
        assert it.running.end() == 0
        assert it.running.process.stderr is not None
        told += [command, it.running.process.stderr.read(), repr(engines.state(daemon.folder / "kg.db")).encode()]
    for each in told:
        assert not [word for word in WORDS if word.encode() in each]
    assert re.search(rb'visionflow_webhooks_total\{outcome="refused"\} 1.0', b"".join(told))


def test_secrets_that_are_none_are_mistakes_of_the_configuration(repo: Repo, daemon: Daemon) -> None:
    repo.commit(page(1))
    (daemon.folder / "b").write_text("short")
    config = daemon.folder / "config.toml"
    config.write_text(
        'database = "kg.db"\n'
        + "".join(
            f'[[sources]]\nlocation = "{repo.path}"\nontology_id = "{name}"\nwebhook_secret_file = "{name}"\n'
            for name in ("a", "b")
        )
    )
    ran = daemon.run("--config", config, timeout=20)
    assert ran.code == 2
    assert f"sources[0].webhook_secret_file: can't read the secret in {daemon.folder}/a: FileNotFound" in ran.err
    assert f"sources[1].webhook_secret_file: the webhook secret in {daemon.folder}/b: it has fewer than" in ran.err
    assert "Traceback" not in ran.err
    assert daemon.run("--once", "--config", config).code == 0  # which receives none


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("openssl")), reason="curl or openssl is not installed")
def test_the_documented_calls_are_accepted(repo: Repo, daemon: Daemon) -> None:
    text = (PROJECT / "docs" / "webhooks.md").read_text()
    call, other_signature = re.findall(r"```sh\n((?:body|signature)=.*?)```", text, flags=re.DOTALL)
    body, _, curl = call.splitlines()
    repo.commit(page(1))
    with hooked(repo, daemon) as it:
        it.running.until("pass finished")
        for documented in (call, f"{body}\n{other_signature}{curl}\n"):
            script = documented.replace("/etc/visionflow/push-secret", str(it.secret))
            script = script.replace("127.0.0.1:9470/hooks/default", f"127.0.0.1:{it.web.port}/hooks/a")
            done = subprocess.run(["sh", "-ec", script], capture_output=True, text=True, check=False)
            assert (done.returncode, done.stdout) == (0, "accepted: a pass follows\n"), done.stderr


@pytest.mark.deep
def test_fifty_pushes_are_in_the_database_within_moments(repo: Repo, daemon: Daemon) -> None:
    repo.commit(many(100))
    took = []
    with hooked(repo, daemon) as it:
        it.running.until("pass finished")
        for number in range(1_000, 1_050):
            repo.commit(page(number))
            threading.Event().wait(QUIET)  # what comes sooner waits for the flurry to let up
            began = time.monotonic()
            it.post(github())
            eventually(lambda number=number: it.is_there(number))
            took.append(time.monotonic() - began)
    took.sort()
    print(f"median {took[25]:.3f} s, longest {took[-1]:.3f} s")  # noqa: T201 - a figure to be read
    assert took[25] < 1


# Where secrets come from


def texts(source: SourceConfig, base: Path, environment: dict[str, str]) -> list[bytes]:
    return [each.text for each in secrets.webhook_secrets(source, base, environment)]


def test_a_secret_comes_from_its_file_else_the_environment_else_a_credential(tmp_path: Path) -> None:
    (tmp_path / "webhook-secret").write_text("the credential of systemd\n")
    (tmp_path / "own").write_text("the file of the source\n")
    source, armed = SourceConfig("x"), SourceConfig("x", webhook_secret_file="own")  # noqa: S106 - a file's name
    credential = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    variable = {secrets.WEBHOOK: "the variable of the environment"}
    assert texts(source, tmp_path, {}) == []
    assert texts(source, tmp_path, {"CREDENTIALS_DIRECTORY": os.devnull}) == []
    assert texts(source, tmp_path, credential) == [b"the credential of systemd"]
    assert texts(source, tmp_path, credential | variable) == [b"the variable of the environment"]
    assert texts(armed, tmp_path, credential | variable) == [b"the file of the source"]


@pytest.mark.parametrize(
    "content", ["", "\n\n", "short", "whsec_no base64 at all", "whsec_QUJDREVGRw==", "\xff" * 20, f"{SECRET}\n" * 9]
)
def test_what_is_no_secret_is_refused_without_being_shown(tmp_path: Path, content: str) -> None:
    (tmp_path / "own").write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigError) as caught:
        texts(SourceConfig("x", webhook_secret_file="own"), tmp_path, {})  # noqa: S106 - a file's name
    assert f"secret in {tmp_path}/own" in str(caught.value)
    assert not content.strip() or content.strip() not in str(caught.value)
    with pytest.raises(ConfigError, match=rf"secret in {secrets.WEBHOOK}: it has fewer than"):
        texts(SourceConfig("x"), tmp_path, {secrets.WEBHOOK: "short"})


def test_the_variable_of_the_secret_is_no_key_of_the_configuration() -> None:
    assert load(None, {secrets.WEBHOOK: SECRET}).sources == ()


@pytest.mark.parametrize("proxy", ["localhost", "10.0.0.1/8", "10.0.0.0/33", ""])
def test_a_proxy_is_an_address_or_a_network(tmp_path: Path, proxy: str) -> None:
    (path := tmp_path / "c.toml").write_text(f'[webhook]\nproxies = ["10.0.0.0/8", "{proxy}"]\nbody_bytes = 1\n')
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert sorted(each.partition(":")[0] for each in caught.value.problems) == [
        "webhook.body_bytes",
        "webhook.proxies[1]",
    ]
