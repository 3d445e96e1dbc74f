"""Tables of plain text: the same on a terminal and in a file."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

import click

from visionflow_daemon.model import escaped_json, harmless


def lines(rows: Iterable[Sequence[object]], header: Sequence[str] = ()) -> list[str]:
    """Align rows in columns, two blanks apart; numbers, unlike texts of digits, stand to the right."""
    cells = [list(row) for row in rows]
    shown = [[harmless(_text(cell)) for cell in row] for row in cells]
    widths = [max(map(_width, column)) for column in zip(*([header] if header else []), *shown, strict=True)]
    done = [[_pad(text, width) for text, width in zip(header, widths, strict=True)]] if header and shown else []
    for row, texts in zip(cells, shown, strict=True):
        done.append([_pad(*each) for each in zip(texts, widths, map(_is_number, row), strict=True)])
    return ["  ".join(row).rstrip() for row in done]


def echo(rows: Iterable[Sequence[object]], header: Sequence[str] = (), *, err: bool = False) -> None:
    """Print rows as a table."""
    for line in lines(rows, header):
        click.echo(line, err=err)


def complain(message: str) -> None:
    """Print an error for people; where nobody listens any more, the exit code must do."""
    with suppress(OSError):
        for line in message.splitlines():
            click.echo(f"visionflow-daemon: {harmless(line)}", err=True)


def echo_json(value: Any) -> None:  # noqa: ANN401 - whatever json takes
    """Print a value as JSON, for people and for programs."""
    click.echo(escaped_json(json.dumps(value, indent=2, ensure_ascii=not _speaks_utf8())))


def _speaks_utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def _text(cell: object) -> str:
    if cell is None:
        return "-"
    return f"{cell:,}" if _is_number(cell) else str(cell)


def _width(cell: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in cell)


def _is_number(cell: object) -> bool:
    return isinstance(cell, int) and not isinstance(cell, bool)


def _pad(text: str, width: int, is_number: bool = False) -> str:  # noqa: FBT001, FBT002 - told apart by its place in a row
    blanks = " " * (width - _width(text))
    return blanks + text if is_number else text + blanks
