"""Random ontologies and random histories of commits over them, and passes that are cut off under way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pygit2
from hypothesis import strategies as st

from tests import engines
from visionflow_daemon.errors import PageError, TransientError
from visionflow_daemon.formats.choose import read_page, reading_digest
from visionflow_daemon.git.repository import find_local
from visionflow_daemon.model import DEFAULT_PREFIXES, Reading
from visionflow_daemon.storage.database import Database
from visionflow_daemon.storage.dump import dump
from visionflow_daemon.storage.migrate import migrate
from visionflow_daemon.storage.sqlite import SqliteDatabase
from visionflow_daemon.storage.writer import Content, Writer
from visionflow_daemon.sync.job import Job, Services
from visionflow_daemon.sync.run import Summary, run_pass

SPACE = "https://t.example/a#"
READING = Reading(prefixes={**DEFAULT_PREFIXES, "a": SPACE})
OTHER_READING = Reading(prefixes={**DEFAULT_PREFIXES, "a": "https://t.example/b#"})
NAMES = ["Alpha", "Beta", "Gamma", "Ωmega", "alpha"]
PATHS = ["Alpha.md", "Beta.md", "beta.md", "Gamma.md", "node.md", "node.md/Alpha.md", "d/Ωmega.md", "x.ttl", "d/y.ttl"]
IRIS = [f"{SPACE}{name}" for name in ("Alpha", "Beta", "Gamma", "Delta")]
GLOBS = [("*.md", "*.ttl"), ("*.md",), ("*.md", "*.ttl", "!d/")]
SIGNATURE = pygit2.Signature("T", "t@example.org", 1_700_000_000, 0)

iri = st.sampled_from(IRIS)
name = st.sampled_from(NAMES)
few_iris = st.lists(iri, max_size=2)
few_names = st.lists(name, max_size=2)


def _jsonld(iri_: str, label: str, parents: list[str], related: list[str]) -> str:
    block = {"@id": iri_, "@type": "Class", "label": label, "subClassOf": [{"@id": each} for each in parents]}
    block |= {"relations": {"hasPart": [{"@id": each} for each in related]}}
    return f"```json-ld\n{json.dumps(block)}\n```\n"


def _outline(iri_: str, label: str, parents: list[str], related: list[str], alias: str) -> str:
    said = [f"owl:class:: <{iri_}>", f"preferred-term:: {label}", f"alias:: {alias}"]
    said += [f"is-subclass-of:: [[{each}]]" for each in parents] + [f"has-part:: [[{each}]]" for each in related]
    axioms = "".join(f"\t\t  SubClassOf(a:Alpha a:{each})\n" for each in ("Beta", "Gamma")[: len(related)])
    return "- ### OntologyBlock\n" + "".join(f"\t- {each}\n" for each in said) + f"\t- ```owl\n{axioms}\t\t  ```\n"


def _iri_first(iri_: str, label: str, related: list[str]) -> str:
    links = ", ".join(f"[[{each}]]" for each in related)
    return f"iri:: {iri_}\nrdf-type:: owl:Class\npreferred-term:: {label}\n\n- is-subclass-of:: {links}\n"


def _turtle(declared: list[str], parents: list[str]) -> str:
    lines = [f"<{each}> a <http://www.w3.org/2002/07/owl#Class> ." for each in declared]
    lines += [
        f"<{child}> <http://www.w3.org/2000/01/rdf-schema#subClassOf> <{parent}> ."
        for child in declared
        for parent in parents
    ]
    return "\n".join(lines) + "\n<urn:i> <urn:p> [ <urn:q> 1 ] .\n"


markdown = st.one_of(
    st.builds(_jsonld, iri, name, few_iris, few_iris),
    st.builds(_outline, iri, name, few_names, few_names, name),
    st.builds(_iri_first, iri, name, few_names),
    st.just("- nothing of note\n"),
    st.just("```json-ld\n{ broken\n```\n"),
    st.just("- ### OntologyBlock\n\t- owl:class:: nowhere:Alpha\n"),
)
turtle = st.one_of(st.builds(_turtle, st.lists(iri, max_size=3), few_iris), st.just("<urn:broken"))


@dataclass(frozen=True, slots=True)
class Step:
    """One commit: what it changes, which earlier commit it stands on, and the pass that follows it, if any."""

    changes: dict[str, str | None]
    moves: tuple[str, str] | None
    back: int
    is_synced: bool
    workers: int
    globs: tuple[str, ...]
    has_other_prefix: bool
    dies_after: int | None
    dies_inside: bool
    faults: frozenset[int]

    @property
    def reading(self) -> Reading:
        """How the files are read."""
        return OTHER_READING if self.has_other_prefix else READING


@st.composite
def steps(draw: st.DrawFn) -> Step:
    """Draw one step."""
    paths = draw(st.lists(st.sampled_from(PATHS), min_size=1, max_size=3, unique=True))
    changes = {path: draw(st.none() | (turtle if path.endswith(".ttl") else markdown)) for path in paths}
    return Step(
        changes,
        draw(st.none() | st.tuples(st.sampled_from(PATHS[:6]), st.sampled_from(PATHS[:6]))),
        draw(st.sampled_from([0, 0, 0, 0, 1, 2, 5])),
        draw(st.booleans()),
        draw(st.integers(1, 8)),
        draw(st.sampled_from([GLOBS[0], GLOBS[0], GLOBS[0], *GLOBS[1:]])),
        draw(st.sampled_from([False, False, False, True])),
        draw(st.none() | st.integers(1, 8)),
        draw(st.booleans()),
        draw(st.frozensets(st.integers(1, 12), max_size=4)),
    )


histories = st.lists(steps(), min_size=1, max_size=6)


class Killed(BaseException):
    """Ends a process in a test."""


class Doomed(engines.Engine):
    """A database whose process dies around one of its transactions, and which is busy at some of them."""

    def doom(self, step: Step) -> None:
        """Say when to die, and when to be busy."""
        self.step = step
        self.begun = 0

    @contextmanager
    def transaction(self, *, in_order: bool = True) -> Iterator[None]:
        """Write, or don't."""
        self.begun += 1
        begun, dies_after = self.begun, self.step.dies_after
        if begun in self.step.faults:
            raise TransientError("busy, as planned")
        if dies_after is not None and begun > dies_after:
            raise Killed
        with super().transaction(in_order=in_order):
            yield
            if begun == dies_after and self.step.dies_inside:
                raise Killed
        if begun == dies_after:
            raise Killed


