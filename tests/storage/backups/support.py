"""What the tests of backups share: a database of our own, the backups of it, and what is wrong with some."""

from __future__ import annotations

import gzip
import json
import shutil
import sqlite3
import subprocess
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.support import Daemon, Repo, class_page
from visionflow_daemon.storage.backup import Told, untold
from visionflow_daemon.storage.backups.rotation import Rotation
from visionflow_daemon.storage.backups.shelf import Backup, Shelf
from visionflow_daemon.storage.backups.take import Now, take, utc_now
from visionflow_daemon.storage.sqlite import SqliteDatabase


def filled(repo: Repo, daemon: Daemon, name: str = "kg.db", classes: int = 20) -> Path:
    """Sync a few pages into a database."""
    repo.commit({f"p{number:03}.md": class_page(f"urn:t:{number}", f"P {number}") for number in range(classes)})
    daemon.once(repo.path, database=name)
    return daemon.folder / name


def backed_up(
    database: Path,
    folder: Path | None = None,
    rotation: Rotation | None = None,
    now: Now = utc_now,
    told: Told = untold,
) -> Backup:
    """Take a backup."""
    source = SqliteDatabase(database, read_only=True)
    try:
        return take(source, Shelf(folder or database.parent / "backups", database), rotation, told, now).backup
    finally:
        source.close()


def unpacked(backup: Backup, place: Path) -> Path:
    """Unpack a backup, and compare it with its manifest, by the tools that every system has."""
    shutil.copyfile(backup.path, place.with_name(f"{place.name}.gz"))
    place.unlink(missing_ok=True)
    subprocess.run(["gunzip", str(place.with_name(f"{place.name}.gz"))], check=True)
    for path, digest in ((backup.path, backup.manifest.archive), (place, backup.manifest.content)):
        said = subprocess.run(["sha256sum", str(path)], check=True, capture_output=True, text=True).stdout
        assert said.split()[0] == digest.sha256
        assert path.stat().st_size == digest.bytes
    return place


def rewritten(backup: Backup, holding: bytes | None = None, **changes: Any) -> Backup:  # noqa: ANN401 - any JSON
    """Give a backup another content, or its manifest other values, all checksums right but where they are given."""
    manifest = json.loads(backup.manifest_path.read_text())
    if holding is not None:
        archive = gzip.compress(holding)
        backup.path.write_bytes(archive)
        manifest["content"] = {"bytes": len(holding), "sha256": sha256(holding).hexdigest()}
        manifest["archive"] |= {"bytes": len(archive), "sha256": sha256(archive).hexdigest()}
    for name, value in changes.items():
        section, _, key = name.partition("__")
        if key:
            manifest[section][key] = value
        else:
            manifest[section] = value
    backup.manifest_path.write_text(json.dumps(manifest))
    return backup


def edited(database: Path, *statements: str) -> bytes:
    """Give the content of a database after some statements of another program, foreign keys off."""
    copy = database.with_name("edited.db")
    shutil.copyfile(database, copy)
    with closing(sqlite3.connect(copy, isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys = OFF")
        for statement in statements:
            connection.execute(statement)
        connection.execute("PRAGMA journal_mode = DELETE")
    content = copy.read_bytes()
    copy.unlink()
    return content


def damage(database: Path) -> None:
    """Spoil a table's first page: SQLite opens the database as if nothing were."""
    with closing(sqlite3.connect(database)) as connection:
        (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'owl_axioms'").fetchone()
    with database.open("r+b") as file:
        file.seek((page - 1) * 4_096)
        file.write(b"junk" * 1_024)


def names(folder: Path) -> list[str]:
    """Name all that lies in a folder."""
    return sorted(path.name for path in folder.iterdir())
