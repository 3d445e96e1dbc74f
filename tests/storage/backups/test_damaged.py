"""Archives and manifests that are damaged, or made to do harm: refused in words, and nothing is written."""

from __future__ import annotations

import gzip
import io
import json
import random
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.storage.backups.support import backed_up, filled, names, rewritten
from tests.support import Daemon, Repo
from visionflow_daemon.errors import DatabaseError, VisionflowError
from visionflow_daemon.storage.backups import archive
from visionflow_daemon.storage.backups.manifest import Digest
from visionflow_daemon.storage.backups.restore import Rules, restore
from visionflow_daemon.storage.backups.shelf import Backup

pytestmark = pytest.mark.sqlite

HEADER = b"SQLite format 3\0" + (4_096).to_bytes(2, "big") + bytes(10)


@pytest.fixture
def backup(repo: Repo, daemon: Daemon) -> Backup:
    """A backup of a small database."""
    return backed_up(filled(repo, daemon, classes=3))


def refused(backup: Backup, daemon: Daemon, why: str = ".") -> None:
    """See that a restore is refused before there is anything in the database's folder."""
    place = daemon.folder / "new"
    place.mkdir(exist_ok=True)
    with pytest.raises(VisionflowError, match=why):
        restore(backup.path, place / "kg.db", Rules())
    assert names(place) == []


def test_any_byte_that_is_flipped_is_noticed(backup: Backup, daemon: Daemon) -> None:
    good = backup.path.read_bytes()
    chance = random.Random(3)  # noqa: S311 - places, not secrets
    for at in [0, 3, len(good) - 1, *(chance.randrange(len(good)) for _ in range(20))]:
        backup.path.write_bytes(good[:at] + bytes([good[at] ^ (1 << chance.randrange(8))]) + good[at + 1 :])
        refused(backup, daemon, "is damaged: its SHA-256 is")


@pytest.mark.parametrize("change", [-1, -500, +1])
def test_what_is_cut_off_or_longer_is_noticed(backup: Backup, daemon: Daemon, change: int) -> None:
    good = backup.path.read_bytes()
    backup.path.write_bytes(good[:change] if change < 0 else good + b"x")
    refused(backup, daemon, "is damaged: it has")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not gzip",
        b"\x1f\x8b",
        gzip.compress(b"text", mtime=0),
        gzip.compress(HEADER, mtime=0)[:-4],
        gzip.compress(HEADER, mtime=0) + b"more",
    ],
    ids=["nothing", "no archive", "a beginning", "no database", "cut short", "something behind"],
)
def test_an_archive_that_its_manifest_vouches_for_is_not_believed_either(
    backup: Backup, daemon: Daemon, content: bytes
) -> None:
    backup.path.write_bytes(content)
    rewritten(backup, archive__bytes=len(content), archive__sha256=sha256(content).hexdigest())
    refused(backup, daemon)


def test_another_content_of_the_same_size_is_noticed(backup: Backup, daemon: Daemon) -> None:
    content = bytearray(gzip.decompress(backup.path.read_bytes()))
    digest = backup.manifest.content.sha256
    content[-1] ^= 1
    rewritten(backup, bytes(content), content__sha256=digest)
    refused(backup, daemon, "does not unpack to what its manifest says")


MANIFEST_FAULTS: tuple[tuple[str, Any, str], ...] = (
    ("format", "tar", 'it lacks "format"'),
    ("version", 2, "its version is 2, this program knows 1"),
    ("archive__name", "../../etc/passwd", "is the one of '../../etc/passwd'"),
    ("archive__name", "/etc/passwd", "is the one of"),
    ("archive__name", None, "is the one of None"),
    ("archive__bytes", "1", "a number is due"),
    ("archive__bytes", -1, "a number is due"),
    ("archive__bytes", True, "a number is due"),
    ("archive__sha256", "0" * 63, "a SHA-256 in hexadecimal is due"),
    ("archive__sha256", 7, "a SHA-256 in hexadecimal is due"),
    ("content", [], "no manifest"),
    ("content__bytes", 1 << 60, "a number is due"),
    ("content__bytes", 1 << 47, "too little room"),
    ("taken_at", "yesterday", "does not match"),
    ("taken_at", None, "a text is due"),
    ("commits", [1], "no manifest"),
    ("commits", {"a": 1}, "a text is due"),
    ("database", None, "a text is due"),
)


@pytest.mark.parametrize(("name", "value", "why"), MANIFEST_FAULTS)
def test_a_manifest_is_read_with_care(backup: Backup, daemon: Daemon, name: str, value: object, why: str) -> None:
    rewritten(backup, **{name: value})
    refused(backup, daemon, why)


@pytest.mark.parametrize(
    "text", ["", "[]", "7", "{", "\0", '{"format": "visionflow-backup"}', "[" * 200_000, "x" * 2_000_000]
)
def test_what_is_no_manifest_is_told(backup: Backup, daemon: Daemon, text: str) -> None:
    backup.manifest_path.write_text(text)
    refused(backup, daemon, "no manifest of a backup")


def test_a_manifest_of_another_backup_and_a_missing_one_are_told(backup: Backup, daemon: Daemon) -> None:
    backup.manifest_path.rename(backup.manifest_path.with_name("kg.db.20200101T000000.000Z.gz.json"))
    refused(backup, daemon, "lacks its manifest")
    backup.manifest_path.write_text((backup.path.parent / "kg.db.20200101T000000.000Z.gz.json").read_text())
    moved = backup.path.rename(backup.path.with_name("kg.db.20200101T000000.000Z.gz"))
    with pytest.raises(DatabaseError, match="is the one of"):
        restore(moved, daemon.folder / "else.db", Rules())


def test_a_bomb_writes_no_more_than_it_announces() -> None:
    """200 MB of zeros in 200 kB: each of these is ended by the first piece, or at the size that is announced."""
    pages = 1_000
    zeros = HEADER + pages.to_bytes(4, "big") + bytes(200_000_000)
    bomb = gzip.compress(zeros, 1)
    for wanted, why in (
        (Digest(len(zeros), sha256(zeros).hexdigest()), "holds no SQLite database of"),
        (Digest(4_096 * pages, "0" * 64), "unpacks to more than the 4,096,000 bytes"),
    ):
        written: list[int] = []
        with pytest.raises(DatabaseError, match=why):
            archive.unpack(io.BytesIO(bomb), wanted, Path("bomb.gz"), lambda data, to=written: to.append(len(data)))
        assert sum(written) <= wanted.bytes if "more" in why else not written


def test_a_list_goes_on_past_what_is_odd(backup: Backup, daemon: Daemon) -> None:
    (backup.path.parent / "kg.db.20200101T000000.000Z.gz").mkdir()
    (backup.path.parent / "kg.db.20200101T000001.000Z.gz").write_text("x")
    ran = daemon.run("backup", "--list", "--json", "--database", "kg.db")
    assert ran.code == 0
    assert [each["name"] for each in ran.json["backups"]] == [backup.path.name]
    assert len(ran.json["odd"]) == 2
    (listed,) = ran.json["backups"]
    text = json.loads(backup.manifest_path.read_text())
    assert listed["content"] == text["content"]
    assert listed["taken_at"] == text["taken_at"]
