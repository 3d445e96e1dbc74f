"""Sources that come and go by a reload, or are down: what is left of them, and that no other notices."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.git.servers import free_port
from tests.ops.inbound.support import SECRET, plain
from tests.ops.support import Web
from tests.support import Daemon, Repo, Running, class_page, eventually
from tests.test_daemon import silent_server

NOWHERE = "http://127.0.0.1:9/r.git"
BROKEN = '```json-ld\n{"@type": "Class", "@id": "no iri"}\n```\n'


def page(number: int) -> dict[bytes | str, str]:
    return {f"p{number}.md": class_page(f"urn:t:{number}", f"P{number}")}


@dataclass
class Served:
    """A daemon with `home`, and with whatever else its configuration names by then."""

    daemon: Daemon
    running: Running
    web: Web

    def reload(self, *sources: tuple[str | Path, str], extra: str = "") -> None:
        """Let it follow these sources, by location and ontology."""
        configure(self.daemon, *sources, extra=extra)
        self.running.process.send_signal(signal.SIGHUP)
        self.running.until("configuration read anew", sources=len(sources))

    def status(self) -> dict[str, object]:
        """Give what it says of itself."""
        found: dict[str, object] = json.loads(self.web.get("/status").body)
        return found


def configure(daemon: Daemon, *sources: tuple[str | Path, str], extra: str = "") -> Path:
    text = "".join(
        f'[[sources]]\nlocation = "{location}"\nontology_id = "{name}"\nname = "the {name}"\n'
        'webhook_secret_file = "secret"\n'
        for location, name in sources
    )
    (daemon.folder / "secret").write_text(f"{SECRET}\n")
    path = daemon.folder / "c.toml"
    path.write_text(f'database = "kg.db"\n{text}[daemon]\ninterval = 3600.0\n[log]\nlevel = "debug"\n{extra}')
    return path


@contextmanager
def served(
    daemon: Daemon, *sources: tuple[str | Path, str], arguments: tuple[str, ...] = (), extra: str = ""
) -> Iterator[Served]:
    port = free_port()
    daemon.environment["VISIONFLOW_HTTP__PORT"] = str(port)
    with daemon.running("--config", configure(daemon, *sources, extra=extra), *arguments) as running:
        yield Served(daemon, running, Web(port))
        assert running.end() == 0


@pytest.fixture
def work(daemon: Daemon) -> Repo:
    repo = Repo(daemon.folder / "work.git")
    repo.commit(page(1))
    return repo


def test_a_source_that_comes_is_synced_and_one_that_goes_leaves_its_data_alone(
    repo: Repo, work: Repo, daemon: Daemon
) -> None:
    repo.commit(page(2))
    both = ((repo.path, "home"), (work.path, "work"))
    told = daemon.folder / "told"
    tell = f"echo $VISIONFLOW_EVENT_ONTOLOGY_ID >>{told}"
    hook = f'[[notifications]]\non = ["changed"]\ncommand = ["/bin/sh", "-c", "{tell}"]\n'
    with served(daemon, both[0], extra=hook) as it:
        it.running.until("pass finished", ontology_id="home")
        assert it.web.post("/hooks/work", b"", plain()).status == 404
        it.reload(*both, extra=hook)
        it.running.until("pass finished", ontology_id="work")
        assert 'ontology_id="work"' in it.web.get("/metrics").body
        assert it.web.post("/hooks/work", b"", plain()).status == 202
        it.running.until("nothing to do", ontology_id="work")
        it.reload(both[0], extra=hook)
        at = len(it.running.events)
        assert it.web.post("/hooks/work", b"", plain()).status == 404
        assert 'ontology_id="work"' not in it.web.get("/metrics").body
        work.commit(page(3))
        commit = repo.commit(page(4))
        it.running.until("pass finished", ontology_id="home", commit=commit)
        eventually(lambda: it.status()["not_followed"] == ["work"])
        assert [source["ontology_id"] for source in it.status()["sources"]] == ["home"]  # type: ignore[attr-defined]
        assert "Held and not followed here: <b>work</b>" in it.web.get("/").body
        eventually(lambda: told.read_text().count("home") == 2)
        since = [event for event in it.running.events[at:] if not event["event"].startswith("lease ")]
        assert {event.get("ontology_id") for event in since} <= {"home", None}
        assert daemon.query("SELECT class_iri FROM owl_classes WHERE ontology_id = 'work'") == [("urn:t:1",)]
        it.reload(*both, extra=hook)
        it.running.until("pass finished", ontology_id="work", saved=1)
        assert it.status()["not_followed"] == []


def test_what_went_is_forgotten_while_the_daemon_serves_others(repo: Repo, work: Repo, daemon: Daemon) -> None:
    repo.commit(page(2))
    both = ((repo.path, "home"), (work.path, "work"))
    with served(daemon, *both) as it:
        it.running.until("pass finished", ontology_id="work")
        it.reload(both[0])
        it.running.until("nothing to do", ontology_id="home")
        ran = daemon.run("forget", "work", "--config", "c.toml", "--yes")
        assert ran.code == 0, ran.err
        it.running.until("pass finished", ontology_id="home", commit=repo.commit(page(3)))
        eventually(lambda: it.status()["not_followed"] == [])
        assert daemon.query("SELECT DISTINCT ontology_id FROM owl_classes") == [("home",)]
        it.reload(*both)
        it.running.until("pass finished", ontology_id="work", plan_reason="this is the first pass")
    assert daemon.query("SELECT class_iri FROM owl_classes WHERE ontology_id = 'work'") == [("urn:t:1",)]


def test_another_repository_in_its_place_is_refused(repo: Repo, work: Repo, daemon: Daemon) -> None:
    repo.commit(page(2))
    with served(daemon, (work.path, "work")) as it:
        it.running.until("pass finished", ontology_id="work")
        it.reload((repo.path, "work"))
        failed = it.running.until("pass failed", ontology_id="work")
        assert f"ontology 'work' is fed by {work.path}" in failed["reason"]
        assert "--replace-source" in failed["reason"]
    assert daemon.query("SELECT class_iri FROM owl_classes") == [("urn:t:1",)]


def test_a_breaker_that_was_open_when_its_source_went_is_closed_when_it_comes_back(repo: Repo, daemon: Daemon) -> None:
    repo.commit(page(1))
    impatient = "[breaker]\nfailing_passes = 1\ncool_down = 600.0\n"
    with served(daemon, (repo.path, "home"), (NOWHERE, "work"), extra=impatient) as it:
        it.running.until("pass postponed", ontology_id="work")
        it.reload((repo.path, "home"), extra=impatient)
        it.reload((repo.path, "home"), (f"file://{repo.path}", "work"), extra=impatient)
        it.running.until("pass finished", ontology_id="work")


def test_a_source_that_is_mended_by_a_reload_does_not_wait_for_the_breaker_of_what_it_was(
    repo: Repo, daemon: Daemon
) -> None:
    repo.commit(page(1))
    impatient = "[breaker]\nfailing_passes = 1\ncool_down = 600.0\n"
    with served(daemon, (NOWHERE, "work"), (f"{NOWHERE}/", "down"), extra=impatient) as it:
        eventually(lambda: it.running.count("pass postponed") == 2)
        it.reload((f"file://{repo.path}", "work"), (f"{NOWHERE}/", "down"), extra=impatient)
        it.running.until("pass finished", ontology_id="work")
        failed = [event for event in it.running.events if event["event"] == "pass failed"]
        assert [event["ontology_id"] for event in failed].count("down") == 1


def test_a_fetch_from_where_a_source_is_no_longer_is_waited_for_by_nobody(repo: Repo, daemon: Daemon) -> None:
    commit = repo.commit(page(1))
    with silent_server() as url, served(daemon, (url, "work")) as it:
        it.running.until("pass asked for", ontology_id="work")
        it.reload((repo.path, "work"))
        assert it.running.until("pass finished", ontology_id="work")["commit"] == commit


def test_the_daemon_follows_the_sources_that_are_named_after_a_reload_too(
    repo: Repo, work: Repo, daemon: Daemon
) -> None:
    repo.commit(page(2))
    sources = ((repo.path, "home"), (work.path, "work"))
    with served(daemon, *sources, arguments=("--source-name", "the work")) as it:
        it.running.until("pass finished", ontology_id="work")
        it.running.process.send_signal(signal.SIGHUP)
        it.running.until("configuration read anew", sources=1)
        it.running.until("nothing to do", ontology_id="work")
        configure(daemon, sources[0])
        it.running.process.send_signal(signal.SIGHUP)
        refused = it.running.until("configuration refused")
        assert refused["reason"] == "--source-name: no source is called 'the work'; there are 'the home'"
    assert {event.get("ontology_id") for event in it.running.events} == {"work", None}


def test_sources_that_are_down_trouble_no_other_and_the_gravest_code_is_told(
    repo: Repo, work: Repo, daemon: Daemon
) -> None:
    repo.commit(page(2))
    work.commit({"bad.md": BROKEN})
    network = "[network]\nfetch_timeout = 5.0\n"

    def once(*sources: tuple[str | Path, str]) -> int:
        configure(daemon, *sources, extra=network)
        ran = daemon.run("--once", "--config", "c.toml")
        assert {
            event["ontology_id"] for event in ran.events if event["event"] in {"pass finished", "nothing to do"}
        } == {name for _, name in sources if name in {"home", "work"}}
        for _, name in sources:
            assert (f"visionflow-daemon: {name}: " in ran.err) == (name in {"down", "none"} and len(sources) > 1)
        return ran.code

    down, none = (NOWHERE, "down"), (daemon.folder / "none.git", "none")
    assert once((repo.path, "home")) == 0
    assert once((repo.path, "home"), (work.path, "work")) == 3
    assert once(down, (repo.path, "home"), (work.path, "work")) == 4
    assert once(none, down, (repo.path, "home"), (work.path, "work")) == 2
