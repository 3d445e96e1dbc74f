"""A day of the daemon's life, in minutes: it needs no more at its end than when it was warm, and is exact."""

from __future__ import annotations

import json
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

import pytest

from benchmarks.pages import Ontology
from tests.git.servers import free_port, git_daemon
from tests.ops.support import Web
from tests.support import Content, Daemon, Repo, Running, eventually, outline_page
from tests.vitals import Vitals, anonymous, arenas, measure

MOST_MB = 100
MORE_MB = 5
"""What the daemon may need at any time, and how much more than when it was warm."""

MOST_HEAPS = 1
"""Heaps beside the first."""

KEPT_MB = 10
"""What a first sync may leave behind: the readers of all formats are imported by then."""

PATHS = (
    *(("/metrics", {200}), ("/status", {200}), ("/", {200}), ("/livez", {200}), ("/metrics", {200})),
    *(("/readyz", {200, 503}), ("/nowhere", {404})),  # with intervals this short, the daemon is late at times
)
BROKEN = "```json-ld\n{ this is no JSON\n```\n"
SEED = 20_261


@dataclass(frozen=True, slots=True)
class Day:
    """How much happens: commits, other triggers for each of them, and pages of each source at its start."""

    commits: int
    hangups: int = 2
    touches: int = 1
    requests: int = 4
    pages: int = 120
    sources: int = 3
    rests: int = 20
    """How often all is waited for, and measured."""
    least: int = 0
    """Triggers that must have come by the evening."""


@dataclass
class Author:
    """Writes one repository: pages of all formats, changed, added, deleted, broken, mended, renamed, and rewound."""

    repo: Repo
    seed: int
    pages: int
    tree: dict[str, Content] = field(default_factory=dict)
    broken: set[str] = field(default_factory=set)
    past: list[tuple[str, dict[str, Content], set[str]]] = field(default_factory=list)
    did: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.random = Random(self.seed)  # noqa: S311 - for pages
        self.ontology = Ontology(self.seed, self.pages * 2)
        self.version = 1
        self._commit(dict(self._page(number) for number in range(self.pages)))

    def work(self) -> None:
        """Make one commit."""
        self.version += 1
        deeds = (self._change, self._add, self._delete, self._break, self._mend, self._rename, self._rewind)
        (deed,) = self.random.choices(deeds, weights=(50, 14, 10, 8, 6, 8, 4))
        self.did[deed.__name__.strip("_")] += 1
        deed()

    def mend_all(self) -> None:
        """Mend every page that is broken."""
        self.version += 1
        mended, self.broken = sorted(self.broken), set()
        self._commit({path: _mended(path, number) for number, path in enumerate(mended)})

    def _page(self, number: int) -> tuple[str, Content]:
        return self.ontology.page(number, self.version)

    def _commit(self, changes: dict[str, Content]) -> None:
        self.tree = {path: text for path, text in (self.tree | changes).items() if text is not None}
        tip = self.repo.commit(dict(changes), message=f"version {self.version}")
        self.past = [*self.past[-9:], (tip, dict(self.tree), set(self.broken))]

    def _any(self) -> str:
        return self.random.choice(sorted(self.tree))

    def _change(self) -> None:
        self._commit(dict(self._page(self.random.randrange(self.pages)) for _ in range(self.random.randrange(1, 4))))

    def _add(self) -> None:
        self._commit(dict([self._page(self.random.randrange(self.pages, self.pages * 2))]))

    def _delete(self) -> None:
        self._commit({self._any(): None} if len(self.tree) > self.pages * 0.8 else dict([self._page(0)]))

    def _break(self) -> None:
        path = self._any()
        self.broken.add(path)
        self._commit({path: BROKEN + f"<!-- {self.version} -->\n"})

    def _mend(self) -> None:
        path = min(self.broken, default="pages/Fresh.md")
        self.broken.discard(path)
        self._commit({path: _mended(path, self.version)})

    def _rename(self) -> None:
        path = self._any()
        moved = f"moved/{self.version % 40}-{Path(path).name[-60:]}"
        is_broken = path in self.broken
        self.broken -= {path, moved}
        self.broken |= {moved} if is_broken else set()
        self._commit({path: None, moved: self.tree[path]})

    def _rewind(self) -> None:
        """Push by force: go back a few commits, and another way from there."""
        self.past = self.past[: -self.random.randrange(1, 4)] or self.past[:1]
        commit, tree, broken = self.past[-1]
        self.tree, self.broken = dict(tree), set(broken)
        self.repo.set_tip(commit)
        self._change()


