"""A damaged object is an error, never other content: zlib's checksum tells, without the hash of every blob."""

from __future__ import annotations

import random
from pathlib import Path

import pygit2
import pytest

from tests.support import Repo, git
from visionflow_daemon.git.repository import Network, configure, open_repository, read_blob

PAGES = {f"p{number}.md": "".join(f"line {line} of {number}\n" for line in range(number, 400)) for number in range(4)}


@pytest.mark.parametrize("compression", ["0", "9"])
def test_a_flipped_bit_of_a_pack_never_gives_other_content(tmp_path: Path, compression: str) -> None:
    repo = Repo(tmp_path / "r.git")
    git("config", "core.compression", compression, cwd=repo.path)
    repo.commit(PAGES)
    git("repack", "-adFq", cwd=repo.path)
    configure(Network())
    opened = pygit2.Repository(str(repo.path))
    due = {str(opened.revparse_single(f"HEAD:{path}").id): text.encode() for path, text in PAGES.items()}
    opened.free()
    (pack,) = (repo.path / "objects" / "pack").glob("*.pack")
    pack.chmod(0o644)
    whole = pack.read_bytes()
    errors = 0
    draw = random.Random(1)  # noqa: S311 - the same each time
    for _ in range(150):
        damaged = bytearray(whole)
        damaged[draw.randrange(12, len(whole) - 20)] ^= 1 << draw.randrange(8)
        pack.write_bytes(damaged)
        repository = open_repository(repo.path)
        for blob, content in due.items():
            try:
                found = read_blob(repository, blob, 1 << 30)
            except Exception:  # noqa: BLE001 - whichever it is, it is told
                errors += 1
            else:
                assert found == content
        repository.free()
    assert errors > 20
