"""Many sources in one daemon: what befalls one is felt by no other."""

from __future__ import annotations

import signal
import socket
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks import inputs
from tests import engines, vitals
from tests.engines import assert_sound
from tests.git.servers import git_daemon
from tests.support import Daemon, Repo, Running, class_page, eventually

SOON = 2.0
"""Seconds from a commit to its row, at most."""


def page(number: int) -> dict[bytes | str, str]:
    return {f"p{number}.md": class_page(f"urn:t:{number}", f"P{number}")}


def config(daemon: Daemon, sources: dict[str, Path | str], extra: str = "") -> Path:
    """Write a configuration of sources by their ontologies; `extra` ends it."""
    text = f'database = "{daemon.folder / "kg.db"}"\n'
    for ontology_id, location in sources.items():
        text += f'[[sources]]\nlocation = "{location}"\nontology_id = "{ontology_id}"\n'
    path = daemon.folder / "config.toml"
    path.write_text(text + extra)
    return path


def finished(running: Running, ontology_id: str) -> list[dict[str, Any]]:
    """Give how the passes of an ontology ended, so far."""
    return [each for each in running.events if each["event"] == "pass finished" and each["ontology_id"] == ontology_id]


class Follower:
    """Commits to one source, and sees how long each takes to be in the database."""

    def __init__(self, repo: Repo, database: Path, ontology_id: str) -> None:
        self.took: list[float] = []
        self._repo = repo
        self._connection = engines.Connected(database)
        self._ontology_id = ontology_id
        self._number = 1_000

    def commit(self) -> None:
        """Commit a page, and wait until it is there."""
        self._number += 1
        iri = f"urn:t:{self._number}"
        self._repo.commit({f"p{self._number}.md": class_page(iri, f"P{self._number}")})
        began = time.monotonic()
        query = "SELECT 1 FROM owl_classes WHERE ontology_id = ? AND class_iri = ?"
        eventually(lambda: bool(self._connection.execute(query, (self._ontology_id, iri)).fetchall()))
        self.took.append(time.monotonic() - began)

    def close(self) -> None:
        """Look no more."""
        self._connection.close()

    def __str__(self) -> str:
        took = sorted(self.took)
        return f"{len(took)} commits, median {statistics.median(took):.2f} s, longest {took[-1]:.2f} s"


@contextmanager
def following(repo: Repo, daemon: Daemon, ontology_id: str) -> Iterator[Follower]:
    with closing(Follower(repo, daemon.folder / "kg.db", ontology_id)) as follower:
        yield follower


@contextmanager
def silent_servers(count: int) -> Iterator[list[str]]:
    """Listen at so many addresses, and answer nothing."""
    servers = [socket.create_server(("127.0.0.1", 0), backlog=16) for _ in range(count)]
    try:
        yield [f"http://127.0.0.1:{server.getsockname()[1]}/r.git" for server in servers]
    finally:
        for server in servers:
            server.close()


@pytest.mark.parametrize(
    ("pages", "every"), [(1_500, 0.2), pytest.param(8_000, 1.0, marks=pytest.mark.deep, id="8000")]
)
def test_a_first_sync_of_many_pages_beside_a_source_with_commits(
    repo: Repo, daemon: Daemon, tmp_path: Path, pages: int, every: float, record_property: Callable[[str, object], None]
) -> None:
    large = inputs.generated(tmp_path, 1, pages)
    repo.commit(page(1))
    path = config(daemon, {"small": repo.path})
    with daemon.running("--config", path) as running:
        running.until("pass finished", ontology_id="small")
        config(daemon, {"small": repo.path, "large": large.repository})
        running.process.send_signal(signal.SIGHUP)
        running.until("pass started", ontology_id="large")
        pause = threading.Event()
        with following(repo, daemon, "small") as follower:
            while not any(
                line["event"] == "pass finished" and line["ontology_id"] == "large" for line in running.events
            ):
                follower.commit()
                pause.wait(max(0.0, every - follower.took[-1]))
        done = running.until("pass finished", ontology_id="large")
        assert (done["saved"] + done["skipped"], done["is_whole"]) == (pages, True)
        assert running.end() == 0
    record_property("latency beside a first sync", f"{follower}; {pages:,} pages in {done['seconds']:.1f} s")
    assert len(follower.took) >= 3
    assert max(follower.took) < SOON
    assert_sound(daemon.folder / "kg.db")


