"""Notices new commits on a branch of a repository on this machine, by the file system's events or by looking."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from pathlib import Path

import structlog
from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

from visionflow_daemon.errors import VisionflowError
from visionflow_daemon.git.repository import find_local, open_repository

log = structlog.get_logger()

DEBOUNCE = 0.1
"""Seconds from the first event to the look: git touches several files for one commit."""

BESIDE_EVENTS = 5
"""How many times slower than `poll` to look where events come: they may be lost (a full queue, too few watches)."""

EXHAUSTED = (errno.ENOSPC, errno.EMFILE)
"""What inotify says when there are no more watches, or instances, to be had."""

EVENTS: list[type[FileSystemEvent]] = [  # those of writing: to read the branch, as we do, must not wake us again
    *(FileCreatedEvent, FileModifiedEvent, FileClosedEvent, FileMovedEvent, FileDeletedEvent),
    *(DirCreatedEvent, DirMovedEvent, DirDeletedEvent),
]


class Watch(FileSystemEventHandler):
    """Watches one branch, until it is closed; `tell` is called with a reason whenever it names another commit.

    Events are hints: the branch is looked at, also every few `poll` seconds beside them, and every `poll` seconds
    where no events are to be had.
    """

    def __init__(self, location: str, branch: str | None, base: Path, poll: float, tell: Callable[[str], None]) -> None:
        self._location = location
        self._branch = branch
        self._base = base
        self._poll = poll
        self._tell = tell
        self._hint = threading.Event()
        self._closed = threading.Event()
        self._observer: BaseObserver | None = None
        self._watched: list[tuple[Path, int, int]] = []
        self._is_polling = False
        self._arm()
        self._commit = self._look()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the watching."""
        self._closed.set()
        self._hint.set()
        self._thread.join()
        self._disarm()

    def on_any_event(self, event: FileSystemEvent) -> None:  # noqa: ARG002 - any will do
        """Take an event as a hint to look."""
        self._hint.set()

    def _run(self) -> None:
        while not self._closed.is_set():
            if self._hint.wait(self._poll if self._observer is None else self._poll * BESIDE_EVENTS):
                self._closed.wait(DEBOUNCE)
                self._hint.clear()
            if self._closed.is_set():
                return
            if not self._is_polling and not self._is_armed():
                self._disarm()
                self._arm()
            commit = self._look()
            if commit != self._commit:
                self._commit = commit
                self._tell(f"commit {commit[:12]}" if commit else "the branch can't be read")

    def _look(self) -> str | None:
        """Give the branch's commit; None where there is none that can be read, which a pass will find the words for."""
        try:
            return find_local(self._location, self._branch, self._base).commit
        except (VisionflowError, OSError):
            return None

    def _arm(self) -> None:
        """Ask for events of all places in which a branch may be written."""
        try:
            path = (self._base / Path(self._location).expanduser()).resolve()
            watched = [(place, *_node(place)) for place in _places(path)]
        except (VisionflowError, OSError):
            return  # no repository there, yet: it is looked for again
        observer: BaseObserver | None = None
        try:
            observer = Observer()
            for place, *_ in watched:
                observer.schedule(self, str(place), recursive=place.name == "heads", event_filter=EVENTS)
            observer.start()
        except OSError as error:
            self._is_polling = error.errno in EXHAUSTED
            if observer is not None:
                _end(observer)
            if self._is_polling:
                log.warning(
                    "changes are not reported",
                    path=str(path),
                    reason=f"{error.strerror or error}: raise fs.inotify.max_user_watches or max_user_instances",
                    seconds=self._poll,
                )
            return
        self._observer, self._watched = observer, watched

    def _is_armed(self) -> bool:
        """Tell whether the places that are watched are still there: a repository made anew is another one."""
        try:
            return self._observer is not None and all(
                (place, *_node(place)) in self._watched for place, *_ in self._watched
            )
        except OSError:
            return False

    def _disarm(self) -> None:
        observer, self._observer = self._observer, None
        if observer is not None:
            _end(observer)


def _places(path: Path) -> list[Path]:
    """Give the folders that hold a repository's HEAD, its packed branches, and its branches."""
    repository = open_repository(path)
    try:
        own = Path(repository.path)
    finally:
        repository.free()
    shared = own
    if (own / "commondir").is_file():  # a linked worktree: its HEAD is its own, the branches are everybody's
        shared = (own / (own / "commondir").read_text("utf-8").strip()).resolve()
    return list(dict.fromkeys((own.resolve(), shared.resolve(), shared.resolve() / "refs" / "heads")))


def _node(place: Path) -> tuple[int, int]:
    found = place.stat()
    return found.st_dev, found.st_ino


def _end(observer: BaseObserver) -> None:
    observer.unschedule_all()
    if observer.is_alive():
        observer.stop()
        observer.join()
