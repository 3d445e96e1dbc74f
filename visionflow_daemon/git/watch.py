"""Notices that a branch, or files on disk, have changed: by the file system's events, and by looking."""

from __future__ import annotations

import errno
import logging
import re
import threading
from collections.abc import Callable
from contextlib import suppress
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

from visionflow_daemon.errors import MORE_TASKS
from visionflow_daemon.git.watched import Places, Watched

log = structlog.get_logger()

# It complains of lost events on standard error, among lines of JSON; they are made up for here.
logging.getLogger("watchdog").setLevel(logging.CRITICAL)

DEBOUNCE = 0.1
"""Seconds from the first event to the look: git touches several files for one commit."""

BESIDE_EVENTS = 5
"""How many times slower than `poll` to look where events come: they may be lost (a full queue, too few watches)."""

MOST_ARMINGS = 5
"""How often to watch anew while folders come and go; beyond, the slow look finds what is missed."""

INOTIFY = "anon_inode:inotify"
INODE = re.compile(r"^inotify .*\bino:([0-9a-f]+)", re.MULTILINE)

EXHAUSTED = (errno.ENOSPC, errno.EMFILE)
"""What inotify says when there are no more watches, or instances, to be had."""

MORE_WATCHES = "raise fs.inotify.max_user_watches or max_user_instances"

EVENTS: list[type[FileSystemEvent]] = [  # those of writing: to read what is watched, as we do, must not wake us again
    *(FileCreatedEvent, FileModifiedEvent, FileClosedEvent, FileMovedEvent, FileDeletedEvent),
    *(DirCreatedEvent, DirMovedEvent, DirDeletedEvent),
]


class Watch(FileSystemEventHandler):
    """Watches something, until it is closed; `tell` is called with a reason whenever it looks different.

    Events are hints: it is looked at, also every few `poll` seconds beside them, and every `poll` seconds where no
    events are to be had, or not of all folders. Raises RuntimeError where no thread can be had to look.
    """

    def __init__(self, watched: Watched, poll: float, tell: Callable[[str], None]) -> None:
        self._subject = watched
        self._poll = poll
        self._tell = tell
        self._hint = threading.Event()
        self._closed = threading.Event()
        self._observer: BaseObserver | None = None
        self._watched = Places()
        self._is_polling = False
        self._arm()
        self._seen = self._subject.look()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        try:
            self._thread.start()
        except BaseException:
            self._disarm()
            raise

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
            seen = self._subject.look()
            if seen != self._seen:
                self._seen = seen
                self._tell(self._subject.told(seen))

    def _arm(self) -> None:
        """Ask for events of all places in which something may change, until none has come meanwhile."""
        for _ in range(MOST_ARMINGS):
            self._disarm()
            places = self._subject.places()
            if not places:
                return  # no repository there, yet: it is looked for again
            try:
                self._schedule(places)
            except OSError as error:
                if error.errno in EXHAUSTED:
                    self._poll_only(f"{error.strerror or error}: {MORE_WATCHES}")
                return
            except RuntimeError as error:  # no thread can be started
                self._poll_only(f"{error}: {MORE_TASKS}")
                return
            if self._is_armed():
                return
        if self._watched.whole:  # the system says nothing where it runs out below a folder that is watched as a whole
            self._poll_only(f"not all folders can be watched: {MORE_WATCHES}")

    def _poll_only(self, reason: str) -> None:
        self._is_polling = True
        self._disarm()
        log.warning(
            "changes are not reported",
            path=str(self._subject.name),
            reason=reason,
            seconds=self._poll,
        )

    def _schedule(self, places: Places) -> None:
        """Watch each place: where folders come and go often by itself, for below a whole one events may get lost."""
        observer: BaseObserver | None = None
        try:
            observer = Observer()
            for place in sorted(places.single):
                observer.schedule(self, str(place), event_filter=EVENTS)
            for place in sorted(places.whole):
                observer.schedule(self, str(place), recursive=True, event_filter=EVENTS)
            observer.start()
        except (OSError, RuntimeError):
            if observer is not None:
                _end(observer)
            raise
        self._observer, self._watched = observer, places

    def _is_armed(self) -> bool:
        """Tell whether all that is to be watched is: folders come and go, and one made anew is another one."""
        if self._observer is None:
            return False
        places = self._subject.places()
        if (places.single, places.whole) != (self._watched.single, self._watched.whole):
            return False
        nodes = watched_nodes()
        if nodes is None or not nodes & places.nodes:  # it can't be told here
            return places.nodes == self._watched.nodes
        return places.nodes <= nodes

    def _disarm(self) -> None:
        observer, self._observer = self._observer, None
        if observer is not None:
            _end(observer)


def watched_nodes() -> set[int] | None:
    """Give the inodes that this process has watches on, as Linux tells it; None where it does not.

    See "inotify files" in https://docs.kernel.org/filesystems/proc.html.
    """
    found: set[int] = set()
    try:
        descriptors = list(Path("/proc/self/fd").iterdir())
    except OSError:
        return None
    for descriptor in descriptors:
        with suppress(OSError, ValueError):
            if str(descriptor.readlink()) == INOTIFY:
                told = (Path("/proc/self/fdinfo") / descriptor.name).read_text("ascii")
                found.update(int(node, 16) for node in INODE.findall(told))
    return found


def _end(observer: BaseObserver) -> None:
    observer.unschedule_all()
    if observer.is_alive():
        observer.stop()
        observer.join()
