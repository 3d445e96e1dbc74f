"""Runs functions in a process of their own: for work that a thread can neither stop nor survive (ADR 0014)."""

from __future__ import annotations

import importlib
import math
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, ParamSpec, Self, TypeVar

from visionflow_daemon.errors import DeadlineError, DiedError, StartError, StoppedError, VisionflowError

if TYPE_CHECKING:
    import subprocess
    from multiprocessing.connection import Connection

Given = ParamSpec("Given")
Result = TypeVar("Result")

LOOK = 0.1
"""Seconds after which a waiting caller looks whether it is to stop."""

GRACE = 5
"""Seconds after its deadline at which a child ends itself, should its parent not have done so."""

BOOT = """
import sys
sys.path.append(sys.argv[1])
from visionflow_daemon.apart import serve
serve(*map(int, sys.argv[2:]))
"""


class Apart:
    """One child process that runs functions for us, one at a time; started by the first call, and anew if it died.

    The child may map `memory` bytes; 0 sets no limit. It ends with its parent, however that ends. Who waits for it
    looks up now and then whether `stop` is set, which may be another one for each call.
    """

    def __init__(self, memory: int = 0, stop: threading.Event | None = None) -> None:
        self.stop = stop
        self._memory = memory
        self._process: subprocess.Popen[bytes] | None = None
        self._line: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def call(
        self, seconds: float, function: Callable[Given, Result], *arguments: Given.args, **named: Given.kwargs
    ) -> Result:
        """Run a module's function on values that can be pickled, and give its result.

        Raises what it raises; DeadlineError when it takes more seconds, DiedError when its process ends, StoppedError
        when `stop` is set meanwhile: after each of these, the process is gone. StartError when none can be started.
        """
        try:
            line = self._connected()
            line.send((function.__module__, function.__qualname__, arguments, named, seconds))
            self._await(line, seconds)
            is_good, answer = line.recv()
        except (EOFError, OSError) as error:
            raise self._end() from error
        except BaseException:
            self.close()
            raise
        if is_good:
            result: Result = answer
            return result
        raise answer

    def close(self) -> None:
        """End the child, whatever it does."""
        process, self._process = self._process, None
        line, self._line = self._line, None
        if line is not None:
            line.close()
        if process is not None:
            process.kill()
            process.wait()
            if process.stdin is not None:
                process.stdin.close()

    def _connected(self) -> Connection:
        if self._line is not None and self._process is not None and self._process.poll() is None:
            return self._line
        self.close()
        import socket  # noqa: PLC0415 - as all below: most passes need no child
        import subprocess  # noqa: PLC0415
        from multiprocessing.connection import Connection  # noqa: PLC0415

        root = str(Path(__file__).resolve().parent.parent)
        try:
            ours, theirs = socket.socketpair()
            with ours, theirs:
                self._process = subprocess.Popen(  # noqa: S603 - our own interpreter, and our own code
                    [sys.executable, "-P", "-c", BOOT, root, str(theirs.fileno()), str(self._memory)],
                    stdin=subprocess.PIPE,  # never written: its end tells the child that we are gone
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,  # where a parser in Rust prints its panics
                    pass_fds=[theirs.fileno()],
                )
                self._line = Connection(ours.detach())
        except OSError as error:
            raise StartError(
                f"no process can be started to work apart, by {sys.executable}: {error.strerror}; look at its rights, "
                "and at the limits of tasks, open files and memory"
            ) from error
        return self._line

    def _await(self, line: Connection, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not line.poll(max(0.0, min(LOOK, deadline - time.monotonic()))):
            if self.stop is not None and self.stop.is_set():
                raise StoppedError("stopped on the way")
            if time.monotonic() >= deadline:
                raise DeadlineError(f"it takes longer than {seconds:g} seconds")

    def _end(self) -> DiedError:
        """Say how the child ended, once it has."""
        import subprocess  # noqa: PLC0415 - as above

        process = self._process
        code = None
        if process is not None:
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(1)
        self.close()
        if code is not None and code < 0:
            with suppress(ValueError):
                name = signal.Signals(-code).name
                return DiedError(f"its process was ended by {name}", name)
        return DiedError(f"its process ended with code {code}")


def serve(descriptor: int, memory: int) -> None:
    """Answer calls until the parent hangs up; what a child process runs."""
    import resource  # noqa: PLC0415 - for a child alone
    from multiprocessing.connection import Connection  # noqa: PLC0415 - as above

    if memory:
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        memory = memory if most == resource.RLIM_INFINITY else min(memory, most)
        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # terminals and systemd send these to all processes
        signal.signal(number, signal.SIG_IGN)  # and the parent decides
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    line = Connection(descriptor)
    with suppress(EOFError, OSError):
        while True:
            line.send(_answer(*line.recv()))


def _answer(
    module: str, name: str, arguments: tuple[Any, ...], named: dict[str, Any], seconds: float
) -> tuple[bool, Any]:
    signal.alarm(math.ceil(seconds) + GRACE)  # ends also what holds the interpreter lock
    try:
        return True, getattr(importlib.import_module(module), name)(*arguments, **named)
    except VisionflowError as error:
        return False, error
    except BaseException as error:  # noqa: BLE001 - the parent raises it
        return False, _portable(error)
    finally:
        signal.alarm(0)


def _portable(error: BaseException) -> BaseException:
    """Make an error that can be sent; where it came from is noted on it."""
    import pickle  # noqa: PLC0415 - for errors alone

    error.__traceback__, trace = None, "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - made the moment before
    except Exception:  # noqa: BLE001 - whatever keeps it from being sent
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(trace)
    return error


def _leave_with_parent() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)
