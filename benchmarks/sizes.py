"""`python -m benchmarks.sizes URL`: rows and bytes that a file takes in each table of a server (docs/scaling.md)."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

import psycopg
from psycopg import sql

HEADER = ("", "rows", "a file", "table bytes", "a file", "index bytes", "a file")
TABLES = """
SELECT c.relname::text, c.oid, pg_table_size(c.oid), pg_indexes_size(c.oid)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = 'ontology_id'
WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace ORDER BY c.relname
"""
INDEXES = """
SELECT indexrelid::regclass::text, pg_relation_size(indexrelid) FROM pg_catalog.pg_index WHERE indrelid = %s
ORDER BY 2 DESC
"""


def main() -> None:
    """Measure a database, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sizes", description=__doc__)
    parser.add_argument("url", help="of a database that holds an ontology; the password as in PGPASSWORD")
    parser.add_argument("--indexes", action="store_true", help="each index, too")
    options = parser.parse_args()
    with psycopg.connect(options.url, password=os.environ.get("PGPASSWORD"), autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        (files,) = connection.execute("SELECT COUNT(*) FROM source_files WHERE file_id > 0").fetchone() or (0,)
        print(f"{files:,} files")
        _echo(HEADER)
        total: tuple[int, ...] = (0, 0, 0)
        for name, oid, *bytes_of in connection.execute(TABLES).fetchall():
            count = sql.SQL("SELECT COUNT(*) FROM {}").format(sql.Identifier(name))
            (rows,) = connection.execute(count).fetchone() or (0,)
            found = (rows, *bytes_of)
            _echo(_cells(name, found, files))
            total = tuple(map(sum, zip(total, found, strict=True)))
            for index, size in connection.execute(INDEXES, (oid,)).fetchall() if options.indexes else ():
                _echo(("  " + index, *[""] * 4, f"{size:,}", f"{size / files:,.0f}"))
        _echo(_cells("all", total, files))


def _cells(name: str, found: Sequence[int], files: int) -> list[str]:
    rows, table, indexes = found
    shares = (f"{rows / files:,.2f}", f"{table / files:,.0f}", f"{indexes / files:,.0f}")
    return [
        name,
        *(cell for pair in zip((f"{rows:,}", f"{table:,}", f"{indexes:,}"), shares, strict=True) for cell in pair),
    ]


def _echo(cells: Sequence[str]) -> None:
    print(f"{cells[0]:32}" + "".join(f" {cell:>14}" for cell in cells[1:]))


if __name__ == "__main__":
    main()
