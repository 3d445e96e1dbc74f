"""All that is known of one file, with the lines of its page that a failure is about: `failures --explain`."""

from __future__ import annotations

import dataclasses
import difflib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import click
import pygit2

from visionflow_daemon.cli import tables
from visionflow_daemon.cli.advice import NOT_KNOWN, advice
from visionflow_daemon.config.values import Config, SourceConfig
from visionflow_daemon.environment import state_directory
from visionflow_daemon.errors import ConfigError, PageError, VisionflowError
from visionflow_daemon.formats.text import decode
from visionflow_daemon.git import changes, clone, repository
from visionflow_daemon.git.worktree.store import store_path
from visionflow_daemon.model import display_path, harmless
from visionflow_daemon.storage import checkpoint, files, ledger
from visionflow_daemon.storage.database import Database
from visionflow_daemon.storage.files import FileRecord, LeftOut

AROUND = 2
"""Lines shown before and after the one that a failure is about."""

LONGEST_LINE = 200
TAB = 4
COMPARED = 20_000
"""Files whose paths are compared with one that nobody knows: a second's work."""

SUGGESTED = 5


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a page, cut and made harmless. `is_meant`: the failure is about it."""

    number: int
    text: str
    is_meant: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that is known of one file. `unread` says why there is no excerpt where there should be one."""

    record: FileRecord
    warnings: list[LeftOut]
    excerpt: list[Line]
    unread: str | None
    advice: str

    @property
    def is_stale(self) -> bool:
        """Whether the facts in the database are those of an older content."""
        return self.record.status == "failed" and self.record.blob_saved is not None

    def as_json(self) -> dict[str, Any]:
        """Give it as an object."""
        known = dataclasses.asdict(self.record)
        known["path"] = known.pop("display_path")
        return {
            **known,
            "is_stale": self.is_stale,
            "warnings": [{"line": each.line, "message": each.message} for each in self.warnings],
            "excerpt": [dataclasses.asdict(line) for line in self.excerpt],
            "unread": self.unread,
            "advice": self.advice,
        }

    def rows(self) -> list[tuple[str, object]]:
        """Give the rows of a table for people."""
        record = self.record
        rows: list[tuple[str, object]] = [("path", record.display_path), ("status", record.status)]
        if record.status != "failed":
            rows += [("reason", record.reason)] if record.reason else []
            rows += [("format", record.format)] if record.format else []
            rows += [("content", record.blob)]
            rows += [("saved", record.saved_at)] if record.saved_at else []
        else:
            kept = f"kept as of {record.saved_at}" if self.is_stale else "none: it was never saved"
            rows += [
                ("class", record.failure_class),
                ("reason", record.reason),
                ("line", record.line),
                ("attempts", record.attempts),
                ("first failed", record.first_failed_at),
                ("last failed", record.last_failed_at),
                ("next attempt", record.next_attempt_at or "when its content or the way it is read changes"),
                ("content tried", record.blob),
                ("content held", record.blob_saved),
                ("format held", record.format),
                ("last good facts", kept),
            ]
        rows += [
            ("warning", f"line {each.line}: {each.message}" if each.line else each.message) for each in self.warnings
        ]
        return [*rows, ("what to do", self.advice)]


def tell(database: Database, ontology_id: str, config: Config, name: str, *, as_json: bool) -> None:
    """Print all that is known of the file of a name. Raises ConfigError where there is no such file."""
    repository.configure(config.network)
    explanation = explain(database, ontology_id, config, name)
    if as_json:
        tables.echo_json(explanation.as_json())
        return
    # A row's number stands to the left, as text does: each row is about something else.
    tables.echo((what, None if value is None else str(value)) for what, value in explanation.rows())
    if explanation.unread is not None:
        click.echo(harmless(f"the page can't be shown: {explanation.unread}"))
    width = max((len(str(line.number)) for line in explanation.excerpt), default=0)
    for line in explanation.excerpt:
        click.echo(f"{'>' if line.is_meant else ' '} {line.number:>{width}}  {line.text}".rstrip())


def explain(database: Database, ontology_id: str, config: Config, name: str) -> Explanation:
    """Gather all that is known of the file of a name: its path as it is, or as it is shown."""
    places = _places(database, ontology_id, config)
    shown = os.fsencode(name).decode("utf-8", "backslashreplace")
    record = files.record(database, ontology_id, os.fsencode(name), shown)
    if record is None:
        return _explain_unknown(database, ontology_id, config, places, os.fsencode(name))
    warnings = files.warnings_of(database, ontology_id, record.path)
    excerpt: list[Line] = []
    unread = None
    if record.status == "failed" and record.line is not None:
        excerpt, unread = _excerpt(config, ontology_id, places, record.blob, record.line)
    return Explanation(record, warnings, excerpt, unread, advice(record))


