"""The line that systemd shows of the service: what goes on over all sources, in so few words that it stays a line."""

from __future__ import annotations

import threading

from visionflow_daemon.ops.systemd import Notify

LONGEST = 600
LONGEST_PART = 200
"""Characters of the line, and of what it says of one source."""


class Status:
    """Tells what is done about each source, or how its last pass ended; from any thread."""

    def __init__(self, notify: Notify) -> None:
        self._notify = notify
        self._lock = threading.Lock()
        self._doing: dict[str, str] = {}
        self._fine: dict[str, str] = {}
        self._troubled: dict[str, str] = {}

    def begins(self, ontology_id: str) -> None:
        """Say that a pass begins."""
        with self._lock:
            self._clear(ontology_id)
            self._doing[ontology_id] = ontology_id
            self._tell()

    def moves(self, ontology_id: str, done: int, files: int) -> None:
        """Say how far a pass has come."""
        with self._lock:
            if ontology_id in self._doing:
                self._doing[ontology_id] = f"{ontology_id}: {done} of {files} files"
                self._tell(is_progress=True)

    def fine(self, ontology_id: str, words: str) -> None:
        """Say how a source is doing: well."""
        with self._lock:
            self._clear(ontology_id)
            self._fine[ontology_id] = words
            self._tell()

    def troubled(self, ontology_id: str, words: str) -> None:
        """Say what ails a source."""
        with self._lock:
            self._clear(ontology_id)
            self._troubled[ontology_id] = words
            self._tell()

    def forget(self, ontology_id: str) -> None:
        """Say nothing of a source any more."""
        with self._lock:
            self._clear(ontology_id)
            self._tell()

    def _clear(self, ontology_id: str) -> None:
        for words in (self._doing, self._fine, self._troubled):
            words.pop(ontology_id, None)

    def _tell(self, *, is_progress: bool = False) -> None:
        troubled = list(self._troubled.values())
        if self._doing:
            line = f"syncing {_joined([*self._doing.values(), *troubled])}"
        else:  # what ended last is the news
            line = f"waiting; {_joined([*reversed(troubled), *reversed(self._fine.values())])}"
        self._notify.status(line, is_progress=is_progress)


def _joined(parts: list[str]) -> str:
    """Put parts into one line, as many as it takes."""
    line = ""
    for at, part in enumerate(parts):
        cut = part if len(part) <= LONGEST_PART else f"{part[: LONGEST_PART - 1]}…"
        if line and len(line) + len(cut) > LONGEST:
            return f"{line}; and {len(parts) - at} more"
        line = f"{line}; {cut}" if line else cut
    return line
