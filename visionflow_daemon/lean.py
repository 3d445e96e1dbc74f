"""Imports structlog without the two packages that it brings along and a pass has no use for (ADR 0009).

rich, for tracebacks in colour, is optional to structlog; asyncio, for logging from coroutines, is not, and is imported
when structlog first asks it for something.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType


def import_structlog() -> None:
    """Import structlog, if nobody has yet. Call it before the modules that log are imported."""
    if "structlog" not in sys.modules:
        with _in_place_of("rich", None), _in_place_of("asyncio", _imported_when_used("asyncio")):
            importlib.import_module("structlog")


def _imported_when_used(name: str) -> ModuleType:
    stand_in = ModuleType(name)
    stand_in.__getattr__ = lambda attribute: getattr(importlib.import_module(name), attribute)  # type: ignore[method-assign]
    return stand_in


@contextmanager
def _in_place_of(name: str, stand_in: ModuleType | None) -> Iterator[None]:
    """Let imports of a module that nobody has imported yet get another one; None looks as if it were not installed."""
    if name in sys.modules:
        yield
        return
    modules: dict[str, ModuleType | None] = sys.modules  # type: ignore[assignment]
    modules[name] = stand_in  # None is documented: an import then raises ImportError
    try:
        yield
    finally:
        del sys.modules[name]
