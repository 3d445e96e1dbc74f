"""Signals, made into calls in a thread of their own: what they call may take locks, which a handler must not."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager


@contextmanager
def heard(calls: Mapping[int, Callable[[], None]]) -> Iterator[None]:
    """Call what each signal means while the block runs; in the main thread alone.

    A second SIGINT or SIGTERM ends the process at once.
    """

    def handle(number: int, _: object) -> None:
        if number != signal.SIGHUP:
            signal.signal(number, signal.SIG_DFL)

    def listen() -> None:
        while number := theirs.recv(1):
            if call := calls.get(number[0]):
                call()

    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    thread = threading.Thread(target=listen, name="signals", daemon=True)
    handlers = {number: signal.signal(number, handle) for number in calls}
    # Python itself writes the number, as soon as the signal comes; a handler would wait for the main thread.
    descriptor = signal.set_wakeup_fd(ours.fileno(), warn_on_full_buffer=False)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(descriptor)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        ours.close()
        thread.join()
        theirs.close()
