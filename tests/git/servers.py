"""Git servers on loopback: git's own daemon, and smart HTTP with and without a password."""

from __future__ import annotations

import base64
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from visionflow_daemon.git.credentials import Credentials
from visionflow_daemon.git.fetching import Fetched
from visionflow_daemon.git.remote import Remote
from visionflow_daemon.git.repository import Network

USER, PASSWORD = "reader", "Correct-Horse-42"


@dataclass(frozen=True, slots=True)
class Answer:
    """What a healthy server would say."""

    status: int
    headers: list[tuple[str, str]]
    content: bytes


Ailment = Callable[["GitHandler", Answer], bool]
"""What is wrong with a server: it deals with a request itself, or gives False and leaves it to the healthy one."""


def core_tool(name: str) -> str:
    """Find one of git's own programs, or skip the test."""
    git = shutil.which("git")
    if git is None:
        pytest.skip("git is not installed")
    folder = subprocess.run([git, "--exec-path"], capture_output=True, text=True, check=True).stdout.strip()
    path = Path(folder) / name
    if not path.is_file():
        pytest.skip(f"this git comes without {name}")
    return str(path)


def fetched(url: str, branch: str | None, state: Path) -> Fetched:
    """Fetch from a remote, as a pass does."""
    with Remote(url, branch, state, Credentials(), Network()) as remote:
        return remote.fetch()


def free_port() -> int:
    """Find a port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment() -> dict[str, str]:
    """Give git an environment that knows nothing of whoever runs the tests."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "safe.directory",
        "GIT_CONFIG_VALUE_0": "*",
    }


@contextmanager
def git_daemon(folder: Path) -> Iterator[str]:
    """Serve all repositories of a folder by git://, and give the URL of the folder."""
    port = free_port()
    command = [core_tool("git-daemon"), "--verbose", "--export-all", "--reuseaddr", "--listen=127.0.0.1"]
    command += [f"--port={port}", f"--base-path={folder}", str(folder)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment()) as process:
        assert process.stderr is not None
        drain = threading.Thread(target=process.stderr.read)  # a full pipe would make it hang
        try:
            assert b"Ready" in process.stderr.readline()
            drain.start()
            yield f"git://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(timeout=20)
            if drain.is_alive():
                drain.join(20)


class GitHttp(ThreadingHTTPServer):
    """Serves all repositories of a folder by git's own http-backend; notes what clients prove themselves with."""

    daemon_threads = False
    block_on_close = True

    def __init__(self, folder: Path, *, asks: bool, ail: Ailment | None, port: int) -> None:
        super().__init__(("127.0.0.1", port), GitHandler)
        self.folder = folder
        self.ail = ail
        self.well = threading.Event()
        """Set when the server goes down: an ailment that lasts ends with it."""

        self.asked = threading.Event()
        """Set by the first request."""

        self.backend = core_tool("git-http-backend")
        self.asks = asks
        self.requests: list[tuple[str, str | None]] = []

    def handle_error(self, request: object, client_address: object) -> None:
        """Let clients break off without a word: whom we make ill is left."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]

    @property
    def address(self) -> str:
        """Give host and port."""
        return f"127.0.0.1:{self.server_address[1]}"

    @property
    def proofs(self) -> list[str]:
        """Give what clients proved themselves with, user name and password, in their order."""
        return [base64.b64decode(proof.split()[1]).decode() for _, proof in self.requests if proof]


class GitHandler(BaseHTTPRequestHandler):
    """Answers one request by git's own http-backend, or by what ails the server."""

    server: GitHttp
    protocol_version = "HTTP/1.1"
    timeout = 10  # of seconds that a connection may idle: the server waits for them when it goes down

    def do_GET(self) -> None:
        """Answer a request without a body."""
        self._serve(b"")

    def do_POST(self) -> None:
        """Answer a request with a body."""
        body = b""
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._serve(body)

    def _serve(self, body: bytes) -> None:
        proof = self.headers.get("Authorization")
        self.server.requests.append((self.path, proof))
        self.server.asked.set()
        right = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        if self.server.asks and proof != right:
            self.answer(401, [("WWW-Authenticate", 'Basic realm="pages"')], b"")
            return
        path, _, query = self.path.partition("?")
        variables = {
            "GIT_PROJECT_ROOT": str(self.server.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }
        done = subprocess.run(
            [self.server.backend], input=body, capture_output=True, check=False, env=environment() | variables
        )
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = [(name, value) for name, _, value in (line.partition(": ") for line in head.decode().splitlines())]
        status = next((int(value.split()[0]) for name, value in headers if name == "Status"), 200)
        answer = Answer(status, [(name, value) for name, value in headers if name != "Status"], content)
        if self.server.ail is None or not self.server.ail(self, answer):
            self.answer(answer.status, answer.headers, answer.content)

    def answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
        """Send an answer as a whole."""
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing: the tests look at what was asked."""


@contextmanager
def git_http(folder: Path, *, asks: bool = False, ail: Ailment | None = None, port: int = 0) -> Iterator[GitHttp]:
    """Serve all repositories of a folder by smart HTTP; on a port of its own choice, if none is given."""
    with GitHttp(folder, asks=asks, ail=ail, port=port) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.well.set()
            server.shutdown()
            thread.join(20)
