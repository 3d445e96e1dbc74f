"""Functions in a process of their own: their results, their errors, and their ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from visionflow_daemon import errors
from visionflow_daemon.apart import Apart
from visionflow_daemon.errors import ConfigError, DeadlineError, DiedError, PageError, StoppedError


def children_of(pid: int) -> list[int]:
    """List the processes that a process has started."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for children in tasks for child in children.read_text().split()]


def wait_until_gone(pids: list[int]) -> None:
    """Wait until processes have ended, but not for ever."""
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}/exe").exists() for pid in pids):
        assert time.monotonic() < deadline
        os.sched_yield()


def test_one_child_gives_many_results() -> None:
    with Apart() as child:
        pids = {child.call(10, os.getpid) for _ in range(3)}
        assert child.call(10, divmod, 7, 3) == (2, 1)
    assert len(pids) == 1
    assert os.getpid() not in pids
    wait_until_gone([*pids])


@pytest.mark.parametrize(
    "error",
    [PageError("bad", 7), ConfigError("one", "two"), DiedError("dead", "SIGSEGV"), ValueError("x"), KeyError(1)],
)
def test_an_error_comes_as_it_was_raised(error: Exception) -> None:
    with Apart() as child, pytest.raises(type(error)) as caught:
        child.call(10, raising, error)
    assert str(caught.value) == str(error)
    assert {name: value for name, value in vars(caught.value).items() if name != "__notes__"} == vars(error)


def raising(error: Exception) -> None:
    """Raise an error; called in the child."""
    raise error


def test_every_error_of_this_program_can_be_sent() -> None:
    kinds = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, Exception)]
    assert len(kinds) > 10
    with Apart() as child:
        for kind in kinds:
            with pytest.raises(kind, match="said"):
                child.call(10, raising, kind("said"))


class UnsendableError(Exception):
    """Can't be made from its arguments alone."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} {two}")


def raise_unsendable() -> None:
    """Raise what can't be sent; called in the child."""
    raise UnsendableError("neither", "nor")


def test_an_error_that_cannot_be_sent_is_told_in_words() -> None:
    with Apart() as child, pytest.raises(RuntimeError, match="UnsendableError: neither nor") as caught:
        child.call(10, raise_unsendable)
    assert "raise_unsendable" in caught.value.__notes__[0]


def test_what_takes_too_long_is_ended() -> None:
    with Apart() as child:
        pid = child.call(10, os.getpid)
        with pytest.raises(DeadlineError, match=r"longer than 0\.2 seconds"):
            child.call(0.2, time.sleep, 60)
        wait_until_gone([pid])
        assert child.call(10, os.getpid) != pid


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGABRT])
def test_a_child_that_dies_is_told_and_replaced(number: signal.Signals) -> None:
    with Apart() as child:
        with pytest.raises(DiedError, match=f"ended by {number.name}") as caught:
            child.call(10, kill_oneself, number)
        assert caught.value.signal == number.name
        assert child.call(10, divmod, 7, 3) == (2, 1)


def kill_oneself(number: signal.Signals) -> None:
    """End this process by a signal; called in the child."""
    os.kill(os.getpid(), number)


def test_a_child_that_leaves_is_told() -> None:
    with Apart() as child, pytest.raises(DiedError, match="ended with code 3") as caught:
        child.call(10, os._exit, 3)
    assert caught.value.signal is None


def test_memory_is_limited() -> None:
    with Apart(memory=300 << 20) as child:
        with pytest.raises(MemoryError):
            child.call(10, bytes, 1 << 30)
        assert child.call(10, divmod, 7, 3) == (2, 1)


def test_a_stop_is_heard_at_once() -> None:
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    with Apart(stop=stop) as child, pytest.raises(StoppedError):
        child.call(60, time.sleep, 60)


HOLDS_THE_INTERPRETER = """
import sys, time
from visionflow_daemon.apart import Apart
child = Apart()
print(child.call(10, __import__("os").getpid), flush=True)
child.call(60, time.sleep, 60)
"""


def test_a_child_ends_with_its_parent_however_that_ends() -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDS_THE_INTERPRETER], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert children_of(process.pid) == [child]
        process.kill()
    wait_until_gone([child])


def test_nothing_of_the_working_directory_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pickle.py").write_text("raise SystemExit(9)")
    (tmp_path / "visionflow_daemon.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(tmp_path)
    with Apart() as child:
        assert child.call(10, divmod, 7, 3) == (2, 1)
