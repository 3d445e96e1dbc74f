"""What a worker thread has one of, for all the passes that it works for: a connection, a child process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

Key = TypeVar("Key")
Thing = TypeVar("Thing")


@dataclass(slots=True)
class _Held(Generic[Thing]):
    held: AbstractContextManager[Thing]
    thing: Thing
    users: int = 0


class PerThread(Generic[Key, Thing]):
    """Gives each thread a thing of its own, made for who needs it there first, and let go of after the last."""

    def __init__(self) -> None:
        self._here = threading.local()

    @contextmanager
    def of(self, key: Key, make: Callable[[], AbstractContextManager[Thing]]) -> Iterator[Thing]:
        """Have this thread's thing while the block runs; things of different keys are different things."""
        here: dict[Key, _Held[Thing]] = self._here.__dict__.setdefault("things", {})
        mine = here.get(key)
        if mine is None:
            held = make()
            mine = here[key] = _Held(held, held.__enter__())
        mine.users += 1
        try:
            yield mine.thing
        finally:
            mine.users -= 1
            if not mine.users:
                del here[key]
                mine.held.__exit__(None, None, None)
