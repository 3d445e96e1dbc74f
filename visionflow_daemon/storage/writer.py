"""Writes one file at a time: its facts, and all that follows from them, in one transaction."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from visionflow_daemon.errors import UnforeseenError
from visionflow_daemon.model import Page, display_path
from visionflow_daemon.storage import derive, facts, foresight, links
from visionflow_daemon.storage.database import Database
from visionflow_daemon.storage.facts import File, Touched
from visionflow_daemon.storage.foresight import Foresight
from visionflow_daemon.storage.legacy import remainder

FIND = "SELECT file_id FROM source_files WHERE ontology_id = ? AND path = ?"
NEXT_ID = "SELECT COALESCE(MAX(file_id), 0) + 1 FROM source_files WHERE ontology_id = ?"
SAVE = (
    "INSERT INTO source_files (ontology_id, file_id, path, display_path, status, blob_seen, digest_seen, blob_saved,"
    " digest_saved, reason, saved_at, format, is_public, outbound_links)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (ontology_id, file_id) DO UPDATE SET status = excluded.status, blob_seen = excluded.blob_seen,"
    " digest_seen = excluded.digest_seen, blob_saved = excluded.blob_saved, digest_saved = excluded.digest_saved,"
    " reason = excluded.reason, saved_at = excluded.saved_at, format = excluded.format,"
    " is_public = excluded.is_public, outbound_links = excluded.outbound_links, failure_class = NULL, line = NULL,"
    " attempts = 0, first_failed_at = NULL, last_failed_at = NULL, next_attempt_at = NULL"
)
FAIL = (
    "INSERT INTO source_files (ontology_id, file_id, path, display_path, status, blob_seen, digest_seen, reason,"
    " failure_class, line, attempts, first_failed_at, last_failed_at, next_attempt_at)"
    " VALUES (?, ?, ?, ?, 'failed', ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (ontology_id, file_id) DO UPDATE SET status = 'failed', blob_seen = excluded.blob_seen,"
    " digest_seen = excluded.digest_seen, reason = excluded.reason, failure_class = excluded.failure_class,"
    " line = excluded.line, attempts = excluded.attempts"
    " + CASE source_files.blob_seen WHEN excluded.blob_seen THEN source_files.attempts ELSE 0 END,"
    " first_failed_at = COALESCE(source_files.first_failed_at, excluded.first_failed_at),"
    " last_failed_at = excluded.last_failed_at, next_attempt_at = excluded.next_attempt_at"
)
REREAD = "UPDATE source_files SET digest_saved = ? WHERE ontology_id = ? AND file_id = ?"
SET_PAGE = "UPDATE source_files SET format = ?, is_public = ?, outbound_links = ? WHERE ontology_id = ? AND file_id = ?"
DROP_STRAY_AXIOMS = "DELETE FROM owl_axioms WHERE ontology_id = ? AND file_id = ? AND id NOT BETWEEN ? AND ?"
DROP = "DELETE FROM source_files WHERE ontology_id = ? AND file_id = ?"


@dataclass(frozen=True, slots=True)
class Content:
    """What a file holds: its path, its blob, and the digest of how it is read."""

    path: bytes
    blob: str
    digest: str


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a file could not be saved. `next_attempt_at` is None when only other content can help."""

    failure_class: str
    reason: str
    line: int | None = None
    attempts: int = 1
    next_attempt_at: str | None = None


