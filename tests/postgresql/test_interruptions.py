"""Whatever becomes of the connections to a server, a pass loses nothing, does nothing twice, and blames no file."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psycopg
import pytest

from tests.postgresql.server import PASSWORD, Server
from tests.postgresql.test_silence import processes, stopped
from tests.postgresql.wire import Wire, every, wire
from tests.support import Daemon, Ran, Repo, class_page, eventually

PAGES = 700
"""More than the table is asked for at once (storage/files.py)."""

OURS = "application_name LIKE 'visionflow-daemon%'"


def pages(side: str, numbers: range = range(PAGES)) -> dict[bytes | str, str]:
    return {
        f"p{at:04}.md": class_page(f"urn:t:{at}", f"{side} {at}", subClassOf=[{"@id": f"urn:t:{at // 2}"}])
        for at in numbers
    }


class Ground:
    """A source, a database, and what must be true of the two after a pass."""

    def __init__(self, shared: Server, name: str, repo: Repo, daemon: Daemon) -> None:
        self.server, self.name, self.repo, self.daemon = shared, name, repo, daemon

    def url(self, port: int | None = None) -> str:
        """Give the database's URL, perhaps by another port."""
        return self.server.url(self.name).replace(f":{self.server.port}/", f":{port or self.server.port}/")

    def once(self, *arguments: str, port: int | None = None) -> Ran:
        """Run a pass."""
        ran = self.daemon.run(
            "--once", "--source", self.repo.path, "--database", self.url(port), "--workers", "4", *arguments
        )
        assert ran.code == 0, (ran.out[-3000:], ran.err[-3000:])
        return ran

    def ask(self, sql: str) -> list[tuple[object, ...]]:
        """Ask the database."""
        return self.server.rows(sql, self.name)

    def assert_exact(self) -> None:
        """See that it says what a file of SQLite's says, and that no file ever was to blame."""
        self.daemon.once(self.repo.path, database="fresh.db")
        assert self.daemon.run("dump", "--database", self.url()).out == self.daemon.dump_bytes("fresh.db")
        assert self.ask("SELECT COUNT(*) FROM source_files WHERE attempts > 0") == [(0,)]
        assert self.ask("SELECT COUNT(*) FROM sync_runs WHERE status = 'running'") == [(0,)]


@pytest.fixture
def ground(shared: Server, database: str, repo: Repo, client: Daemon) -> Ground:
    repo.commit(pages("old"))
    return Ground(shared, database, repo, client)


@contextmanager
def again_and_again(act: Callable[[], object], chance: random.Random) -> Iterator[None]:
    """Do something at random moments meanwhile."""
    is_over = threading.Event()

    def work() -> None:
        while not is_over.wait(chance.uniform(0.02, 0.3)):
            act()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def test_what_was_committed_though_nobody_heard_is_not_committed_twice(ground: Ground) -> None:
    with wire(ground.server.port, every(10)) as laid:
        assert ground.once(port=laid.port).event("pass finished")["saved"] == PAGES
        assert laid.cuts > PAGES / 20
    assert ground.ask("SELECT status FROM sync_runs") == [("finished",)]
    ground.assert_exact()


def test_no_answer_to_the_first_commits_of_a_pass(ground: Ground) -> None:
    ground.daemon.run("migrate", "--database", ground.url())
    seen: list[None] = []

    def spoil(said: bytes) -> bool:
        seen.extend([None] * (b"COMMIT\0" in said))
        return bool(seen) and len(seen) < 4 and b"COMMIT\0" in said

    with wire(ground.server.port, spoil) as laid:
        ground.once(port=laid.port)
        assert laid.cuts == 3
    ground.assert_exact()


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.deep) for seed in range(2, 12))])
def test_sessions_ended_at_random(ground: Ground, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - moments, not secrets

    def end_one() -> None:
        if found := processes(ground.server, ground.name):
            ground.server.rows(f"SELECT pg_terminate_backend({chance.choice(found)})")

    with again_and_again(end_one, chance):
        ground.once()
        ground.repo.commit(pages("new", range(100)) | dict.fromkeys(pages("old", range(650, 700))))
        ground.once("--full")
        ground.repo.commit(pages("newer", range(50)))
        ground.once()
    ground.assert_exact()


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.deep) for seed in range(2, 12))])
def test_a_wire_that_is_cut_at_random(ground: Ground, seed: int) -> None:
    with wire(ground.server.port) as laid, again_and_again(laid.cut, random.Random(seed)):  # noqa: S311 - as above
        ground.once(port=laid.port)
        ground.repo.commit(pages("new", range(100)) | dict.fromkeys(pages("old", range(650, 700))))
        ground.once("--full", port=laid.port)
        assert laid.cuts > 3
    ground.assert_exact()


