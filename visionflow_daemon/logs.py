"""Logging: one structlog event a line, JSON for machines, columns for people."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO

import orjson
import structlog

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


# Without local variables: they may hold a secret.
TRACEBACKS = structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))


class LineSink:
    """Where log lines go: a stream, until a progress bar on the same terminal takes them over.

    Writing a line never raises: who reads the log may be gone, or its disk full, and no file is to fail for that.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.divert: Callable[[str], None] | None = None
        self.lost = 0
        """How many lines could not be written."""

    def msg(self, line: str) -> None:
        """Write one line."""
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
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
