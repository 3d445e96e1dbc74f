"""The states that an operator meets, each as a board and what the database holds, to be looked at in a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random

from tests.ops.support import START, Clock, failure, run, summary
from visionflow_daemon.errors import ExitCode
from visionflow_daemon.model import timestamp
from visionflow_daemon.ops.board import Board
from visionflow_daemon.ops.http import serve
from visionflow_daemon.ops.readers import Held, Readers
from visionflow_daemon.storage.checkpoint import LastRun, Tally
from visionflow_daemon.storage.files import Totals
from visionflow_daemon.sync.breaker import Breaker, Guarded

HOSTILE = (
    '</code></td></title></style><script>window.owned=1;alert(1)</script><img src=x onerror="window.owned=2">\''
    "\"onmouseover='window.owned=3'\u202edesrever\u2066\x1b[31m\x00\u2028&amp;\udcff${window.owned=4}{{7*7}}"
)
"""Markup, quotes, what turns the direction of writing, control characters, half a surrogate, templates."""

LONG = "Pneumonoultramicroscopicsilicovolcanoconiosis" * 6
WHERE = "https://git.example.org/ontologies/knowledge.git"
COMMIT = "4f1c9d20b7a85e63c1f0d94ab2768e35fd10c9a4"


def passes(count: int, seed: int = 7) -> tuple[LastRun, ...]:
    """Tell of past passes: mostly small ones, a first sync, now and then one that went wrong."""
    random = Random(seed)  # noqa: S311 - for looks
    told = []
    for number in range(count):
        began = START - timedelta(minutes=7 * number + random.randrange(4), seconds=random.randrange(60))
        saved, took, status, failed, error = random.randrange(1, 40), random.randrange(1, 5), "finished", 0, None
        if number == count - 1:
            saved, took = 974, 41
        elif number % 11 == 4:
            status, error, saved = "failed", "the remote did not answer within 30 seconds", 0
        elif number % 13 == 6:
            failed = 2
        elif number == 9:
            status, error, took = "held", "deletions of 412 of 974 classes are held", 9
        ended = timestamp(began + timedelta(seconds=took))
        told.append(
            run(
                run_id=f"r{number}",
                status=status,
                started_at=timestamp(began),
                progress_at=ended,
                finished_at=ended,
                plan_reason="changes since 5e63c1f0d94a" if number < count - 1 else "this is the first pass",
                planned=saved,
                saved=saved,
                skipped=saved // 5,
                failed=failed,
                error=error,
            )
        )
    return tuple(told)


WELL = Held(Totals(974, 122, 0, 14, 962, 1_310, 58, 940, 6_204, 3), COMMIT, "main", passes(40))
FAILED = replace(
    WELL,
    totals=replace(WELL.totals, failed=3),  # type: ignore[type-var]
    failures=(
        failure("pages/Autonomous Vehicle.md", "bad JSON: Expecting ',' delimiter", 17),
        failure("pages/Ethics/Fairness in Machine Learning.md", "the class IRI 'mv:Fair ness' holds a space", 4),
        failure("rdf/vocabulary.ttl", "nested deeper than 200", None),
    ),
)


@dataclass
class Stage:
    """A board, a clock, and what database and state directory say of each source."""

    clock: Clock = field(default_factory=Clock)
    held: dict[str, Held] = field(default_factory=dict)
    breakers: dict[str, list[Breaker]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.board = Board(self.clock.now, self.clock.monotonic)
        self.clock.pass_by(3 * 86_400 + 7_260)

    def source(self, name: str, held: Held = WELL, where: str = WHERE, *, is_well: bool = True) -> str:
        """Make a source known, and in step unless told otherwise."""
        self.board.source_known(name, where, "main", 60)
        self.held[name] = held
        if is_well:
            self.board.pass_done(name, summary(ontology_id=name, commit=COMMIT))
        self.board.next_due(name, self.clock.now() + timedelta(seconds=42))
        return name

    def syncing(self, name: str, planned: int, done: int, failed: int = 0) -> None:
        """Let a pass be under way."""
        self.board.pass_begun(name, "commit 4f1c9d20b7a8")
        self.board.planned(name, planned)
        self.clock.pass_by(12)
        self.board.moved(name, Tally(saved=done - failed, failed=failed))

    def readers(self) -> Readers:
        """Give readers that say so."""
        return Readers(
            lambda name: self.held.get(name, Held()),
            lambda name: self.breakers.get(name, [Breaker(each) for each in Guarded]),
            lambda _: None,
        )

    def breaks(self, name: str, reason: str) -> None:
        """Open the breaker of a source's remote."""
        now = self.clock.now()
        since, retry = timestamp(now - timedelta(minutes=12)), timestamp(now + timedelta(seconds=299))
        self.breakers[name] = [Breaker(Guarded.REMOTE, 6, since, reason, retry)]
        self.board.next_due(name, now + timedelta(seconds=299))

    @contextmanager
    def shown(self) -> Iterator[str]:
        """Serve it, and give the page's URL."""
        with serve(self.board, self.readers()) as server:
            yield f"http://127.0.0.1:{server.server_address[1]}/"