def test_servers_that_say_nothing_keep_nobody_waiting(repo: Repo, daemon: Daemon) -> None:
    served = Repo(daemon.folder / "srv" / "good.git")
    repo.commit(page(1))
    served.commit(page(2))
    with silent_servers(3) as silent, git_daemon(daemon.folder / "srv") as url:
        sources: dict[str, Path | str] = {f"silent{number}": address for number, address in enumerate(silent)}
        path = config(
            daemon,
            {**sources, "local": repo.path, "remote": f"{url}/good.git"},
            "[daemon]\ninterval = 0.3\njitter = 0.0\n",
        )
        with daemon.running("--config", path) as running:
            eventually(lambda: bool(finished(running, "local") and finished(running, "remote")))
            for name, each in (("local", repo), ("remote", served)):
                with following(each, daemon, name) as follower:
                    for _ in range(5):
                        follower.commit()
                assert max(follower.took) < SOON, (name, str(follower))
            assert running.count("pass failed") == 0, "it was over before the others were looked at"
            began = time.monotonic()
            assert running.end() == 0
            assert time.monotonic() - began < 10


def test_a_source_whose_every_file_fails_beside_a_good_one(repo: Repo, daemon: Daemon) -> None:
    bad = Repo(daemon.folder / "bad.git")
    bad.commit({f"b{number}.md": "```json-ld\n{\n```\n" for number in range(200)})
    repo.commit(page(1))
    path = config(
        daemon, {"bad": bad.path, "good": repo.path}, "[daemon]\ninterval = 0.2\n[breaker]\ncool_down = 600.0\n"
    )
    with daemon.running("--config", path) as running:
        opened = running.until("breaker opened", ontology_id="bad")
        assert opened["breaker"] == "files"
        with following(repo, daemon, "good") as follower:
            for _ in range(5):
                follower.commit()
        assert max(follower.took) < SOON
        assert running.end() == 0
    assert not [line for line in running.events if line["event"] == "pass failed" and line["ontology_id"] == "good"]
    assert running.count("breaker opened") == 1


class Manager:
    """Stands for systemd: hears what it is told."""

    def __init__(self, daemon: Daemon, seconds: float) -> None:
        self._line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._line.bind(str(daemon.folder / "notify"))
        self._line.settimeout(20)
        daemon.environment |= {
            "NOTIFY_SOCKET": str(daemon.folder / "notify"),
            "WATCHDOG_USEC": str(int(seconds * 1_000_000)),
        }

    def until(self, message: str) -> list[str]:
        """Give all that is heard, up to a message."""
        heard: list[str] = []
        while not heard or heard[-1] != message:
            heard.append(self._line.recv(4096).decode())
        return heard

    def close(self) -> None:
        """Hear no more."""
        self._line.close()


def test_one_pass_that_is_stuck_is_told_to_systemd_while_others_go_on(repo: Repo, daemon: Daemon) -> None:
    served = Repo(daemon.folder / "srv" / "good.git")
    repo.commit(page(1))
    served.commit(page(2))
    with closing(Manager(daemon, 3.0)) as manager, git_daemon(daemon.folder / "srv") as url:
        path = config(
            daemon,
            {"stuck": repo.path, "well": f"{url}/good.git"},
            "[daemon]\ninterval = 0.2\njitter = 0.0\n[sync]\nbusy_timeout = 600.0\n",
        )
        with daemon.running("--config", path) as running:
            running.until("pass finished")
            running.until("pass finished")
            with engines.Connected(daemon.folder / "kg.db") as other:
                other.lock()
                repo.commit(page(3))
                began = time.monotonic()
                heard = manager.until("WATCHDOG=trigger")
                assert 2.5 < time.monotonic() - began < 8
                assert heard.count("WATCHDOG=1") >= 2
                stuck = running.until("pass stuck")
                assert stuck["ontology_id"] == "stuck"
                looked = running.count("nothing to do")
                eventually(lambda: running.count("nothing to do") > looked + 2)
                other.execute("ROLLBACK")
            running.until("pass finished", ontology_id="stuck")
            manager.until("WATCHDOG=1")
            assert running.end() == 0


