"""Notices new commits on a branch of a repository on this machine, by the file system's events or by looking."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pygit2
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

MOST_ARMINGS = 5
"""How often to watch anew while folders come and go; beyond, the slow look finds what is missed."""

Places = dict[Path, tuple[int, int]]

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
        self._watched: Places = {}
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
        """Ask for events of all places in which the branch may be written, until none has come meanwhile."""
        for _ in range(MOST_ARMINGS):
            self._disarm()
            places = self._places()
            if not places:
                return  # no repository there, yet: it is looked for again
            try:
                self._schedule(places)
            except OSError as error:
                self._is_polling = error.errno in EXHAUSTED
                if self._is_polling:
                    log.warning(
                        "changes are not reported",
                        path=str(self._base / self._location),
                        reason=f"{error.strerror or error}: raise fs.inotify.max_user_watches or max_user_instances",
                        seconds=self._poll,
                    )
                return
            if self._is_armed():
                return

    def _schedule(self, places: Places) -> None:
        """Watch each place by itself: below one that is watched with all beneath it, events get lost in silence."""
        observer: BaseObserver | None = None
        try:
            observer = Observer()
            for place in places:
                observer.schedule(self, str(place), event_filter=EVENTS)
            observer.start()
        except OSError:
            if observer is not None:
                _end(observer)
            raise
        self._observer, self._watched = observer, places

    def _is_armed(self) -> bool:
        """Tell whether all that is to be watched is: folders come and go, and one made anew is another one."""
        return self._observer is not None and self._places() == self._watched

    def _places(self) -> Places:
        """Give the folders in which the branch may be written, each with what tells it from another; none for none."""
        try:
            path = (self._base / Path(self._location).expanduser()).resolve()
            return {place: _node(place) for place in _folders(path, self._branch)}
        except (VisionflowError, OSError, pygit2.GitError, KeyError):
            return {}

    def _disarm(self) -> None:
        observer, self._observer = self._observer, None
        if observer is not None:
            _end(observer)


def _folders(path: Path, branch: str | None) -> Iterator[Path]:
    """Give the folders that hold a repository's HEAD, its packed branches, and the branch by itself."""
    repository = open_repository(path)
    try:
        own = Path(repository.path)
        name = f"refs/heads/{branch}" if branch else repository.lookup_reference("HEAD").target
    finally:
        repository.free()
    shared = own
    if (own / "commondir").is_file():  # a linked worktree: its HEAD is its own, the branches are everybody's
        shared = own / (own / "commondir").read_text("utf-8").strip()
    yield own.resolve()
    yield shared.resolve()
    folder = shared.resolve() / "refs" / "heads"
    yield folder
    if isinstance(name, str):  # else HEAD names a commit
        for part in name.split("/")[2:-1]:
            folder /= part
            if not folder.is_dir():
                return
            yield folder


def _node(place: Path) -> tuple[int, int]:
    found = place.stat()
    return found.st_dev, found.st_ino


def _end(observer: BaseObserver) -> None:
    observer.unschedule_all()
    if observer.is_alive():
        observer.stop()
        observer.join()
