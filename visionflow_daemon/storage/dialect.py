"""Statements as PostgreSQL takes them: with its own words for what engines don't share, and rows column by column."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Self

from visionflow_daemon.storage.database import EACH_OF, EACH_ROW_OF

MARKS = {
    EACH_ROW_OF: "(SELECT jsonb_array_elements(?::jsonb) AS value)",
    EACH_OF: '(SELECT jsonb_array_elements_text(?::jsonb) COLLATE "C" AS value)',
}
PARAMETER = re.compile(r"""\?(?P<number>\d*)|(?P<quoted>"[^"]*"|'[^']*')""")
"""A parameter's mark; what is quoted holds none."""

INSERT = re.compile(r"INSERT INTO (?P<table>\w+) \((?P<columns>[\w, ]+)\) VALUES \([?, ]+\)(?P<rest>.*)")
TYPES = (
    "SELECT attname, format_type(atttypid, NULL) FROM pg_catalog.pg_attribute"
    " WHERE attrelid = to_regclass(?) AND attnum > 0 AND NOT attisdropped"
)
"""Asks for the types of a table's columns."""


@dataclass(frozen=True, slots=True)
class Insert:
    """A statement that inserts one row of parameters."""

    table: str
    columns: str
    rest: str

    @classmethod
    def of(cls, sql: str) -> Self | None:
        """Understand a statement; None where it is another one."""
        found = INSERT.fullmatch(sql)
        return cls(*found.groups()) if found else None

    def of_columns(self, types: Mapping[str, str]) -> str:
        """Give the statement that inserts rows given column by column: one text, however many they are."""
        marks = ", ".join(f"?::{types[column]}[]" for column in self.columns.split(", "))
        return f"INSERT INTO {self.table} ({self.columns}) SELECT * FROM unnest({marks}){self.rest}"


@cache
def translated(sql: str) -> str:
    """Give a statement as this engine takes it."""
    for mark, ours in MARKS.items():
        sql = sql.replace(mark, ours)
    numbers = itertools.count(1)
    return PARAMETER.sub(lambda found: found["quoted"] or f"${found['number'] or next(numbers)}", sql)
