"""Whose turn it is: who has waited longest since it was last served."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

Member = TypeVar("Member")


class Turns(Generic[Member]):
    """Members that are served one piece each, in rotation.

    Who has nothing to be served keeps its place, so whoever has something again waits for one piece of each other
    member at most. Whoever comes goes to the end.
    """

    def __init__(self) -> None:
        self._order: list[Member] = []
        """The one that was served longest ago comes first."""

    def __iter__(self) -> Iterator[Member]:
        """Give the members, in the order of their turns."""
        return iter(self._order)

    def join(self, member: Member) -> None:
        """Take part from now on."""
        self._order.append(member)

    def leave(self, member: Member) -> None:
        """Take part no more."""
        self._order.remove(member)

    def next(self, is_ready: Callable[[Member], bool]) -> Member | None:
        """Give the member to be served now, the first that is ready; None when none is."""
        for at, member in enumerate(self._order):
            if is_ready(member):
                del self._order[at]
                self._order.append(member)
                return member
        return None
