"""The folder that holds a database's backups: each an archive and, beside it, its manifest."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from visionflow_daemon.errors import DatabaseError
from visionflow_daemon.storage.backup import to_disk
from visionflow_daemon.storage.backups import manifest as manifests
from visionflow_daemon.storage.backups.manifest import MANIFEST_ENDING, NAME, Manifest
from visionflow_daemon.storage.backups.rotation import Rotation, spared
from visionflow_daemon.storage.backups.workshop import workshop


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that is there: its archive, and what its manifest says."""

    path: Path
    manifest: Manifest

    @property
    def manifest_path(self) -> Path:
        """The manifest, which is beside it."""
        return manifest_path(self.path)


@dataclass(frozen=True, slots=True)
class Stock:
    """What lies in the folder: the database's backups, the oldest first, and what is wrong with others of its name."""

    backups: tuple[Backup, ...]
    oddities: tuple[str, ...]


class Shelf:
    """The backups of one database in one folder; the folder is made with the first one."""

    def __init__(self, folder: Path, database: Path) -> None:
        self.folder = folder
        self.database = database.resolve()

    def stock(self) -> Stock:
        """Look at what there is. A backup counts when both its files are there, and the archive is of its size."""
        backups, oddities = [], []
        for path in self._archives():
            try:
                found = look(path)
            except DatabaseError as error:
                oddities.append(str(error))
                continue
            if found.manifest.database != str(self.database):
                oddities.append(f"{path} is a backup of another database: {found.manifest.database}")
            else:
                backups.append(found)
        return Stock(tuple(backups), tuple(oddities))

    def newest(self, now: datetime) -> Backup | None:
        """Give the newest backup, none that was taken in the future while a clock was wrong."""
        return next((each for each in reversed(self.stock().backups) if each.manifest.taken_at <= now), None)

    def workshop(self) -> AbstractContextManager[Path]:
        """Give a folder to make a backup in. Raises LockedError while another one is made."""
        if not self.folder.is_dir():
            try:
                self.folder.mkdir(mode=0o700)
            except OSError as error:
                raise DatabaseError(f"can't make the folder {self.folder}: {error.strerror}") from error
        return workshop(self.folder, f"{self.database.name}.part", "a backup")

    def free_moment(self, now: datetime) -> datetime:
        """Give the first moment from now on of which no backup has its name."""
        moment = now.astimezone(UTC)
        moment = moment.replace(microsecond=moment.microsecond // 1_000 * 1_000)
        while self._place(moment).exists() or manifest_path(self._place(moment)).exists():
            moment += timedelta(milliseconds=1)
        return moment

    def put(self, archive: Path, manifest: Manifest) -> Backup:
        """Put a backup that is whole, and on the disk, into the folder; to be called in the workshop.

        The archive's name is the last to appear: with it the backup is there.
        """
        backup = Backup(self.folder / manifest.name, manifest)
        draft = archive.with_name("manifest")
        draft.write_text(manifest.text(), "ascii")
        draft.chmod(0o600)
        to_disk(draft)
        draft.rename(backup.manifest_path)
        to_disk(self.folder)
        archive.rename(backup.path)
        to_disk(self.folder)
        return backup

    def rotate(self, rotation: Rotation, now: datetime) -> list[Backup]:
        """Delete the backups that are not kept, and what killed processes left of some; give those deleted.

        Of other files nothing is deleted, whatever their names. To be called in the workshop.
        """
        backups = self.stock().backups
        kept = spared((each.manifest.taken_at for each in backups), rotation, now)
        gone = [each for each in backups if each.manifest.taken_at not in kept]
        for each in gone:
            each.path.unlink(missing_ok=True)
            each.manifest_path.unlink(missing_ok=True)
        self._clear_manifests()
        return gone

    def _clear_manifests(self) -> None:
        """Delete manifests of this database whose archive never came, or is deleted."""
        for path in self.folder.glob(f"*{MANIFEST_ENDING}"):
            archive = path.with_name(path.name.removesuffix(".json"))
            if self._is_name(archive.name) and not archive.exists():
                try:
                    is_ours = manifests.read(path).database == str(self.database)
                except DatabaseError:
                    continue
                if is_ours:
                    path.unlink(missing_ok=True)

    def _archives(self) -> list[Path]:
        try:
            return sorted(path for path in self.folder.iterdir() if self._is_name(path.name))
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise DatabaseError(f"can't look into the folder {self.folder}: {error.strerror}") from error

    def _is_name(self, name: str) -> bool:
        found = NAME.fullmatch(name)
        return found is not None and found["database"] == self.database.name

    def _place(self, moment: datetime) -> Path:
        return self.folder / manifests.name_of(self.database.name, moment)


def look(path: Path) -> Backup:
    """Give the backup whose archive is at a place. Raises DatabaseError with what is wrong with it, or its manifest."""
    if not path.is_file():
        raise DatabaseError(f"there is no backup at {path}")
    if not manifest_path(path).is_file():
        raise DatabaseError(
            f"{path} lacks its manifest {manifest_path(path).name}: put it beside, or unpack the archive by gunzip, "
            "and give the file that comes of it"
        )
    found = manifests.read(manifest_path(path))
    size = path.stat().st_size
    if size != found.archive.bytes:
        raise DatabaseError(f"{path} is damaged: it has {size:,} bytes, by its manifest {found.archive.bytes:,}")
    return Backup(path, found)


def manifest_path(archive: Path) -> Path:
    """Name the manifest of an archive."""
    return archive.with_name(f"{archive.name}.json")
