"""A file's bytes as lines of text, and how deep the JSON in it nests."""

from __future__ import annotations

from typing import Any

from visionflow_daemon.errors import PageError

LFS_POINTER = b"version https://git-lfs.github.com/spec/"


def decode(data: bytes) -> str:
    """Read a page's bytes as UTF-8 text with plain line feeds, without a byte-order mark.

    Raises PageError for a binary file, for bytes that are not UTF-8 (with their line), and for a git-lfs pointer.
    """
    if data.startswith(LFS_POINTER):
        raise PageError("this is a git-lfs pointer, not the page: fetch its content with git-lfs, or exclude it", 1)
    if b"\0" in data:
        raise PageError("binary content: the file holds NUL bytes", data[: data.index(b"\0")].count(b"\n") + 1)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise PageError(f"not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}", line) from None
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text


def title_of(path: bytes) -> str:
    """Give a page's title: its file's name without the suffix."""
    name = path.rsplit(b"/", 1)[-1].decode("utf-8", "replace")
    stem, dot, suffix = name.rpartition(".")
    return stem if dot and stem and " " not in suffix else name


def line_of(text: str, offset: int) -> int:
    """Count the line, from 1, on which a character offset lies."""
    return text.count("\n", 0, offset) + 1


def is_deeper(value: Any, depth: int) -> bool:  # noqa: ANN401 - any JSON
    """Tell whether JSON nests deeper than a limit."""
    level = [value]
    for _ in range(depth + 1):
        level = [
            item
            for each in level
            if isinstance(each, dict | list)
            for item in (each.values() if isinstance(each, dict) else each)
            if isinstance(item, dict | list)
        ]
        if not level:
            return False
    return True
