"""What a database is: an older VisionFlow's, ours, or one of ours that was made of an older one's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from visionflow_daemon.storage import migrate, trouble
from visionflow_daemon.storage.database import Database
from visionflow_daemon.storage.legacy import archive, quarantine, remainder
from visionflow_daemon.storage.legacy.remainder import Remainder
from visionflow_daemon.storage.legacy.shapes import foreign_tables, shape_of
from visionflow_daemon.storage.remake import Place, opened


@dataclass(frozen=True, slots=True)
class LegacyStanding:
    """What a database is, what `migrate up` would do, and what is left of an older one."""

    database: str
    what: str
    version: int
    newest: int
    would: str
    shape: str | None = None
    reasons: tuple[str, ...] = ()
    rows: Mapping[str, int] = field(default_factory=dict)
    remainders: Mapping[str, Remainder] = field(default_factory=dict)
    quarantine: Mapping[str, Mapping[str, int]] = field(default_factory=dict)


def look(place: Place) -> LegacyStanding:
    """Look at a database, without a change."""
    with opened(place.reading()) as database, trouble.told(database.path):
        return _foreign(database) if foreign_tables(database) else _own(database)


def _foreign(database: Database) -> LegacyStanding:
    shape = shape_of(database)
    rows = {name: int((database.row(f"SELECT COUNT(*) FROM {name}") or (0,))[0]) for name in shape.tables}
    return LegacyStanding(
        database=str(database.path),
        what=f"of an older VisionFlow, shape {shape.name}",
        version=0,
        newest=migrate.migrations()[-1].version,
        would="back it up and adopt it; `migrate up --dry-run` tells what becomes of each row",
        shape=shape.name,
        reasons=shape.reasons,
        rows=rows,
    )


def _own(database: Database) -> LegacyStanding:
    due = migrate.pending(database)
    version = migrate.current_version(database)
    remembers = migrate.is_applied(database, "legacy")
    was = archive.old_shape(database) if remembers and archive.tables(database) else None
    would = f"apply {', '.join(f'{each.version:04} {each.name}' for each in due)}" if due else "do nothing"
    return LegacyStanding(
        database=str(database.path),
        what=f"ours, made of shape {was.name} of an older VisionFlow" if was else "ours",
        version=version,
        newest=migrate.migrations()[-1].version,
        would=would,
        shape=was.name if was else None,
        reasons=was.reasons if was else (),
        remainders=remainder.all_of(database) if remembers else {},
        quarantine=quarantine.counts(database) if remembers else {},
    )
