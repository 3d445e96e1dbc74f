"""Tables of plain text: the same on a terminal and in a file."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import click

from visionflow_daemon.model import harmless


def lines(rows: Iterable[Sequence[object]], header: Sequence[str] = ()) -> list[str]:
    """Align rows in columns, two blanks apart; numbers stand to the right."""
    shown = [[harmless(_text(cell)) for cell in row] for row in rows]
    if header and shown:
        shown.insert(0, list(header))
    widths = [max(map(_width, column)) for column in zip(*shown, strict=True)]
    return ["  ".join(_pad(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in shown]


def echo(rows: Iterable[Sequence[object]], header: Sequence[str] = (), *, err: bool = False) -> None:
    """Print rows as a table."""
    for line in lines(rows, header):
        click.echo(line, err=err)


def complain(message: str) -> None:
    """Print an error for people."""
    for line in message.splitlines():
        click.echo(f"visionflow-daemon: {harmless(line)}", err=True)


def echo_json(value: Any) -> None:  # noqa: ANN401 - whatever json takes
    """Print a value as JSON, for people and for programs."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=not _speaks_utf8()))


def _speaks_utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"


def _text(cell: object) -> str:
    if cell is None:
        return "-"
    return f"{cell:,}" if isinstance(cell, int) and not isinstance(cell, bool) else str(cell)


def _width(cell: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in cell)


def _pad(cell: str, width: int) -> str:
    blanks = " " * (width - _width(cell))
    return blanks + cell if cell.replace(",", "").replace(".", "", 1).isdigit() else cell + blanks
