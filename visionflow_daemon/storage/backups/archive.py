"""Packs a database into a gzip file, and unpacks it: no more than is announced, and proven byte by byte."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from visionflow_daemon.errors import DatabaseError
from visionflow_daemon.storage.backup import Told, untold
from visionflow_daemon.storage.backups.manifest import Digest
from visionflow_daemon.storage.sqlite import SQLITE_HEADER

CHUNK = 1 << 20
LEVEL = 6
"""Level 9 takes twice the time for a file that is a hundredth smaller (ADR 0028)."""


class _Counted:
    """A file to write to, which counts and hashes what is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = sha256()
        self._bytes = 0

    def write(self, data: bytes) -> int:
        """Write all of it."""
        self._file.write(data)
        self._hash.update(data)
        self._bytes += len(data)
        return len(data)

    def flush(self) -> None:
        """Leave it to whoever opened the file."""

    def digest(self) -> Digest:
        """Give what was written so far."""
        return Digest(self._bytes, self._hash.hexdigest())


def pack(source: Path, target: Path, told: Told = untold) -> tuple[Digest, Digest]:
    """Pack a file into one that isn't there yet, and bring it to the disk; give the digests of archive and content."""
    of = source.stat().st_size
    content, done = sha256(), 0
    with source.open("rb") as file, target.open("xb") as packed:
        target.chmod(0o600)
        counted = _Counted(packed)
        # Neither a name nor a time: equal content makes equal archives.
        with gzip.GzipFile("", "wb", LEVEL, counted, mtime=0) as archive:
            while chunk := file.read(CHUNK):
                told("compressing", done, of)
                content.update(chunk)
                archive.write(chunk)
                done += len(chunk)
        packed.flush()
        os.fsync(packed.fileno())
    return counted.digest(), Digest(done, content.hexdigest())


def require_digest(file: BinaryIO, wanted: Digest, name: Path, told: Told = untold) -> None:
    """Read a file to its end. Raises DatabaseError unless it is what the digest says."""
    found, done = sha256(), 0
    while chunk := file.read(CHUNK):
        done += len(chunk)
        if done > wanted.bytes:
            break
        told("checking the archive", done, wanted.bytes)
        found.update(chunk)
    if done != wanted.bytes:
        more = "more" if done > wanted.bytes else "less"
        raise DatabaseError(f"{name} is damaged: it has {more} than the {wanted.bytes:,} bytes of its manifest")
    if found.hexdigest() != wanted.sha256:
        raise DatabaseError(f"{name} is damaged: its SHA-256 is {found.hexdigest()}, by its manifest {wanted.sha256}")


def unpack(file: BinaryIO, wanted: Digest, name: Path, write: Callable[[bytes], object], told: Told = untold) -> None:
    """Unpack an archive piece by piece. Raises DatabaseError unless what comes out is the database that is announced.

    A file of a few bytes may unpack to very many: no more is written than the digest says, and of what doesn't begin as
    a database of that size, nothing.
    """
    found, done = sha256(), 0
    with gzip.GzipFile(fileobj=file) as archive:
        while chunk := _next(archive, name):
            if not done:
                _require_header(chunk, wanted, name)
            done += len(chunk)
            if done > wanted.bytes:
                raise DatabaseError(f"{name} unpacks to more than the {wanted.bytes:,} bytes of its manifest")
            told("unpacking", done, wanted.bytes)
            found.update(chunk)
            write(chunk)
    if Digest(done, found.hexdigest()) != wanted:
        raise DatabaseError(f"{name} does not unpack to what its manifest says: {done:,} bytes of another content")


def _next(archive: gzip.GzipFile, name: Path) -> bytes:
    try:
        return archive.read(CHUNK)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DatabaseError(f"{name} is damaged: {error}") from error


def _require_header(chunk: bytes, wanted: Digest, name: Path) -> None:
    page_size = int.from_bytes(chunk[16:18], "big")
    page_size = 65_536 if page_size == 1 else page_size
    pages = int.from_bytes(chunk[28:32], "big")
    if not chunk.startswith(SQLITE_HEADER) or page_size * pages != wanted.bytes:
        raise DatabaseError(f"{name} holds no SQLite database of {wanted.bytes:,} bytes")
