"""Writes values for a page: text that stays text, numbers, and times as people say them."""

from __future__ import annotations

from datetime import UTC, datetime
from html import escape

from visionflow_daemon.ops.standing import shown

UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"))


def escaped(text: str) -> str:
    """Make a text from anywhere safe within HTML, quoted attributes included."""
    return escape(shown(text), quote=True)


def number(value: float) -> str:
    """Write a whole number in groups of three."""
    return f"{value:,.0f}"


def share(part: float, whole: float) -> str:
    """Write a part of a whole; it is all of it only when nothing is missing."""
    return f"{int(100 * part / whole) if whole else 100} %"


def span(seconds: float) -> str:
    """Write a stretch of time in its two largest units."""
    left = max(round(seconds), 0)
    for place, (size, unit) in enumerate(UNITS):
        if left >= size:
            rest = left % size
            smaller, name = UNITS[place + 1] if place + 1 < len(UNITS) else (1, "s")
            return f"{left // size} {unit}" + (f" {rest // smaller} {name}" if rest // smaller else "")
    return f"{left} s"


def ago(moment: datetime | None, now: datetime) -> str:
    """Say how long ago a moment was."""
    return "never" if moment is None else f"{span((now - moment).total_seconds())} ago"


def ahead(moment: datetime | None, now: datetime) -> str:
    """Say in how long a moment comes."""
    if moment is None:
        return "not planned"
    left = (moment - now).total_seconds()
    return f"in {span(left)}" if left > 0 else "now"


def at(told: str | None, now: datetime) -> str:
    """Say in how long a moment comes that is told as text; what is no moment is given as it is."""
    try:
        moment = datetime.fromisoformat(told) if told else None
    except ValueError:
        moment = None
    return told if told and (moment is None or moment.tzinfo is None) else ahead(moment, now)


def minute(told: str | None) -> str:
    """Write a moment that is told as text as people read it within a year: to the minute, in UTC."""
    return told[5:16].replace("T", " ") if told else "?"


def clock(moment: datetime) -> str:
    """Write a moment as people read it, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
