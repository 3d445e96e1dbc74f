"""Which files are live while a source is rolled out by and by: a share of its paths, always the same ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from hashlib import sha256

ALL = 100.0
"""Percent of the paths: all."""

POSITIONS = 1 << 64

SALT = b"visionflow-daemon rollout\0"
"""Stands before each path that is hashed: files may have been chosen by a hash of their paths before."""


def position(path: bytes) -> int:
    """Give a path's place among POSITIONS: the first eight bytes of a SHA-256. It never changes (ADR 0027)."""
    return int.from_bytes(sha256(SALT + path).digest()[:8], "big")


def share(percent: float) -> Callable[[bytes], bool]:
    """Make the test for the paths that are live at a percentage; those at a lower one are all among them."""
    if percent >= ALL:
        return lambda _path: True
    end = math.ceil(Fraction(percent) * POSITIONS / 100)
    return lambda path: position(path) < end