def _mended(path: str, number: int) -> str:
    if path.endswith(".ttl"):
        return f"<urn:t:mended:{number}> a <http://www.w3.org/2002/07/owl#Class> .\n"
    return outline_page(f"Mended {number}")


@dataclass
class Life:
    """The daemon, those who write its repositories, and those who ask for it."""

    daemon: Daemon
    running: Running
    web: Web
    authors: list[Author]
    day: Day
    config: Path
    triggers: Counter[str] = field(default_factory=Counter)
    requests: int = 0

    def live(self) -> Iterator[Vitals]:
        """Let the day pass; measure whenever all is in step."""
        every = max(self.day.commits // self.day.rests, 1)
        for number in range(self.day.commits):
            author = self.authors[number % len(self.authors)]
            author.work()
            self.triggers["commit"] += 1
            for _ in range(self.day.touches):
                self._touch(author.repo)
            for _ in range(self.day.hangups):
                if number % 25 == 0:
                    self._turn_the_interval(number)
                self.running.process.send_signal(signal.SIGHUP)
                self.triggers["hang-up"] += 1
            for request in range(self.day.requests):
                path, statuses = PATHS[(number + request) % len(PATHS)]
                assert self.web.get(path).status in statuses
                self.requests += 1
            if number % 2:
                self._catch_up(number % len(self.authors))
            if number % every == every - 1:
                self.rest()
                yield self.measure()

    def rest(self) -> None:
        """Wait until every source is in step."""
        for number in range(len(self.authors)):
            self._catch_up(number)

    def measure(self) -> Vitals:
        """Measure the daemon."""
        return measure(self.running.process.pid, self.daemon.folder / "kg.db", self.daemon.folder / "home")

    def looks(self) -> Counter[str]:
        """Count the passes, by what asked for them."""
        return Counter(line["why"] for line in list(self.running.events) if line["event"] == "pass asked for")

    def _catch_up(self, number: int) -> None:
        """Wait until one source is in step."""
        due = self.authors[number].repo.tip()
        eventually(lambda: self._commit_of(number) == due, 60)

    def _commit_of(self, number: int) -> str | None:
        told = json.loads(self.web.get("/status").body)["sources"]
        idle = {each["ontology_id"]: each["commit"] for each in told if each["activity"] == "idle"}
        return idle.get(f"s{number}")

    def _touch(self, repo: Repo) -> None:
        """Write to a branch's folder without moving the branch, as a fetch or `git gc` does."""
        path = repo.path / "refs" / "heads" / "main.lock"
        path.write_text("")
        path.unlink()
        self.triggers["file-system event"] += 1

    def _turn_the_interval(self, number: int) -> None:
        """Change what every source's turn is made of: its watch and its job are made anew."""
        text = self.config.read_text()
        self.config.write_text(text.replace("poll = 2.0", "poll = 2.5") if number % 50 else text.replace("2.5", "2.0"))


@contextmanager
def alive(daemon: Daemon, day: Day, *, is_remote: bool) -> Iterator[Life]:
    """Start a daemon for some repositories, served by git's own server if they are to be remote."""
    folder = daemon.folder / "sources"
    folder.mkdir()
    with ExitStack() as stack:
        base = stack.enter_context(git_daemon(folder)) if is_remote else str(folder)
        authors = [Author(Repo(folder / f"s{each}.git"), SEED + each, day.pages) for each in range(day.sources)]
        config = daemon.folder / "config.toml"
        text = f'database = "{daemon.folder / "kg.db"}"\n'
        for each in range(day.sources):
            text += f'[[sources]]\nlocation = "{base}/s{each}.git"\nontology_id = "s{each}"\n'
        port = free_port()
        interval = 0.5 if is_remote else 0.1
        text += f"[daemon]\ninterval = {interval}\njitter = 0.02\npoll = 2.0\n[http]\nport = {port}\n"
        text += '[log]\nlevel = "debug"\n'
        config.write_text(text)
        daemon.environment["VISIONFLOW_HTTP__PORT"] = str(port)
        running = stack.enter_context(daemon.running("--config", config))
        running.until("serving http")
        yield Life(daemon, running, Web(port), authors, day, config)


def tell(life: Life, told: list[Vitals]) -> None:
    """Print what was measured; pytest shows it with -rP, or where a test fails."""
    looks = life.looks()
    print(dict(life.triggers), "requests:", life.requests, "passes:", looks.total())  # noqa: T201
    print({name: sum(author.did[name] for author in life.authors) for name in life.authors[0].did})  # noqa: T201
    for each in told:
        print(each)  # noqa: T201


WHOLE = Day(1_000, hangups=4, touches=4, requests=6, least=10_000)
DAYS = [
    pytest.param(Day(60, rests=6), False, id="local"),
    pytest.param(Day(20, rests=5, sources=1), True, id="remote"),
    pytest.param(WHOLE, False, id="local whole", marks=pytest.mark.deep),
    pytest.param(replace(WHOLE, hangups=5, sources=1), True, id="remote whole", marks=pytest.mark.deep),
]


@pytest.mark.parametrize(("day", "is_remote"), DAYS)
def test_a_day_of_life_needs_no_more_than_its_morning(daemon: Daemon, day: Day, *, is_remote: bool) -> None:
    with alive(daemon, day, is_remote=is_remote) as life:
        life.rest()
        told = [life.measure(), *life.live()]
        for author in life.authors:
            author.mend_all()
        life.rest()
        told.append(life.measure())
        life.triggers["interval"] = life.looks()["interval"]
        tell(life, told)
        assert life.running.end() == 0
    assert life.triggers.total() >= day.least
    warm = told[max(len(told) // 10, 2) :]
    assert max(each.resident for each in told) < MOST_MB
    assert max(each.resident for each in warm) - warm[0].resident < MORE_MB
    assert max(each.threads for each in warm) - min(each.threads for each in warm) <= 1
    assert max(each.descriptors for each in warm) - min(each.descriptors for each in warm) <= 2
    assert len({each.watches for each in warm}) == 1
    assert max(each.children for each in warm) == 0
    assert max(each.packs for each in told) < 60
    assert not [line for line in life.running.events if line["event"] in {"pass failed", "http answer failed"}]
    for number, author in enumerate(life.authors):
        name = f"s{number}"
        daemon.once(author.repo.path, "--ontology-id", name, database=f"fresh-{name}.db")
        assert daemon.dump_bytes("kg.db", "--ontology-id", name) == daemon.dump_bytes(
            f"fresh-{name}.db", "--ontology-id", name
        )


@pytest.mark.parametrize("asked", ["", "16"], ids=["by itself", "as the environment asks"])
def test_threads_share_a_few_heaps(repo: Repo, daemon: Daemon, asked: str) -> None:
    """See that no thread gets a heap of its own, which no other could use, unless somebody wants it so."""
    port = free_port()
    daemon.environment |= {"VISIONFLOW_HTTP__PORT": str(port)} | ({"MALLOC_ARENA_MAX": asked} if asked else {})
    repo.commit({f"p{number}.md": outline_page(f"Page {number}") for number in range(200)})
    with daemon.running("--source", repo.path, "--database", "kg.db", "--workers", "8") as running:
        running.until("pass finished")
        with ThreadPoolExecutor(8) as askers:
            assert {each.status for each in askers.map(Web(port).get, ["/metrics", "/status", "/"] * 20)} == {200}
        assert (arenas(running.process.pid) > MOST_HEAPS) is bool(asked)
        assert running.end() == 0


def test_what_a_first_sync_took_goes_back(repo: Repo, daemon: Daemon) -> None:
    """Compare the memory after a first sync with that of a daemon that had nothing to do."""
    repo.commit(dict(Ontology(SEED, 500).pages()))
    needed = []
    for event in ("pass finished", "nothing to do"):
        with daemon.running("--source", repo.path, "--database", "kg.db") as running:
            running.until(event, timeout=60)
            needed.append(anonymous(running.process.pid))
            assert running.end() == 0
    assert needed[0] - needed[1] < KEPT_MB
