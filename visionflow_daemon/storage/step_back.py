"""Takes our own schema back to an older version, for an older program."""

from __future__ import annotations

from visionflow_daemon.errors import DatabaseError
from visionflow_daemon.storage import files, migrate
from visionflow_daemon.storage.database import Database
from visionflow_daemon.storage.migrate import Migration
from visionflow_daemon.storage.remake import Place, Remade, remake, require_references, try_out

REMEMBERS = "SELECT EXISTS (SELECT 1 FROM legacy_schema) OR EXISTS (SELECT 1 FROM source_files WHERE file_id = 0)"


def step_back(place: Place, to: int, *, may_lose: bool, is_trial: bool = False) -> Remade[list[Migration]]:
    """Take migrations back until the schema is of a version; on a copy that is thrown away where it `is_trial`.

    Raises DatabaseError where something is lost with it, unless that is allowed; ConfigError for no such version.
    """

    def change(database: Database) -> list[Migration]:
        steps = migrate.steps_back(database, to)
        require_allowed(database, steps, may_lose=may_lose or is_trial)
        migrate.take_back(database, steps)
        there = {name for (name,) in database.rows("SELECT name FROM sqlite_master WHERE type = 'table'")}
        require_references(database, sorted(migrate.own_names() & there))
        return steps

    return try_out(place, change) if is_trial else remake(place, files.ontologies, change)


def require_allowed(database: Database, steps: list[Migration], *, may_lose: bool) -> None:
    """Raise DatabaseError where something is lost by going back, unless that is allowed."""
    if any(step.name == "legacy" for step in steps) and (database.row(REMEMBERS) or (0,))[0]:
        raise DatabaseError(
            f"{database.path} was made of an older VisionFlow's, and older versions can't keep what is remembered of "
            "it: `migrate down` without --to gives the old shape back. Nothing was touched"
        )
    losses = [f"version {step.version} loses {step.loses}" for step in steps if step.loses]
    if losses and not may_lose:
        raise DatabaseError(f"{'; '.join(losses)}: give --allow-loss to go back all the same. Nothing was touched")
