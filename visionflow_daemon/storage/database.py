"""What a database is to the rest of the program, whichever engine keeps it: SQL, transactions, snapshots.

Statements are written with `?` and keep to one text each, so that the driver prepares them once. They say what all
engines understand; the few words that they don't share are the marks below, which an engine reads in its own way.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import orjson
import peewee

from visionflow_daemon.errors import ConfigError

EACH_OF = "json_each(?)"
"""SQL for a table of the texts, in its column `value`, of a list given as one parameter, made by `array`."""

ANY_OF = f"IN (SELECT value FROM {EACH_OF} each)"
"""SQL for membership in a list of texts given as one parameter, made by `array`."""

EACH_ROW_OF = "json_each(?, '$')"
"""SQL for a table of the lists, in its column `value`, of a list of lists; `value->>0` is the first text of one."""

ANY_NUMBER_OF = f"IN (SELECT CAST(value AS INTEGER) FROM {EACH_OF} each)"
"""SQL for membership in a list of numbers of 31 bits."""

SQLITE = "sqlite"
POSTGRESQL = "postgresql"
"""The engines, as the folders of their migrations are called."""

BUSY_TIMEOUT = 5.0
"""Seconds that a statement waits for another's lock, unless the configuration says otherwise."""

Row = tuple[Any, ...]

Observe = Callable[[float, float], None]
"""Is told of each write that came through: seconds waited for the lock, and seconds from then to the commit's end."""


def nobody(_waited: float, _held: float) -> None:
    """Nobody watches the writes."""


def array(values: Iterable[str | int | list[Any]]) -> str:
    """Make the one parameter that EACH_OF and its like take."""
    return orjson.dumps(list(values)).decode()


@dataclass(frozen=True, slots=True)
class Address:
    """Which database is meant.

    `name` is for people, and holds no secret; `identity` tells one database from all others, for what is noted about
    it elsewhere; `path` is SQLite's file, None for a server's database.
    """

    name: str
    identity: str
    path: Path | None = None


class Database(ABC):
    """One database for all threads of a process; each thread gets a connection of its own."""

    peewee: peewee.Database
    address: Address
    engine: str
    patience: float = 0.0
    """Seconds for which one that does not answer is waited for."""

    at_once: ClassVar[int | None]
    """How many workers are to work at once: one, where writing is for one alone anyway (ADR 0010); None for all."""

    is_ordered: ClassVar[bool] = False
    """Whether transactions that are written side by side wait for their turns before they look at others' facts."""

    def __init__(self) -> None:
        self.observe: Observe = nobody

    @property
    def name(self) -> str:
        """What people call it."""
        return self.address.name

    @property
    def is_within(self) -> bool:
        """Whether this thread is in a transaction of a server's: with its connection, all of it is lost."""
        return False

    @property
    def path(self) -> Path:
        """Its file. Raises ConfigError for a server's database."""
        if self.address.path is None:
            raise ConfigError(f"{self.name} is no file: this works on a file of SQLite's alone")
        return self.address.path

    @abstractmethod
    def run(self, sql: str, parameters: Sequence[Any] = ()) -> Any:  # noqa: ANN401 - a DB-API cursor has no type
        """Execute one statement and give its cursor."""

    @abstractmethod
    def run_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Execute one statement for each row of parameters."""

    @abstractmethod
    def load(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Insert many rows in a transaction of their own, the fastest way that there is."""

    def look_at_tables(self) -> None:  # noqa: B027 - not every engine has something to do
        """Let the engine see how large the tables are, after much was written."""

    @abstractmethod
    def stream(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[Row]:
        """Execute a query, within a snapshot, and give its rows one by one: however many, few are held."""

    @abstractmethod
    def transaction(self, *, in_order: bool = True) -> AbstractContextManager[None]:
        """Write in one transaction; what is raised within undoes it.

        One that isn't `in_order` from its start calls `in_order` before it looks at, or changes, what others may.
        """

    def in_order(self) -> None:  # noqa: B027 - not every engine has something to do
        """Wait until all transactions of the same ontology that came before are through; others wait for this one."""

    @abstractmethod
    def snapshot(self) -> AbstractContextManager[None]:
        """Read in one transaction, so that several queries see one state."""

    @abstractmethod
    def settle(self) -> None:
        """See that what was committed would survive a power cut. Raises peewee's errors."""

    @abstractmethod
    def tables(self) -> set[str]:
        """Name the tables that there are."""

    def prepare_to_alter(self) -> None:  # noqa: B027 - not every engine has something to do
        """Make ready for statements that change tables, within the transaction that has them."""

    def begin_pass(self, ontology_id: str, run_id: str) -> None:  # noqa: B027 - not every engine has something to do
        """Note, within a transaction, that a pass begins whose commits a crash may undo."""

    def has_pass(self, ontology_id: str, run_id: str) -> bool:  # noqa: ARG002 - as above
        """Tell, within a transaction, whether all that was committed since a pass began is still there."""
        return True

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Execute a query and give all its rows."""
        found: list[Row] = self.run(sql, parameters).fetchall()
        return found

    def ask(self, sql: str, parameters: Sequence[Any] = ()) -> Callable[[], list[Row]]:
        """Execute a query, and give what gives its rows: those of this moment, for which is waited only then."""
        found = self.rows(sql, parameters)
        return lambda: found

    def demand(self, sql: str, parameters: Sequence[Any], unmet: Exception) -> None:
        """Execute a query within a transaction that divides by zero where it can't go on: then raise `unmet`.

        Where statements go to a server together, it is raised when a result, or the transaction's end, is waited for.
        """
        raise NotImplementedError

    def row(self, sql: str, parameters: Sequence[Any] = ()) -> Row | None:
        """Execute a query and give its first row."""
        found: Row | None = self.run(sql, parameters).fetchone()
        return found

    def connected(self) -> None:
        """Open this thread's connection, if it isn't yet."""
        self.peewee.connect(reuse_if_open=True)

    def close(self) -> None:
        """Close this thread's connection, or give it back to where it came from."""
        if not self.peewee.is_closed():
            self.peewee.close()

    def end(self) -> None:  # noqa: B027 - not every engine has something to do
        """Let go of all connections that no thread has."""