class Writer:
    """Writes the files of one ontology. Safe to use from many threads at once."""

    def __init__(self, database: Database, ontology_id: str, clock: Callable[[], str]) -> None:
        self.database = database
        self.ontology_id = ontology_id
        self._clock = clock
        self._numbering = threading.Lock()
        self._next_id: int | None = None
        """Asked for once: while a writer is at work, the lock of the ontology keeps others away."""
        self._has_remainder: bool | None = None
        """Whether facts of an old database are left that a page may claim; asked for once, too."""

    def save(self, content: Content, page: Page) -> None:
        """Make a file's facts those of `page`; a page that is skipped has none."""
        now = self._clock()
        try:
            self._save(content, page, now, looks_ahead=self.database.is_ordered and not self._remains())
        except UnforeseenError:
            self._save(content, page, now, looks_ahead=False)

    def _save(self, content: Content, page: Page, now: str, *, looks_ahead: bool) -> None:
        status = "skipped" if page.skip_reason else "saved"
        with self.database.transaction(in_order=False):
            seen = foresight.look(self.database, self.ontology_id, page) if looks_ahead else None
            file = self._file(content.path)
            foreseen = seen() if seen is not None and file.is_new else None
            if not file.is_new:
                self.database.in_order()
            values = (status, content.blob, content.digest, content.blob, content.digest, page.skip_reason, now)
            name = (content.path, display_path(content.path))
            self.database.run(SAVE, (self.ontology_id, file.file_id, *name, *values, *facts.page_values(page)))
            if foreseen is not None:
                self._add(file, page, foreseen, now)
            else:
                self._replace(file, page, now)

    def mend(self, path: bytes, page: Page | None) -> None:
        """Make a known file's facts those of `page`, whatever was done to them; what is known of the file stays."""
        with self.database.transaction():
            file = self._file(path)
            if not file.is_new:
                self.database.run(DROP_STRAY_AXIOMS, (self.ontology_id, file.file_id, *file.axiom_ids))
                self._set_page(file, page)
                self._replace(file, page, self._clock())

    def fail(self, content: Content, failure: Failure, kept: Page | None = None) -> None:
        """Put a file into the ledger; it keeps the facts of its last good content.

        `kept` is that content, where it was read anew: by the rules of today it may say other things.
        """
        now = self._clock()
        with self.database.transaction():
            file = self._file(content.path)
            self.database.run(
                FAIL,
                (
                    self.ontology_id,
                    file.file_id,
                    content.path,
                    display_path(content.path),
                    content.blob,
                    content.digest,
                    failure.reason,
                    failure.failure_class,
                    failure.line,
                    failure.attempts,
                    now,
                    now,
                    failure.next_attempt_at,
                ),
            )
            if kept is not None:
                self.database.run(REREAD, (content.digest, self.ontology_id, file.file_id))
                self._set_page(file, kept)
                self._replace(file, kept, now)

    def delete(self, path: bytes) -> bool:
        """Take out a file that is gone from the tree, with all its facts. Tells whether there was one."""
        with self.database.transaction():
            file = self._file(path)
            if file.is_new:
                return False
            self._replace(file, None, self._clock())
            self.database.run(DROP, (self.ontology_id, file.file_id))
        return True

    def _file(self, path: bytes) -> File:
        if known := self.database.row(FIND, (self.ontology_id, path)):
            return File(self.ontology_id, known[0], path)
        with self._numbering:
            if self._next_id is None:
                (self._next_id,) = self.database.row(NEXT_ID, (self.ontology_id,)) or (1,)
            file_id, self._next_id = self._next_id, self._next_id + 1
        return File(self.ontology_id, file_id, path, is_new=True)

    def _set_page(self, file: File, page: Page | None) -> None:
        self.database.run(SET_PAGE, (*facts.page_values(page), self.ontology_id, file.file_id))

    def _replace(self, file: File, page: Page | None, now: str) -> None:
        """Replace the facts, let links follow the names that changed, derive what was touched.

        What a new file says by itself is written beside other transactions: no other looks at it before it is
        committed. All else waits for its turn, and sees what came before; to be short, it asks for results last.
        """
        database, touched = self.database, Touched()
        facts.PAGE_WARNINGS.replace(database, file, facts.warning_rows(page))
        class_rows = facts.class_rows(page, file.path)
        gone, _ = facts.CLASS_FACTS.replace(database, file, class_rows)
        touched.declared = {key[0] for key in class_rows}
        touched.classes = touched.declared | {key[0] for key in gone}
        gone, came = facts.PROPERTY_FACTS.replace(database, file, facts.property_rows(page, file.path))
        touched.properties = {key[0] for key in (*gone, *came)}
        stated = facts.axiom_rows(page, {})
        if file.is_new:
            facts.add_axioms(database, file, stated, 0, touched, now)

        names = links.renamed(database, file, page)
        own = links.resolve(database, self.ontology_id, page)
        facts.LINKS.replace(database, file, facts.link_rows(own))
        axioms = facts.axiom_rows(page, own)
        if file.is_new:
            made_by_links = {key: values for key, values in axioms.items() if key not in stated}
            facts.add_axioms(database, file, made_by_links, len(stated), touched, now)
        else:
            facts.replace_axioms(database, file, axioms, touched, now)
        if page is not None and self._remains():
            remainder.take_over(database, self.ontology_id, page, touched)
        elif file.is_new:  # nothing goes, so that what follows from the file itself needs no look at its links' names
            derive.derive(database, self.ontology_id, touched, now)
            touched = Touched()
        links.move(database, self.ontology_id, file.file_id, names(), touched, now)
        derive.derive(database, self.ontology_id, touched, now)

    def _add(self, file: File, page: Page, foreseen: Foresight, now: str) -> None:
        """Add the facts of a new file, and derive what was touched, without a look at any result."""
        database = self.database
        class_rows = facts.class_rows(page, file.path)
        declared = {key[0] for key in class_rows}
        touched = Touched(declared, declared, are_uses_known=True)
        own = foreseen.resolve(page)
        facts.PAGE_WARNINGS.replace(database, file, facts.warning_rows(page))
        facts.CLASS_FACTS.replace(database, file, class_rows)
        facts.PAGE_NAMES.replace(database, file, facts.name_rows(page, file.path))
        facts.LINKS.replace(database, file, facts.link_rows(own))
        facts.add_axioms(database, file, facts.axiom_rows(page, own), 0, touched, now)
        database.in_order()
        foreseen.check(database, file)
        links.carry_out(database, self.ontology_id, foreseen.moves, touched, now)
        derive.derive(database, self.ontology_id, touched, now)

    def _remains(self) -> bool:
        if self._has_remainder is None:
            self._has_remainder = remainder.exists(self.database, self.ontology_id)
        return self._has_remainder
