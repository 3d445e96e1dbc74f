"""A server that takes connections by TLS alone, whose certificate is verified."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hooks.support import certificate
from tests.postgresql import server
from tests.postgresql.server import Server
from tests.support import Daemon, Repo, class_page


@pytest.fixture(scope="module")
def guarded() -> Iterator[Server]:
    """A server, localhost by its certificate, that refuses who comes without TLS."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = Path(tempfile.mkdtemp(prefix="postgresql-", dir="/tmp"))
    one = server.started(folder, fsync="off")
    one.stop("fast")
    owner = one.data.stat()
    for made, name in zip(certificate(folder), ("server.crt", "server.key"), strict=True):
        place = Path(shutil.copy(made, one.data / name))
        place.chmod(0o600)
        shutil.chown(place, owner.st_uid, owner.st_gid)
    (one.data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 scram-sha-256\n")
    one.settings["ssl"] = "on"
    one.start()
    yield one
    one.stop()
    shutil.rmtree(folder, ignore_errors=True)


def test_a_server_is_known_by_its_certificate(guarded: Server, repo: Repo, client: Daemon, tmp_path: Path) -> None:
    guarded.new_database("kg")
    repo.commit({f"p{at}.md": class_page(f"urn:t:{at}", f"P{at}") for at in range(30)})
    by_name = guarded.url("kg").replace("127.0.0.1", "localhost")
    trusted = f"{by_name}?sslmode=verify-full&sslrootcert={guarded.folder / 'cert.pem'}"
    ran = client.run("--once", "--source", repo.path, "--database", trusted)
    assert (ran.code, ran.event("pass finished")["saved"]) == (0, 30), ran.err
    assert client.run("verify", "--source", repo.path, "--database", trusted).out == "no difference\n"
    (tmp_path / "other").mkdir()
    stranger, _ = certificate(tmp_path / "other")
    for why, url in {
        "certificate verify failed": f"{by_name}?sslmode=verify-full&sslrootcert={stranger}",
        "does not match host name": trusted.replace("localhost", "127.0.0.1"),
        "no encryption": f"{by_name}?sslmode=disable",
    }.items():
        ran = client.run("--once", "--source", repo.path, "--database", url)
        assert (ran.code, why in ran.err, "look at rights, password, certificates" in ran.err) == (6, True, True), (
            ran.err
        )
