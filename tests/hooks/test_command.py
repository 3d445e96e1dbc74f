"""Programs that are told: what they get, and that whatever they do, nothing of them is left."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.hooks.support import changed, patience, program
from tests.support import eventually
from visionflow_daemon.ops.hooks.answer import DELIVERED, Answer
from visionflow_daemon.ops.hooks.command import run
from visionflow_daemon.ops.hooks.patience import Closing, Patience

DOCUMENT = b'{"event": "changed"}'


def tell(
    command: str, *arguments: str, seconds: float = 10, document: bytes = DOCUMENT, base: Path = Path("/")
) -> tuple[Answer, str]:
    return run((command, *arguments), base, document, changed(1).variables(), patience(seconds))


def is_gone(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_it_gets_the_event_and_a_clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("VISIONFLOW_GIT_PASSWORD", "CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "AWS_SECRET", "LISTEN_FDS"):
        monkeypatch.setenv(name, "opensesame")
    hook = program(tmp_path, "print(json.dumps([sys.stdin.read(), sys.argv[1:], dict(os.environ)]))")
    answer, output = tell(hook, "a b", "$HOME; id", "é")
    assert answer == DELIVERED
    document, arguments, environment = json.loads(output)
    assert document.encode() == DOCUMENT
    assert arguments == ["a b", "$HOME; id", "é"]
    assert "opensesame" not in output
    assert environment["PATH"] == os.environ["PATH"]
    told = {name: value for name, value in environment.items() if name.startswith("VISIONFLOW_")}
    assert told == {
        "VISIONFLOW_EVENT": "changed",
        "VISIONFLOW_EVENT_ID": "c1",
        "VISIONFLOW_EVENT_ONTOLOGY_ID": "kg",
        "VISIONFLOW_EVENT_COMMIT": f"{1:040x}",
        "VISIONFLOW_EVENT_TEXT": changed(1).text,
    }


def test_it_is_found_beside_the_configuration_or_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    program(tmp_path / "bin", "print('here')", "tell-me")
    assert tell("bin/tell-me", base=tmp_path) == (DELIVERED, "here")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert tell("tell-me") == (DELIVERED, "here")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("sys.exit(3)", "it ended with code 3"),
        ("os.kill(os.getpid(), 9)", "it was ended by SIGKILL"),
        ("time.sleep(60)", "it takes longer than 0.5 seconds, and was ended"),
        ("import signal; signal.signal(15, signal.SIG_IGN); time.sleep(60)", "it takes longer than 0.5 seconds"),
        ("os.close(0); os.close(1); os.close(2); time.sleep(60)", "it takes longer than 0.5 seconds, and was ended"),
        ("while True: os.write(1, b'x' * 65536)", "it writes more than 1,048,576 bytes, and was ended"),
    ],
    ids=["code", "signal", "hangs", "ignores SIGTERM", "closes all", "floods"],
)
def test_what_goes_wrong_is_told(tmp_path: Path, text: str, reason: str) -> None:
    hook = program(tmp_path, text)
    seconds = 0.5 if "longer" in reason else 20
    started = time.monotonic()
    answer, output = tell(hook, seconds=seconds)
    assert answer.reason is not None
    assert answer.reason.startswith(reason)
    assert not answer.is_final
    assert time.monotonic() - started < 10
    assert len(output) <= 2_000


@pytest.mark.parametrize("case", ["missing", "no right", "no program", "a folder", "unknown on PATH"])
def test_what_can_not_be_started_is_told(tmp_path: Path, case: str) -> None:
    (tmp_path / "no right").write_text("#!/bin/sh\n")
    (tmp_path / "no program").write_bytes(b"\x7fELFnot")
    (tmp_path / "no program").chmod(0o755)
    (tmp_path / "a folder").mkdir()
    command = "no-such-program-4711" if case == "unknown on PATH" else str(tmp_path / case)
    answer, _ = tell(command)
    assert answer.reason is not None
    assert answer.reason.startswith("it can't be started: ")


def test_it_need_not_read_what_it_is_told(tmp_path: Path) -> None:
    large = b'{"x": "' + b"y" * 1_000_000 + b'"}'
    assert tell(program(tmp_path, "os.close(0); time.sleep(0.2)"), document=large)[0] == DELIVERED
    assert tell(program(tmp_path, "pass"), document=large)[0] == DELIVERED
    hook = program(tmp_path, "time.sleep(0.1); print(len(sys.stdin.read()))")
    assert tell(hook, document=large) == (DELIVERED, f"{len(large)}")


def test_children_that_it_leaves_go_with_it(tmp_path: Path) -> None:
    left = tmp_path / "left"
    text = f"child = os.fork()\nif child: open({str(left)!r}, 'w').write(str(child)); os._exit(0)\ntime.sleep(600)"
    started = time.monotonic()
    assert tell(program(tmp_path, text))[0] == DELIVERED
    assert time.monotonic() - started < 5, "a child that holds its output open is waited for"
    process = int(left.read_text())
    eventually(lambda: is_gone(process))


def test_children_that_flee_its_group_hold_nothing_of_ours(tmp_path: Path) -> None:
    left = tmp_path / "left"
    text = (
        "child = os.fork()\n"
        "if child: os._exit(0)\n"
        "os.setsid()\n"
        f"open({str(left)!r}, 'w').write(str(os.getpid()))\n"
        "time.sleep(30)"
    )
    before = len(list(Path("/proc/self/fd").iterdir()))
    try:
        tell(program(tmp_path, text))
        assert len(list(Path("/proc/self/fd").iterdir())) == before
    finally:
        if left.exists() and left.read_text():
            os.kill(int(left.read_text()), signal.SIGKILL)


def test_the_end_of_the_daemon_ends_it(tmp_path: Path) -> None:
    closing = Closing()
    started = tmp_path / "started"
    hook = program(tmp_path, f"open({str(started)!r}, 'w').close(); time.sleep(60)")

    def end() -> None:
        eventually(started.exists)
        closing.set()

    helper = threading.Thread(target=end)
    helper.start()
    answer, _ = run((hook,), Path("/"), DOCUMENT, {}, Patience(60, closing))
    helper.join()
    assert answer == Answer("the daemon ends, and was ended")
    assert time.monotonic() < closing.ends_at + 2


def test_what_it_writes_is_harmless_and_bounded(tmp_path: Path) -> None:
    hook = program(tmp_path, "os.write(2, b'\\x1b[31m\\xff' + b'x' * 5000 + b'end')")
    _, output = tell(hook)
    assert output.endswith("end")
    assert "\x1b" not in output
    assert len(output) == 2_000