def test_a_pass_waits_for_a_server_that_is_away_while_it_plans(ground: Ground) -> None:
    """The wire is cut as soon as the second pass has reached the server."""
    ground.once()
    ground.repo.commit(pages("new", range(10)))
    with wire(ground.server.port) as laid:
        process = ground.daemon.start(
            "--once", "--full", "--source", ground.repo.path, "--database", ground.url(laid.port)
        )
        eventually(lambda: bool(processes(ground.server, ground.name)))
        laid.cut()
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0, (out[-2000:], err[-2000:])
    ground.assert_exact()


def test_a_server_that_hangs_for_longer_than_a_statement_may_take(ground: Ground) -> None:
    ground.daemon.environment["VISIONFLOW_POSTGRESQL__STATEMENT_TIMEOUT"] = "1"
    process = ground.daemon.start("--once", "--source", ground.repo.path, "--database", ground.url())
    eventually(lambda: bool(ground.ask("SELECT to_regclass('source_files')")[0][0]))
    eventually(lambda: ground.ask("SELECT COUNT(*) > 20 FROM source_files") == [(True,)])
    hung = processes(ground.server, ground.name)
    with stopped(*hung):
        eventually(lambda: bool(set(processes(ground.server, ground.name)) - set(hung)))
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, (out[-2000:], err[-2000:])
    ground.assert_exact()


def test_transactions_that_wait_for_each_other(ground: Ground) -> None:
    """Somebody's transaction has a row that ours needs, and needs one that ours has: the server ends one of them."""
    ground.server.rows("ALTER SYSTEM SET deadlock_timeout = '50ms'")
    ground.server.rows("SELECT pg_reload_conf()")
    ground.once()
    ground.repo.commit(pages("new"))
    process = ground.daemon.start("--once", "--source", ground.repo.path, "--database", ground.url())
    eventually(lambda: ground.ask("SELECT COUNT(*) > 20 FROM owl_classes WHERE label LIKE 'new%'") == [(True,)])
    with psycopg.connect(ground.url(), password=PASSWORD) as other:
        for _ in range(20):
            with suppress(psycopg.errors.DeadlockDetected):
                other.execute("UPDATE owl_classes SET label = label WHERE class_iri > 'urn:t:3'")
                other.execute("SELECT 1 FROM leases FOR UPDATE")
            other.rollback()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, (out[-2000:], err[-2000:])
    assert "deadlock detected" in (ground.server.folder / "log").read_text()
    ground.assert_exact()


def test_a_server_that_takes_no_writes(ground: Ground) -> None:
    ground.once()
    ground.repo.commit(pages("new"))
    ground.server.rows(f'ALTER DATABASE "{ground.name}" SET default_transaction_read_only = on')
    ran = ground.daemon.run("--once", "--source", ground.repo.path, "--database", ground.url())
    assert ran.code == 6
    assert "read-only transaction" in ran.err
    ground.server.rows(f'ALTER DATABASE "{ground.name}" RESET default_transaction_read_only')
    ground.once()
    ground.assert_exact()


def test_the_daemon_goes_on_by_itself_when_the_server_is_back(ground: Ground) -> None:
    ground.daemon.environment |= {
        "VISIONFLOW_POSTGRESQL__PATIENCE": "0.5",
        "VISIONFLOW_DAEMON__INTERVAL": "0.5",
        "VISIONFLOW_BREAKER__COOL_DOWN": "0.5",
    }
    with wire(ground.server.port) as laid:
        port = laid.port
        with ground.daemon.running("--source", ground.repo.path, "--database", ground.url(port)) as running:
            running.until("pass started")
            eventually(lambda: ground.ask("SELECT COUNT(*) > 20 FROM source_files") == [(True,)])
            laid.close()
            failed = running.until("pass failed")
            assert (failed["exit_code"], "does not answer" in failed["reason"]) == (6, True)
            again = Wire(ground.server.port, port=port)
            running.until("pass finished", is_whole=True, timeout=60)
            again.close()
            assert running.end() == 0
    ground.assert_exact()


def test_kills_of_the_program_at_every_phase(ground: Ground) -> None:
    """At its start, while the schema is made, in the middle, near the end; the lease of who was killed runs out."""
    for at in (0.2, 0.5, 0.8, 1.1, 1.5, 2.0):
        process = ground.daemon.start(
            "--once", "--source", ground.repo.path, "--database", ground.url(), "--lock-timeout", "20"
        )
        threading.Event().wait(at)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    ground.once("--lock-timeout", "20")
    ground.assert_exact()
