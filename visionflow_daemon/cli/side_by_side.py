"""Runs the passes of `--once` side by side: a source that is down keeps no other waiting for its deadline."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Result = TypeVar("Result")


class _Work(Generic[Result]):
    """One function, and what came of it."""

    def __init__(self, function: Callable[[], Result]) -> None:
        self._function = function
        self._result: list[Result] = []
        self._error: BaseException | None = None

    def do(self) -> None:
        """Run it."""
        try:
            self._result.append(self._function())
        except BaseException as error:  # noqa: BLE001 - who asks for the result raises it again
            self._error = error

    def result(self) -> Result:
        """Give what it gave, or raise what it raised."""
        if self._error is not None:
            raise self._error
        return self._result[0]


def side_by_side(functions: Sequence[Callable[[], Result]]) -> list[Result]:
    """Run functions at once, the first in this thread, and give their results in order; raise the first error of them.

    What the system lets no thread start for is run in this one, when the first is through.
    """
    works = [_Work(function) for function in functions]
    here, threads = works[:1], []
    for work in works[1:]:
        thread = threading.Thread(target=work.do, name="pass", daemon=True)
        try:
            thread.start()
        except (RuntimeError, MemoryError):
            here.append(work)
        else:
            threads.append(thread)
    for work in here:
        work.do()
    for thread in threads:
        thread.join()
    return [work.result() for work in works]