def test_a_source_that_leaves_the_configuration_in_the_middle_of_its_pass(repo: Repo, daemon: Daemon) -> None:
    other = Repo(daemon.folder / "other.git")
    repo.commit({path: text for number in range(3_000) for path, text in page(number).items()})
    other.commit(page(1))
    path = config(daemon, {"going": repo.path, "staying": other.path})
    with daemon.running("--config", path) as running:
        running.until("pass finished", ontology_id="staying")
        going = "SELECT COUNT(*) FROM source_files WHERE ontology_id = 'going'"
        eventually(lambda: daemon.query(going)[0][0] > 100)
        config(daemon, {"staying": other.path})
        running.process.send_signal(signal.SIGHUP)
        running.until("configuration read anew", sources=1)
        eventually(lambda: bool(finished(running, "going")))
        assert [done["is_whole"] for done in finished(running, "going")] == [False]
        held = daemon.query(going)[0][0]
        repo.commit(page(5_000))
        with following(other, daemon, "staying") as follower:
            for _ in range(3):
                follower.commit()
        assert daemon.query(going)[0][0] == held < 3_000, "a source that is gone was followed"
        config(daemon, {"going": repo.path, "staying": other.path})
        running.process.send_signal(signal.SIGHUP)
        running.until("configuration read anew", sources=2)
        assert running.until("pass finished", ontology_id="going")["saved"] == 3_001 - held
        assert running.end() == 0
    assert running.count("pass failed") == 0
    assert daemon.query("SELECT status FROM sync_runs WHERE ontology_id = 'going' ORDER BY started_at") == [
        ("stopped",),
        ("finished",),
    ]
    assert_sound(daemon.folder / "kg.db")


def test_a_source_that_changes_in_the_middle_of_its_pass_takes_its_settings_with_the_next(
    repo: Repo, daemon: Daemon
) -> None:
    repo.commit({path: text for number in range(2_000) for path, text in page(number).items()})
    path = config(daemon, {"a": repo.path})
    with daemon.running("--config", path) as running:
        running.until("pass started")
        eventually(lambda: daemon.query("SELECT COUNT(*) FROM source_files")[0][0] > 100)
        path.write_text(path.read_text() + 'exclude = ["p1??.md"]\n')
        running.process.send_signal(signal.SIGHUP)
        running.until("configuration read anew")
        eventually(lambda: len(finished(running, "a")) == 2)
        first, second = finished(running, "a")
        assert (first["saved"], first["is_whole"]) == (2_000, True)
        assert (second["deleted"], second["is_whole"]) == (100, True)
        assert running.end() == 0


def test_twenty_sources_at_once_need_no_more_for_many_passes_than_for_a_few(daemon: Daemon) -> None:
    repos = {f"o{number:02}": Repo(daemon.folder / f"{number:02}.git") for number in range(20)}
    for number, each in enumerate(repos.values()):
        each.commit({path: text for more in range(30) for path, text in page(100 * number + more).items()})
    path = config(daemon, {name: each.path for name, each in repos.items()})

    def in_step() -> Callable[[], bool]:
        tips = {name: each.tip() for name, each in repos.items()}
        query = "SELECT ontology_id, commit_sha FROM checkpoints WHERE is_clean = 1"
        return lambda: dict(daemon.query(query)) == tips

    def measured(running: Running) -> vitals.Vitals:
        return vitals.measure(running.process.pid, daemon.folder / "kg.db", daemon.folder / "home")

    with daemon.running("--config", path) as running:
        running.until("migration applied")
        eventually(in_step(), 60)
        found = []
        for round_ in range(8):
            for number, each in enumerate(repos.values()):
                each.commit(page(10_000 + 100 * round_ + number))
            eventually(in_step(), 60)
            found.append(measured(running))
        assert running.end() == 0
    assert running.count("pass failed") == 0
    settled = found[2:]
    assert max(each.threads for each in settled) <= settled[0].threads + 1
    assert max(each.descriptors for each in settled) <= settled[0].descriptors + 2
    assert settled[-1].resident < settled[0].resident + 4
    assert settled[-1].resident < 100, str(settled[-1])
    assert settled[-1].threads <= 5 * len(repos) + 10, str(settled[-1])  # each has five that watch it
    assert_sound(daemon.folder / "kg.db")