def _places(database: Database, ontology_id: str, config: Config) -> list[str]:
    """Give the locations where the source may be read: the one that is configured, and the one of the last pass.

    The files on disk that were synced are kept in a place of their own.
    """
    held = checkpoint.load(database, ontology_id)
    store = store_path(state_directory(os.environ), database.address.identity, ontology_id)
    found = [str(store)] if store.exists() else []
    sources = _sources_of(config, ontology_id)
    return found + [source.location for source in sources] + ([held.source] if held else [])


def _sources_of(config: Config, ontology_id: str) -> list[SourceConfig]:
    """Give the source of an ontology; where there is only one, it is that one, wherever it feeds."""
    return [each for each in config.sources if len(config.sources) == 1 or each.ontology_id == ontology_id]


@contextmanager
def _opened(config: Config, location: str) -> Iterator[pygit2.Repository]:
    """Open a source where it can be read without asking its remote. Raises SourceError."""
    place = clone.place_of(location, config.base, state_directory(os.environ))
    opened = repository.open_repository(place)
    try:
        yield opened
    finally:
        opened.free()


def _excerpt(
    config: Config, ontology_id: str, places: list[str], blob: str, line: int
) -> tuple[list[Line], str | None]:
    """Read the lines around a line of a blob, else say why that can't be done."""
    limits = config.reading_rules(next(iter(_sources_of(config, ontology_id)), None)).limits
    problems = []
    for location in places:
        try:
            with _opened(config, location) as opened:
                data = repository.read_blob(opened, blob, max(limits.page_bytes, limits.rdf_bytes))
        except (VisionflowError, OSError) as error:
            problems.append(str(error))
        else:
            return _around(_lines(data), line), None
    return [], problems[0]


def _lines(data: bytes) -> list[str]:
    """Part a page as its reader counted its lines: where it is no text, by line feeds alone."""
    try:
        return decode(data).split("\n")
    except PageError:
        return [line.decode("utf-8", "surrogateescape") for line in data.replace(b"\r\n", b"\n").split(b"\n")]


def _around(lines: list[str], meant: int) -> list[Line]:
    if len(lines) > meant and not lines[-1]:  # what is behind the last line feed is no line, but where a reader stops
        lines = lines[:-1]
    first = max(meant - AROUND, 1)
    near = enumerate(lines[first - 1 : meant + AROUND], first)
    return [Line(number, _shown(text), number == meant) for number, text in near]


def _shown(text: str) -> str:
    """Cut a line and make it harmless; a tab is shown as blanks, for a page's outline is made of them."""
    blank = text[: LONGEST_LINE + 1].expandtabs(TAB)
    return harmless(f"{blank[:LONGEST_LINE]}…" if len(blank) > LONGEST_LINE else blank)


def _explain_unknown(
    database: Database, ontology_id: str, config: Config, places: list[str], path: bytes
) -> Explanation:
    """Explain a file that the synced commit holds, and no pass has taken up. Raises ConfigError where it holds none."""
    held = checkpoint.load(database, ontology_id)
    treeish = held.treeish if held else None
    for location in places if treeish else ():
        try:
            with _opened(config, location) as opened:
                entry = changes.find(opened, treeish or "", path)
        except (VisionflowError, OSError, KeyError, ValueError, pygit2.GitError):
            continue  # then nothing is known of it here
        if entry is not None:
            record = FileRecord(path, display_path(path), NOT_KNOWN, None, entry.blob)
            return Explanation(record, [], [], None, advice(record))
    near = _close_matches(database, ontology_id, display_path(path))
    # Quoted as they are: escaped once more, they would be no names that can be given.
    quoted = " or ".join(f"'{each}'" for each in near)
    hint = f"; did you mean {quoted}?" if near else ""
    raise ConfigError(f"no file is known as '{display_path(path)}'{hint}")


def _close_matches(database: Database, ontology_id: str, name: str) -> list[str]:
    """Give known paths that look like a name: those in other folders first, then those of failed files."""
    failed = [entry.path for entry in ledger.entries(database, ontology_id)][:COMPARED]
    known = [display_path(file.path) for file in islice(files.known_files(database, ontology_id), COMPARED)]
    elsewhere = [path for path in known if path.endswith(f"/{name}")]
    near = difflib.get_close_matches(name, failed) + difflib.get_close_matches(name, known)
    return list(dict.fromkeys(elsewhere + near))[:SUGGESTED]
