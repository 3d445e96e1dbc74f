"""What the tests share: real git repositories made from maps of paths, and the program as a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests import engines, log_lines

PROJECT = Path(__file__).resolve().parent.parent
SHARED = PROJECT.parent / "shared"
SYMLINK, SUBMODULE = "120000", "160000"


@dataclass(frozen=True, slots=True)
class Symlink:
    """A symlink in a tree."""

    target: bytes


@dataclass(frozen=True, slots=True)
class Submodule:
    """A submodule in a tree."""

    commit: str = "1" * 40


Content = bytes | str | Symlink | Submodule | None


class Repo:
    """A bare repository whose commits are written by git's fast-import, any byte in any path."""

    def __init__(self, path: Path, branch: str = "main") -> None:
        self.path = path
        self.branch = branch
        self._time = 1_700_000_000
        git("init", "--quiet", "--bare", f"--initial-branch={branch}", str(path))

    def commit(
        self,
        changes: Mapping[bytes | str, Content],
        *,
        branch: str | None = None,
        parent: str | None = "",
        message: str = "a commit",
    ) -> str:
        """Commit changes (None deletes) onto a branch; `parent` None starts anew, a commit id goes on from there."""
        ref = f"refs/heads/{branch or self.branch}"
        if parent == "":
            parent = self.tip(branch)
        self._time += 60
        stream = bytearray(f"commit {ref}\ncommitter T <t@example.org> {self._time} +0000\n".encode())
        stream += b"data %d\n%s\n" % (len(message.encode()), message.encode())
        stream += f"from {parent}\n".encode() if parent else b""
        for path, content in changes.items():
            stream += _fast_import_line(path.encode() if isinstance(path, str) else path, content)
        if parent is None and self.tip(branch):
            git("update-ref", "-d", ref, cwd=self.path)
        git("fast-import", "--quiet", "--force", cwd=self.path, stdin=bytes(stream))
        tip = self.tip(branch)
        assert tip is not None
        return tip

    def tip(self, branch: str | None = None) -> str | None:
        """Give a branch's commit."""
        done = subprocess.run(
            ["git", "rev-parse", "--quiet", "--verify", f"refs/heads/{branch or self.branch}"],
            cwd=self.path,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip() or None

    def set_tip(self, commit: str, branch: str | None = None) -> None:
        """Move a branch, as a force push does."""
        git("update-ref", f"refs/heads/{branch or self.branch}", commit, cwd=self.path)


def _fast_import_line(path: bytes, content: Content) -> bytes:
    quoted = b'"' + b"".join(b"\\%03o" % byte if byte in b'"\\\n' else bytes([byte]) for byte in path) + b'"'
    if content is None:
        return b"D " + quoted + b"\n"
    if isinstance(content, Submodule):
        return f"M {SUBMODULE} {content.commit} ".encode() + quoted + b"\n"
    mode, data = "100644", content
    if isinstance(content, Symlink):
        mode, data = SYMLINK, content.target
    raw = data.encode() if isinstance(data, str) else data
    assert isinstance(raw, bytes)
    return f"M {mode} inline ".encode() + quoted + b"\ndata %d\n" % len(raw) + raw + b"\n"


def git(*arguments: str, cwd: Path | None = None, stdin: bytes | None = None) -> str:
    """Run git, away from the configuration of whoever runs the tests."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "T",
        "GIT_AUTHOR_EMAIL": "t@example.org",
        "GIT_COMMITTER_NAME": "T",
        "GIT_COMMITTER_EMAIL": "t@example.org",
    }
    done = subprocess.run(["git", *arguments], cwd=cwd, input=stdin, capture_output=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode(errors="replace").strip()


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run of the program left."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """The log lines of `--once`, each of which must be valid by docs/log-schema.json."""
        lines = self.out.splitlines()
        assert_documented(lines)
        return [json.loads(line) for line in lines]

    def event(self, name: str) -> dict[str, Any]:
        """The one log line with this event."""
        (found,) = (event for event in self.events if event["event"] == name)
        return found

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever a verb answers
        """The answer of a verb with --json."""
        return json.loads(self.out)


class Running:
    """The daemon while it runs: its log lines, as they come."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.events: list[dict[str, Any]] = []
        self._changed = threading.Condition()
        self._seen = 0
        self._is_over = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._changed:
                self.events.append(json.loads(line))
                self._changed.notify_all()
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def until(self, event: str, timeout: float = 20, **fields: object) -> dict[str, Any]:
        """Wait for the next log line with this event and these fields; lines before it are passed over."""
        found: list[dict[str, Any]] = []

        def is_there() -> bool:
            while self._seen < len(self.events) and not found:
                line = self.events[self._seen]
                self._seen += 1
                if line["event"] == event and fields.items() <= line.items():
                    found.append(line)
            return bool(found) or self._is_over

        with self._changed:
            self._changed.wait_for(is_there, timeout)
        assert found, (event, fields, self._is_over, self.events[-10:])
        return found[0]

    def count(self, event: str) -> int:
        """Count the log lines with this event so far."""
        return sum(line["event"] == event for line in self.events)

    def end(self, number: int = signal.SIGTERM, timeout: float = 10) -> int:
        """Send a signal, wait for the end, and give the exit code."""
        self.process.send_signal(number)
        code = self.process.wait(timeout)
        self._reader.join(timeout)
        return code


def assert_documented(lines: Iterable[str]) -> None:
    """See that each is a log line that docs/log-schema.json allows."""
    complaints = [each for line in lines if (each := log_lines.complaint(line)) is not None]
    assert not complaints, "\n".join(complaints[:5])


def eventually(condition: Callable[[], bool], timeout: float = 20) -> None:
    """Wait for what no log line tells."""
    waiter, deadline = threading.Event(), time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline
        waiter.wait(0.01)


@dataclass(slots=True)
class Daemon:
    """The program, run as a process in a folder of its own, with a home of its own."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    under: tuple[str, ...] = ()
    """The program that runs ours, with its arguments: strace, prlimit, setpriv."""

    def command(self, *arguments: str | Path) -> list[str]:
        """Give the command line of a run."""
        return [*self.under, sys.executable, "-m", "visionflow_daemon", *engines.arguments(self.folder, arguments)]

    def env(self) -> dict[str, str]:
        """Give the environment of a run."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LANG": "C.UTF-8",
            **engines.environment(self.folder),
            **self.environment,
        }

    def run(self, *arguments: str | Path, stdin: bytes | None = None, timeout: float = 120) -> Ran:
        """Run the program to its end."""
        return self._run(self.command(*arguments), stdin, timeout)

    def run_python(self, program: str, timeout: float = 120) -> Ran:
        """Run a program of its own in place of ours: one that breaks something in ours, and runs it then."""
        return self._run([sys.executable, "-c", program], None, timeout)

    def _run(self, command: list[str], stdin: bytes | None, timeout: float) -> Ran:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.env(),
            input=stdin,
            capture_output=True,
            check=False,
            timeout=timeout,
        )
        return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())

    def start(self, *arguments: str | Path) -> subprocess.Popen[bytes]:
        """Start the program, and leave it running."""
        return subprocess.Popen(
            self.command(*arguments), cwd=self.folder, env=self.env(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    @contextmanager
    def running(self, *arguments: str | Path) -> Iterator[Running]:
        """Run the daemon while the block does; it is ended then. It serves nothing unless told to."""
        unserved = replace(self, environment={"VISIONFLOW_HTTP__PORT": "0", **self.environment})
        process = unserved.start(*arguments)
        running = Running(process)
        try:
            yield running
        finally:
            process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr):
                if stream is not None:
                    stream.close()
        assert_documented(map(json.dumps, running.events))

    def once(self, source: Path | str, *arguments: str | Path, database: str = "kg.db", expect: int = 0) -> Ran:
        """Run one pass, and see that it leaves with the expected code and a sound database."""
        ran = self.run("--once", "--source", source, "--database", database, *arguments)
        assert ran.code == expect, (ran.code, ran.out[-3000:], ran.err[-3000:])
        if engines.exists(self.folder / database):
            engines.assert_sound(self.folder / database)
        return ran

    def dump(self, database: str = "kg.db", *arguments: str) -> list[list[Any]]:
        """Give the canonical dump's rows."""
        return [json.loads(line) for line in self.dump_bytes(database, *arguments).splitlines()]

    def dump_bytes(self, database: str = "kg.db", *arguments: str) -> str:
        """Give the canonical dump as it is."""
        ran = self.run("dump", "--database", database, *arguments)
        assert ran.code == 0, ran.err
        return ran.out

    def database(self, name: str = "kg.db") -> str:
        """Give what a command line is given for a database, where `command` has no part in it."""
        return engines.arguments(self.folder, ("--database", self.folder / name))[1]

    def query(self, sql: str, database: str = "kg.db") -> list[tuple[Any, ...]]:
        """Ask the database, as any reader may."""
        return engines.query(self.folder / database, sql)


def class_page(iri: str, label: str, **more: object) -> str:
    """Write a JSON-LD page that declares one class."""
    page = {"@id": f"urn:test:page:{label}", "@type": "Page", "title": label, "vc:public": True}
    block = {"@id": iri, "@type": "Class", "label": label, "definition": f"What {label} is.", **more}
    fences = "\n\n".join(f"```json-ld\n{json.dumps(each, indent=1)}\n```" for each in (page, block))
    return f"public:: true\n\n# {label}\n{fences}\n\n- ### Definition\n  - Text with [[Some Link]].\n"


def outline_page(name: str, *properties: str, axioms: str = "", prefix: str = "mv") -> str:
    """Write an OntologyBlock page that declares one class."""
    lines = ["- ### OntologyBlock", "  collapsed:: true", f"\t- owl:class:: {prefix}:{name.replace(' ', '')}"]
    lines += [f"\t- preferred-term:: {name}", f"\t- definition:: What {name} is."]
    lines += [f"\t- {line}" for line in properties]
    if axioms:
        lines += [
            "\t- #### OWL Axioms",
            "\t\t- ```clojure",
            *(f"\t\t  {line}" for line in axioms.splitlines()),
            "\t\t  ```",
        ]
    return "\n".join(lines) + "\n"