@dataclass
class World:
    """A repository, a database, and a clock."""

    folder: Path
    commits: list[pygit2.Oid] = field(default_factory=list)
    trees: list[dict[str, str]] = field(default_factory=list)
    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def __post_init__(self) -> None:
        """Make the repository."""
        self.repository = pygit2.init_repository(str(self.folder / "repo.git"), bare=True)

    def commit(self, step: Step) -> None:
        """Write a commit on an earlier one, and let the branch be there."""
        base = max(len(self.commits) - 1 - step.back, -1)
        files = dict(self.trees[base]) if base >= 0 else {}
        if step.moves and step.moves[0] in files:
            files[step.moves[1]] = files.pop(step.moves[0])
        for path, content in step.changes.items():
            if content is None:
                files.pop(path, None)
            else:
                files[path] = content
        for path in list(files):
            if any(other.startswith(f"{path}/") for other in files):
                del files[path]
        index = pygit2.Index()
        for path, content in files.items():
            blob = self.repository.create_blob(content.encode())
            index.add(pygit2.IndexEntry(path, blob, pygit2.enums.FileMode.BLOB))
        parents = [self.commits[base]] if base >= 0 else []
        tree = index.write_tree(self.repository)
        made = self.repository.create_commit(None, SIGNATURE, SIGNATURE, "step", tree, parents)
        self.repository.references.create("refs/heads/main", made, force=True)
        self.commits.append(made)
        self.trees.append(files)

    def sync(self, database: Database, step: Step, workers: int | None = None) -> Summary:
        """Run a pass to the branch's commit."""
        job = Job("o", step.globs, (), step.reading, workers or step.workers, 4, 5.0)
        services = Services(database, now=lambda: self.now, sleep=lambda _: None)
        return run_pass(job, services, lambda: find_local(self.repository.path, "main", self.folder))

    def sync_and_maybe_die(self, step: Step) -> None:
        """Run a pass that its step's fate may cut off; the process that comes next opens the database anew."""
        engines.migrated(self.folder / "lived.db").close()
        database = Doomed(self.folder / "lived.db")
        database.doom(step)
        try:
            self.sync(database, step)
        except (Killed, TransientError):
            pass
        finally:
            database.close()

    def saved(self) -> dict[bytes, str]:
        """Give the files that the database holds facts of, with the content that they come from."""
        if not engines.exists(self.folder / "lived.db"):
            return {}
        database = engines.opened(self.folder / "lived.db")
        try:
            return dict(database.rows("SELECT path, blob_saved FROM source_files WHERE blob_saved IS NOT NULL"))
        finally:
            database.close()

    def healthy_sync(self, step: Step) -> Summary:
        """Run a pass in good health, when everything in the ledger is due."""
        self.now += timedelta(days=1)
        database = engines.migrated(self.folder / "lived.db")
        try:
            return self.sync(database, step)
        finally:
            database.close()

    def dumps(self, step: Step) -> tuple[list[bytes], list[bytes]]:
        """Give the dump of the database that lived, and that of a fresh one fed the same paths and saved blobs."""
        lived = engines.opened(self.folder / "lived.db")
        fresh = SqliteDatabase(self.folder / "fresh.db", is_scratch=True)
        migrate(fresh)
        writer = Writer(fresh, "o", lambda: "t")
        try:
            for path, blob in lived.rows("SELECT path, blob_saved FROM source_files WHERE blob_saved IS NOT NULL"):
                data = self.repository[blob].data
                writer.save(Content(path, blob, reading_digest(step.reading)), read_page(path, data, step.reading))
            return list(dump(lived, "o")), list(dump(fresh, "o"))
        finally:
            lived.close()
            fresh.close()

    def good_files(self, step: Step, selects: object) -> dict[bytes, str]:
        """Give the selected files of the newest commit that can be read, with their blobs."""
        found = {}
        for path, content in self.trees[-1].items():
            raw = path.encode()
            try:
                read_page(raw, content.encode(), step.reading)
            except PageError:
                continue
            if selects(raw):  # type: ignore[operator]
                found[raw] = str(pygit2.hash(content.encode()))
        return found
