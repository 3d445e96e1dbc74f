"""What befalls a server in the middle of a pass: nothing is lost, and the pass completes by itself."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest

from tests.postgresql import server
from tests.postgresql.server import PASSWORD, Server
from tests.support import Daemon, Repo, class_page, eventually

PAGES = 600


@pytest.fixture(scope="module")
def own() -> Iterator[Server]:
    """A server of these tests' own, that keeps what it says it keeps."""
    folder = Path(tempfile.mkdtemp(prefix="postgresql-", dir="/tmp"))
    one = server.started(folder, fsync="on", max_connections="30")
    yield one
    one.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def scene(own: Server, repo: Repo, daemon: Daemon) -> Scene:
    """A repository of some hundred pages, and an empty database."""
    repo.commit(
        {
            f"p{number:04}.md": class_page(
                f"urn:t:{number}", f"P{number}", subClassOf=[{"@id": f"urn:t:{number // 2}"}], relations=[f"P{number}"]
            )
            for number in range(PAGES)
        }
    )
    daemon.environment["VISIONFLOW_DATABASE_PASSWORD"] = PASSWORD
    return Scene(own, repo, daemon)


class Scene:
    """A pass over the pages, and what happens under it."""

    def __init__(self, own: Server, repo: Repo, daemon: Daemon) -> None:
        self.server, self.repo, self.daemon = own, repo, daemon
        self.name = f"scene_{os.getpid()}"
        self.url = own.new_database(self.name)

    def arguments(self) -> tuple[str | Path, ...]:
        """Give the command line of a pass."""
        return ("--once", "--source", self.repo.path, "--database", self.url, "--workers", "4")

    def saved(self) -> int:
        """Count the files saved so far."""
        if not self.server.rows("SELECT to_regclass('source_files') IS NOT NULL", self.name)[0][0]:
            return 0
        return int(self.server.rows("SELECT COUNT(*) FROM source_files", self.name)[0][0])

    def pass_with(self, befall: Callable[[], None], after: int = 50) -> tuple[int, str, str]:
        """Run a pass, and let something happen once so many files are saved."""
        process = self.daemon.start(*self.arguments())
        try:
            eventually(lambda: self.saved() >= after or process.poll() is not None, 60)
            assert process.poll() is None, process.communicate()
            befall()
            out, err = process.communicate(timeout=90)
        finally:
            process.kill()
            process.communicate()
        return process.returncode, out.decode(), err.decode()

    def assert_whole(self) -> None:
        """See that the database is what a file of SQLite's is after a pass in peace."""
        self.daemon.run("--once", "--source", self.repo.path, "--database", "sqlite:///peace.db")
        ours = self.daemon.run("dump", "--database", self.url)
        assert ours.code == 0, ours.err
        assert ours.out == self.daemon.run("dump", "--database", "sqlite:///peace.db").out
        assert self.server.rows("SELECT COUNT(*) FROM source_files WHERE status = 'failed'", self.name) == [(0,)]


def restart(mode: str) -> Callable[[Server], None]:
    def befall(own: Server) -> None:
        own.stop(mode)
        own.start()

    return befall


def crash(own: Server) -> None:
    pid = own.pid
    own.kill()
    eventually(lambda: not Path(f"/proc/{pid}").exists())
    (own.data / "postmaster.pid").unlink(missing_ok=True)
    own.start()


def end_all_sessions(own: Server) -> None:
    own.rows("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'visionflow-daemon'")


@pytest.mark.parametrize(
    "befall",
    [restart("fast"), restart("immediate"), crash, end_all_sessions],
    ids=["restart", "restart at once", "crash", "sessions ended"],
)
def test_a_pass_outlives_its_server(scene: Scene, befall: Callable[[Server], None]) -> None:
    code, out, err = scene.pass_with(lambda: befall(scene.server))
    assert code == 0, (out[-3000:], err)
    assert scene.saved() == PAGES
    scene.assert_whole()


def test_a_pass_waits_until_there_are_connections_again(scene: Scene) -> None:
    import psycopg  # noqa: PLC0415 - where there is no server, none is needed

    with ExitStack() as held:

        def take_all() -> None:
            end_all_sessions(scene.server)
            while True:
                try:
                    one = psycopg.connect(scene.url, password=PASSWORD, autocommit=True)
                except psycopg.OperationalError:
                    break
                held.enter_context(closing(one))
            eventually(lambda: True)
            held.close()

        code, out, err = scene.pass_with(take_all)
    assert code == 0, (out[-3000:], err)
    scene.assert_whole()


