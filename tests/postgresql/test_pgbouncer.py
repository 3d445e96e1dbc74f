"""The whole of the program through pgbouncer in transaction mode."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgresql import server
from tests.postgresql.pgbouncer import pgbouncer
from tests.postgresql.server import Server
from tests.support import Daemon, Repo, class_page, eventually


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    folder = Path(tempfile.mkdtemp(prefix="pgbouncer-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        with pgbouncer(server.shared(), folder / "pgbouncer") as found:
            yield found
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def pages(count: int, side: str) -> dict[bytes | str, str | None]:
    return {
        f"p{at:03}.md": class_page(f"urn:t:{at}", f"{side} {at}", subClassOf={"@id": f"urn:t:{at // 3}"})
        for at in range(count)
    }


def test_passes_daemon_and_verbs(shared: Server, database: str, port: int, repo: Repo, client: Daemon) -> None:
    url = shared.url(database).replace(f":{shared.port}/", f":{port}/")
    client.environment |= {
        "VISIONFLOW_POSTGRESQL__PGBOUNCER": "true",
        "VISIONFLOW_DATABASE": url,
        "VISIONFLOW_DAEMON__INTERVAL": "0.3",
    }
    repo.commit(pages(120, "old") | {"bad.md": "```json-ld\n{\n```\n"})
    ran = client.run("--once", "--source", repo.path, "--workers", "6")
    assert ran.code == 3, ran.err
    assert ran.event("pass finished")["saved"] == 120
    with client.running("--source", repo.path) as running:
        running.until("nothing to do")
        repo.commit(pages(100, "new") | {f"p{at:03}.md": None for at in range(100, 120)} | {"bad.md": None})
        running.until("pass finished", is_whole=True)
        assert running.end() == 0
    assert client.run("verify", "--source", repo.path).out == "no difference\n"
    assert client.run("status", "--json").json[0]["commit"] == repo.tip()
    assert client.run("failures").out == ""
    client.environment.pop("VISIONFLOW_DATABASE")
    client.once(repo.path, database="fresh.db")
    assert client.run("dump", "--database", url).out == client.dump_bytes("fresh.db")


def test_a_pass_goes_on_when_pgbouncer_was_restarted(shared: Server, database: str, repo: Repo, client: Daemon) -> None:
    client.environment["VISIONFLOW_POSTGRESQL__PGBOUNCER"] = "true"
    repo.commit(pages(400, "old"))
    folder = Path(tempfile.mkdtemp(prefix="pgbouncer-", dir="/tmp"))
    folder.chmod(0o755)
    count = "SELECT COUNT(*) FROM source_files"
    try:
        with pgbouncer(shared, folder / "one") as at:
            url = shared.url(database).replace(f":{shared.port}/", f":{at}/")
            process = client.start("--once", "--source", repo.path, "--database", url)
            eventually(lambda: bool(shared.rows("SELECT to_regclass('source_files')", database)[0][0]))
            eventually(lambda: shared.rows(count, database)[0][0] > 20)
        with pgbouncer(shared, folder / "two", port=at):
            out, err = process.communicate(timeout=60)
        assert process.returncode == 0, (out[-2000:], err)
        assert shared.rows(count, database) == [(400,)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)
