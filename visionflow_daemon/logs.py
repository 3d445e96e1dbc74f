"""Logging: one structlog event a line, JSON for machines, columns for people (docs/logging.md)."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from io import TextIOWrapper
from typing import Any, TextIO

import orjson
import structlog

from visionflow_daemon.model import harmless

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
SURROGATE = re.compile("[\ud800-\udfff]")
LARGEST = 1 << 63
"""Beyond it, no integer is one for all who read JSON."""

# Without local variables: they may hold a secret.
TRACEBACKS = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))


class LineSink:
    """Where log lines go: a stream, until a progress bar on the same terminal takes them over.

    Writing a line never raises: who reads the log may be gone, or its disk full, and no file is to fail for that.
    """

    one_at_a_time = threading.Lock()
    """Lines are written whole: long ones of several threads would mix. Of all sinks: a new one may meet lines for the
    old one, where logging is set up anew."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.divert: Callable[[str], None] | None = None
        self.lost = 0
        """How many lines could not be written."""

    def msg(self, line: str) -> None:
        """Write one line, whole."""
        with self.one_at_a_time:
            try:
                if self.divert is not None:
                    self.divert(line)
                else:
                    self.stream.write(line + "\n")
                    self.stream.flush()
            except (OSError, ValueError) as error:
                self._lose(error)

    def _lose(self, error: Exception) -> None:
        self.lost += 1
        if self.lost > 1:
            return
        reason = getattr(error, "strerror", None) or error
        with suppress(OSError, ValueError):
            sys.stderr.write(f"visionflow-daemon: the log can't be written ({reason}); the work goes on without it\n")
            sys.stderr.flush()

    debug = info = warning = error = critical = exception = msg


def configure(log_format: str, level: str, *, to_stderr: bool = False) -> LineSink:
    """Set up logging for the process; `auto` means console on a terminal and JSON elsewhere."""
    sink = LineSink(sys.stderr if to_stderr else sys.stdout)
    for_people = log_format == "console" or (log_format == "auto" and sink.stream.isatty())
    renderer: Any = structlog.processors.JSONRenderer(serializer=_json)
    if for_people:
        renderer = structlog.dev.ConsoleRenderer(
            colors=sink.stream.isatty(), pad_event_to=24, exception_formatter=structlog.dev.plain_traceback
        )
    if isinstance(sink.stream, TextIOWrapper):  # JSON is UTF-8, whatever the locale says
        with sink.one_at_a_time:
            sink.stream.reconfigure(encoding=None if for_people else "utf-8", errors="backslashreplace")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([] if for_people else [TRACEBACKS]),
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(LEVELS[level]),
        logger_factory=lambda *_: sink,
        cache_logger_on_first_use=False,
    )
    return sink


def _json(event: dict[str, Any], **_: Any) -> str:  # noqa: ANN401 - structlog's serializer takes what json.dumps takes
    options = orjson.OPT_NON_STR_KEYS
    try:
        line = orjson.dumps(event, default=str, option=options).decode()
    except TypeError:  # a text that is not Unicode, or a number beyond JSON's: a log line is not what a pass fails for
        line = orjson.dumps(_plain(event), option=options).decode()
    # Whatever may end a line, or control a terminal, is escaped, beside what JSON asks for: it stands in strings alone.
    return line if line.isprintable() else "".join(map(_escaped, line))


def _plain(value: object) -> object:
    """Make of a value one that JSON has: what it has not becomes text, with the bytes that are not Unicode escaped."""
    match value:
        case dict():
            return {_plain(str(key)): _plain(each) for key, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case None | bool() | float():
            return value
        case int() if abs(value) < LARGEST:
            return int(value)
    return SURROGATE.sub(lambda found: harmless(found[0]), str(value))


def _escaped(character: str) -> str:
    if character.isprintable():
        return character
    # One escape for each unit of UTF-16, as JSON has it.
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