def test_a_locked_table_is_waited_for(scene: Scene) -> None:
    import psycopg  # noqa: PLC0415 - as above

    def lock() -> None:
        with psycopg.connect(scene.url, password=PASSWORD) as other:
            other.execute("LOCK TABLE owl_classes IN ACCESS EXCLUSIVE MODE")
            other.execute("SELECT pg_sleep(2)")

    code, out, err = scene.pass_with(lock)
    assert code == 0, (out[-3000:], err)
    scene.assert_whole()


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """Mount a small disk that user postgres may write, or skip the test."""
    folder = Path(tempfile.mkdtemp(prefix="postgresql-", dir="/tmp"))
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=755", "tmpfs", str(folder)],
            capture_output=True,
            check=False,
        ).returncode
    ):
        pytest.skip("mounting a small disk takes root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)
        folder.rmdir()


def test_a_full_disk_ends_the_pass_and_the_next_one_goes_on(repo: Repo, daemon: Daemon) -> None:
    with small_disk(200) as disk:
        (disk / "server").mkdir()
        own = server.started(disk / "server", max_wal_size="48MB", min_wal_size="32MB")
        try:
            scene_of_full_disk(own, repo, daemon, disk)
        finally:
            own.stop()


def scene_of_full_disk(own: Server, repo: Repo, daemon: Daemon, folder: Path) -> None:
    repo.commit({f"p{n:04}.md": class_page(f"urn:t:{n}", f"P{n}") + "x" * 2_000 for n in range(PAGES)})
    daemon.environment["VISIONFLOW_DATABASE_PASSWORD"] = PASSWORD
    scene = Scene(own, repo, daemon)
    ballast = folder / "ballast"

    def fill() -> None:
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while file.write(b"x" * 65_536):
                pass

    code, out, err = scene.pass_with(fill)
    assert code == 6, (out[-2000:], err)
    assert "disk full" in err or "does not answer" in err, err
    ballast.unlink()
    if not Path(f"/proc/{own.pid}").exists():
        own.start()
    daemon.run("retry", "--database", scene.url)
    ran = daemon.run(*scene.arguments())
    assert ran.code == 0, (ran.out[-2000:], ran.err)
    scene.assert_whole()


@pytest.mark.parametrize(
    ("url", "password", "said"),
    [
        ("postgresql://vf@127.0.0.1:{port}/none_such", PASSWORD, "does not exist"),
        ("postgresql://vf@127.0.0.1:{port}/postgres", "wrong", "password authentication failed"),
        ("postgresql://vf@127.0.0.1:1/postgres", PASSWORD, "does not answer"),
    ],
    ids=["no database", "wrong password", "no server"],
)
def test_what_can_not_be_connected_to_is_said(
    own: Server, repo: Repo, daemon: Daemon, url: str, password: str, said: str
) -> None:
    repo.commit({"a.md": class_page("urn:t:a", "A")})
    daemon.environment["VISIONFLOW_DATABASE_PASSWORD"] = password
    ran = daemon.run("--once", "--source", repo.path, "--database", url.format(port=own.port))
    assert (ran.code, said in ran.err) == (6, True), ran.err
    assert password not in ran.err + ran.out


def test_a_password_in_the_url_is_refused(repo: Repo, daemon: Daemon) -> None:
    ran = daemon.run("--once", "--source", repo.path, "--database", "postgresql://vf:hush-hush@127.0.0.1/x")
    assert (ran.code, "postgresql.password_file" in ran.err) == (2, True)
    assert "hush-hush" not in ran.err + ran.out


def test_a_pass_that_is_killed_is_gone_on_with(scene: Scene) -> None:
    for after in (1, 60, 200, 400):
        process = scene.daemon.start(*scene.arguments())
        eventually(lambda after=after: scene.saved() >= after, 60)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    ran = scene.daemon.run(*scene.arguments(), "--lock-timeout", "20")
    assert ran.code == 0, ran.err
    scene.assert_whole()
