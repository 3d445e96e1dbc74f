"""The page of a real daemon, in a real browser, while it works, fails, goes away and comes back."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from benchmarks.pages import Ontology
from tests import engines
from tests.browser.chromium import DESKTOP, PHONE, Browser, Tab
from tests.git.servers import free_port
from tests.support import Daemon, Repo, Running, class_page, eventually

PAGES = 1_500
SCRIPT = "<script>window.owned=1;alert(1)</script>"
IMAGE = "<img src=x onerror=window.owned=2>"
HOSTILE: dict[bytes | str, str] = {
    f"pages/{SCRIPT.replace('/', '')}.md": '```json-ld\n{ "a": </td><script>window.owned=3</script>\n```\n',
    "pages/\u202egnp.tset\x1b[31m\n\x00.md".replace("\x00", "\x01").encode(): "```json-ld\n[\n```\n",
    b"pages/" + b"\xff\xfe\"'><svg onload=window.owned=4>".replace(b"/", b"") + b".md": "```json-ld\n[\n```\n",
    "pages/" + "W" * 200 + ".md": "```json-ld\n[\n```\n",
    f"pages/label {IMAGE}.md": class_page("urn:t:x", f"{SCRIPT}{IMAGE}\u202e"),
    "pages/iri.md": class_page(f"urn:t:<{IMAGE}>", "an IRI"),
}
HELD, FREE = 0.4, 0.1
"""Seconds for which another program holds the database, and lets it go: a sync that can be watched."""

PROGRESS = "document.querySelector('#source-0 progress[value]')"


def config(daemon: Daemon, port: int, sources: dict[str, Path | str], extra: str = "") -> Path:
    """Write a configuration: each source by its name."""
    text = f'database = "{daemon.folder / "kg.db"}"\n'
    for name, location in sources.items():
        text += f"[[sources]]\nlocation = '{location}'\nontology_id = '''{name}'''\n"
    path = daemon.folder / "config.toml"
    path.write_text(f"{text}[http]\nport = {port}\n[sync]\nworkers = 1\n{extra}")
    return path


@contextmanager
def served(daemon: Daemon, path: Path, port: int) -> Iterator[Running]:
    """Run the daemon, and wait until it serves."""
    daemon.environment["VISIONFLOW_HTTP__PORT"] = str(port)
    with daemon.running("--config", path) as running:
        running.until("serving http")
        yield running


@contextmanager
def slowed(database: Path) -> Iterator[threading.Event]:
    """Let another program hold the database most of the time, until the event is set."""
    over = threading.Event()

    def hold() -> None:
        with engines.Connected(database) as other:
            while not over.is_set():
                other.lock()
                over.wait(HELD)
                other.execute("ROLLBACK")
                over.wait(FREE)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        yield over
    finally:
        over.set()
        thread.join(30)


@contextmanager
def rude_server() -> Iterator[str]:
    """Serve a remote that answers every request with a refusal full of markup."""
    refusal = f"HTTP/1.1 403 {SCRIPT}\r\nContent-Length: {len(IMAGE)}\r\nConnection: close\r\n\r\n{IMAGE}".encode()
    with closing(socket.create_server(("127.0.0.1", 0), backlog=16)) as server:

        def answer() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65_536)
                    connection.sendall(refusal)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}/{IMAGE.replace(' ', '%20')}.git"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join(20)


def is_harmless(tab: Tab, url: str) -> bool:
    """See that nothing of what pages, paths and remotes said was taken for more than text."""
    assert tab.ask("'owned' in window") is False
    assert tab.ask("document.querySelectorAll('img,iframe,object,svg script,svg image').length") == 0
    assert tab.ask("document.documentElement.scrollWidth <= innerWidth")
    assert not tab.troubles
    return all(each.startswith((url, "data:")) for each in tab.requests)


def test_a_first_sync_is_followed_to_its_end(
    repo: Repo, daemon: Daemon, browser: Browser, pictures: Path | None
) -> None:
    repo.commit(dict(Ontology(7, PAGES).pages()) | HOSTILE)
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    path = config(daemon, port, {"kg": repo.path}, "busy_timeout = 30.0\n")
    with served(daemon, path, port) as running, browser.tab() as tab:
        running.until("pass started")
        with slowed(daemon.folder / "kg.db") as over:
            tab.open(url)
            tab.until(f"!!{PROGRESS}")
            tab.ask(f"window.bar = {PROGRESS}, 0")
            assert tab.ask(f"{PROGRESS}.max") == PAGES + len(HOSTILE)
            seen = [tab.ask(f"{PROGRESS}.value")]
            for _ in range(3):
                seen.append(tab.until(f"{PROGRESS}.value > {seen[-1]} && {PROGRESS}.value"))
            assert seen == sorted(set(seen)), "it moves, and never back"
            assert tab.ask(f"window.bar === {PROGRESS}"), "it is moved, not made anew"
            tab.until("/ left/.test(document.querySelector('.live').innerText)")
            tab.until("document.querySelectorAll('.cards tbody tr').length")  # failures appear while it goes on
            assert tab.ask("document.title").startswith("syncing")
            if pictures:
                tab.photograph(pictures / "live-syncing.png")
            over.set()
        done = running.until("pass finished", timeout=60)
        tab.until("document.title.startsWith('in step')")
        assert tab.loads == 1
        assert not tab.ask(f"!!{PROGRESS}")
        failed_files_are_told(tab, repo.tip() or "", done["failed"])
        if pictures:
            tab.photograph(pictures / "live-done.png")
            tab.use(PHONE)
            tab.photograph(pictures / "live-done-phone.png")
        assert is_harmless(tab, url)
        repo.commit({path: class_page(f"urn:t:{number}", "mended") for number, path in enumerate(HOSTILE)})
        tab.until("!document.querySelector('.cards')")
        assert (tab.loads, running.end()) == (1, 0)


def failed_files_are_told(tab: Tab, commit: str, count: int) -> None:
    """See that each failed file stands there, as text, with the reason."""
    assert "in step, with failed files" in tab.text
    assert commit[:12] in tab.text
    rows = "[...document.querySelectorAll('.cards tbody tr')]"
    assert count >= 4
    tab.until(f"{rows}.length === {count}")
    told = tab.ask(f"{rows}.map((each) => each.innerText)")
    assert [each for each in told if "<script>window.owned=1" in each and "bad JSON" in each], told
    assert [each for each in told if r"\xff\xfe" in each], told


def test_two_sources_one_failing_and_one_with_an_open_breaker(
    daemon: Daemon, browser: Browser, pictures: Path | None
) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    extra = "[breaker]\nfailing_passes = 2\ncool_down = 300.0\n[daemon]\ninterval = 0.5\njitter = 0.0\n"
    name = f'"{SCRIPT}{IMAGE}'
    with rude_server() as remote:
        sources: dict[str, Path | str] = {name: remote, "gone": daemon.folder / f"no such {IMAGE}"}
        with served(daemon, config(daemon, port, sources, extra), port) as running, browser.tab() as tab:
            tab.open(url)
            running.until("breaker opened")
            tab.until(
                "/Breaker of the remote open, next try in \\d min/.test(document.querySelector('#source-0').innerText)"
            )
            tab.until("/Failed .*times in a row/.test(document.querySelector('#source-1').innerText)")
            assert tab.ask("document.querySelector('h1 + .badge').innerText") == "2 of 2 not ready"
            assert tab.ask("document.querySelector('h2').innerText") == name
            assert tab.ask("[...document.querySelectorAll('.tile')].map((each) => each.innerText)") == [
                f"{name}\nfailing never in step",
                "gone\nfailing never in step",
            ]
            for screen in (DESKTOP, PHONE):
                tab.use(screen)
                assert tab.ask("document.documentElement.scrollWidth <= innerWidth")
            if pictures:
                tab.photograph(pictures / "live-failing-phone.png")
            assert is_harmless(tab, url)
            assert running.end() == 0


def test_a_daemon_that_goes_away_or_hangs_is_noticed_and_found_again(
    repo: Repo, daemon: Daemon, browser: Browser, pictures: Path | None
) -> None:
    repo.commit({"a.md": class_page("urn:t:a", "A")})
    port = free_port()
    path = config(daemon, port, {"kg": repo.path})
    lost = "document.querySelector('#lost').checkVisibility()"
    with browser.tab(PHONE) as tab:
        with served(daemon, path, port) as running:
            running.until("pass finished")
            tab.open(f"http://127.0.0.1:{port}/")
            tab.until("document.title.startsWith('in step')")
            assert not tab.ask(lost)
            running.process.send_signal(signal.SIGSTOP)
            tab.until(lost)
            running.process.send_signal(signal.SIGCONT)
            tab.until(f"!{lost}")
            assert running.end() == 0
        tab.until(lost)
        assert tab.ask("document.querySelector('#lost').getBoundingClientRect().top < innerHeight")
        assert "No answer." in tab.text
        assert tab.ask("document.querySelector('dd').innerText.endsWith('ago')"), "the last figures stay"
        if pictures:
            tab.photograph(pictures / "live-lost.png")
        commit = repo.commit({"b.md": class_page("urn:t:b", "B")})
        with served(daemon, path, port) as running:
            tab.until(f"!{lost} && document.querySelector('.where').innerText.includes('{commit[:12]}')")
            assert tab.loads == 1
            assert {each.partition(":")[0] for each in tab.troubles} == {"network"}
            eventually(lambda: running.end() == 0)
