"""Keeps the daemon's memory small: what its threads set free serves all of them, or goes back (ADR 0022)."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from contextlib import suppress
from functools import cache

ARENA_MAX = -8
"""The name of the setting in glibc's `mallopt`."""

ARENAS = 2


def share_arenas(environment: Mapping[str, str]) -> None:
    """Let malloc keep two arenas, however many threads there are; to be called before there are any.

    Without, it keeps one for each thread, up to eight a core, and what is free in one serves no other thread. Whoever
    has set MALLOC_ARENA_MAX is left their way. C libraries other than glibc have none of this, and need none.
    """
    if "MALLOC_ARENA_MAX" not in environment:
        with suppress(OSError, AttributeError):
            _library().mallopt(ARENA_MAX, ARENAS)


def give_back() -> None:
    """Give to the system what malloc holds free, once work that took much is done."""
    with suppress(OSError, AttributeError):
        _library().malloc_trim(0)


@cache
def _library() -> ctypes.CDLL:
    """Give the C library that this process runs with."""
    return ctypes.CDLL(None)
