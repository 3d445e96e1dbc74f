"""One thread of the pool: what it has open for each lane, and how it does a task."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import Context
from dataclasses import dataclass
from typing import Any, TypeVar

from visionflow_daemon.errors import SystemicError
from visionflow_daemon.sync.lane import Lane

Task = TypeVar("Task")


@dataclass(frozen=True, slots=True)
class _Opened:
    """What a worker has opened for a lane, and the context in which it works for it."""

    context: Context
    held: AbstractContextManager[Callable[[Any], None]]
    handle: Callable[[Any], None]


class Worker:
    """A thread that runs `work`. The pool's lock guards its state, but for what it has open, which is its own."""

    def __init__(self, number: int, work: Callable[[Worker], None], lock: threading.Lock) -> None:
        self.number = number
        self.thread = threading.Thread(target=work, args=(self,), name=f"worker-{number}", daemon=True)
        self.go = threading.Lock()
        """Released to call it from its rest, or to let it go on after a wait."""
        self.go.acquire()
        self.at: Lane[Any] | None = None
        self.is_new = True
        self.may_work = False
        self.is_called = False
        """Whether it was called for a task, and has not come to take it yet."""
        self.stands_by = False
        self.to_close: list[Lane[Any]] = []
        self._opened: dict[Lane[Any], _Opened] = {}
        self._lock = lock

    @property
    def is_alive(self) -> bool:
        """Whether its thread runs."""
        return self.thread.is_alive()

    @property
    def is_idle(self) -> bool:
        """Whether it has nothing in hand."""
        return self.at is None

    def do(self, lane: Lane[Task], task: Task) -> None:
        """Do a task; what goes wrong is a matter of its lane."""
        try:
            opened = self._opened.get(lane) or self._open(lane)
            opened.context.run(opened.handle, task)
        except MemoryError as error:
            self.close_all()
            try:
                lane.put_off(task, error)
            except SystemicError as failure:
                lane.fail(failure)
        except BaseException as error:  # noqa: BLE001 - the lane's feeder raises it again
            lane.fail(error)

    def close(self, lane: Lane[Any]) -> None:
        """Close what is open for a lane."""
        opened = self._opened.pop(lane, None)
        try:
            if opened is not None:
                opened.context.run(opened.held.__exit__, None, None, None)
        except BaseException as error:  # noqa: BLE001 - as above
            lane.fail(error)
        finally:
            with self._lock:
                lane.openers.discard(self)

    def close_all(self) -> None:
        """Let go of all that is open."""
        for lane in list(self._opened):
            self.close(lane)

    def _open(self, lane: Lane[Task]) -> _Opened:
        context, held = lane.context.copy(), lane.make_handler()
        opened = self._opened[lane] = _Opened(context, held, context.run(held.__enter__))
        with self._lock:
            lane.openers.add(self)
        return opened