def idle() -> Stage:
    """Two sources in step, one of them with failed files."""
    stage = Stage()
    stage.source("knowledge")
    stage.source("drafts", FAILED, "/home/ada/notes")
    return stage


def syncing() -> Stage:
    """A first sync under way beside a source that looks for changes."""
    stage = Stage()
    stage.source("knowledge", replace(FAILED, runs=passes(1)), is_well=False)
    stage.source("drafts")
    stage.board.pass_begun("drafts", "interval")
    stage.syncing("knowledge", 12_480, 4_317, 3)
    return stage


def failing() -> Stage:
    """A source that fails again and again beside one in step."""
    stage = Stage()
    name = stage.source("knowledge")
    stage.clock.pass_by(140)
    for _ in range(4):
        stage.board.pass_failed(name, f"{WHERE}: it took longer than 30 seconds", ExitCode.REMOTE)
        stage.clock.pass_by(60)
    stage.source("drafts")
    return stage


def broken() -> Stage:
    """An open breaker."""
    stage = failing()
    stage.breaks("knowledge", f"{WHERE}: it took longer than 30 seconds")
    return stage


def held() -> Stage:
    """Deletions that are held."""
    stage = Stage()
    name = stage.source("knowledge")
    stage.clock.pass_by(86_340)
    reason = (
        "412 of 974 classes would be declared by no file any more (42 %, and 30 % are allowed): the deletions are "
        "held, all else is saved; --allow-mass-delete lets them go"
    )
    stage.board.pass_failed(name, reason, ExitCode.HELD)
    return stage


def gone() -> Stage:
    """A database that can't be read, and a source that never came through."""
    stage = Stage()
    problem = Held(problem="there is no database at /var/lib/kg.db: a first `visionflow-daemon --once` makes it")
    stage.source("knowledge", problem, is_well=False)
    return stage


def many() -> Stage:
    """Twelve sources, of all kinds."""
    stage = Stage()
    for number in range(12):
        name = stage.source(f"team-{number:02}", FAILED if number % 5 == 3 else WELL, f"{WHERE}?team={number}")
        if number == 2:
            stage.board.pass_failed(name, "the branch main is gone", ExitCode.REMOTE)
        if number == 4:
            stage.syncing(name, 300, 120)
        if number == 8:
            stage.breaks(name, "connection refused")
    return stage


def hostile() -> Stage:
    """Text that wants to be more than text, everywhere."""
    stage = Stage()
    text = HOSTILE + LONG
    rows = (run(status=text[:40], plan_reason=text), run(error=text, started_at=HOSTILE, finished_at=None))
    told = replace(
        FAILED, commit=HOSTILE, branch=HOSTILE, runs=rows, failures=(failure(text, text), failure(LONG, LONG))
    )
    name = stage.source(text[:200], told, f"https://me:opensesame@example.org/{text}", is_well=False)
    stage.board.pass_done(name, summary(ontology_id=name, commit=HOSTILE))
    stage.board.pass_failed(name, text, ExitCode.REMOTE)
    stage.breaks(name, text)
    other = stage.source("\u05d0\u05d1\u05d2" + LONG[:100], replace(told, problem=text), "/srv/" + text)
    stage.board.pass_begun(other, text)
    return stage


def empty() -> Stage:
    """No source yet."""
    return Stage()


STATES: dict[str, Callable[[], Stage]] = {
    each.__name__: each for each in (idle, syncing, failing, broken, held, gone, many, hostile, empty)
}
