"""Fetches from a remote within a deadline that nothing can stretch: in a child process, which is killed at its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from visionflow_daemon.apart import Apart
from visionflow_daemon.errors import DeadlineError, DiedError, RemoteError, UnreachableError, VisionflowError
from visionflow_daemon.git import packs
from visionflow_daemon.git.clone import clone_path
from visionflow_daemon.git.credentials import Credentials, redact, split_userinfo
from visionflow_daemon.git.fetching import Fetched, Wanted, fetch_into, tidy
from visionflow_daemon.git.repository import Network

MEMORY = 4 << 30
"""Bytes that a fetch may map: more would let a remote that never ends its answer take the machine's memory."""

TIDY_SECONDS = 600.0


class Remote:
    """A remote, as one pass asks it: however often that is, all of it has one deadline."""

    def __init__(
        self,
        url: str,
        branch: str | None,
        state: Path,
        credentials: Credentials,
        network: Network,
        stop: threading.Event | None = None,
    ) -> None:
        self.url = url
        self.clone = clone_path(state, url)
        self._branch = branch
        self._credentials = credentials
        self._network = network
        self._child = Apart(MEMORY, stop)
        self._deadline = time.monotonic() + network.fetch_timeout

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the child, should there be one."""
        self._child.close()

    def fetch(self, *, anew: bool = False) -> Fetched:
        """Fetch the branch into the clone; `anew` makes the clone anew.

        Raises UnreachableError where another attempt may help, RemoteError when the remote refuses or is over its
        deadline, SourceError when it has no such branch, StateError when the state directory can't be written, and
        StoppedError.
        """
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise self._late()
        url, from_url = split_userinfo(self.url)
        credentials = self._credentials if self._credentials != Credentials() else from_url
        network = replace(self._network, read_timeout=min(self._network.read_timeout, left))
        wanted = Wanted(url, self._branch, self.clone, credentials, network, anew)
        try:
            return self._child.call(left, fetch_into, wanted)
        except DeadlineError:
            raise self._late() from None
        except DiedError as error:
            raise UnreachableError(f"can't fetch {redact(self.url)}: {error}") from error

    def _late(self) -> RemoteError:
        return RemoteError(
            f"can't fetch {redact(self.url)}: it took longer than {self._network.fetch_timeout:g} seconds "
            "(network.fetch_timeout, or --fetch-timeout)"
        )


def keep_tidy(
    clone: Path, stop: threading.Event | None = None, place: Callable[[], AbstractContextManager[None]] = nullcontext
) -> int:
    """Join the packs of a clone where they are many, if nobody else reads it; tell how many there were.

    It is done in a child process, within `place`. A stop leaves them for another time.
    """
    if len(packs.packs(clone)) <= packs.MOST:
        return 0
    try:
        with place(), Apart(MEMORY, stop) as child:
            return child.call(TIDY_SECONDS, tidy, clone)
    except (VisionflowError, OSError):
        return 0
