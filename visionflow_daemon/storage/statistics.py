"""What a PostgreSQL server is told to look at, so that it plans by how large tables are.

It takes ontology_id, the first column of every key, for selective until it knows better, and reads whole tables where
an index would name a row (ADR 0029).
"""

from __future__ import annotations

from visionflow_daemon.storage.database import Database

LOOKED_AT = (50, 200, 800, 3_200, 12_800, 51_200)
"""After how many commits of this process the server is asked to look at the tables, if nobody did."""

GROWING = frozenset(
    {
        "class_facts",
        "links",
        "owl_axioms",
        "owl_class_hierarchy",
        "owl_classes",
        "owl_properties",
        "page_names",
        "page_warnings",
        "property_facts",
        "property_uses",
        "source_files",
    }
)

KNOWN = "SELECT reltuples FROM pg_catalog.pg_class WHERE oid = to_regclass('source_files')"
HELD = "SELECT COUNT(*) FROM (SELECT 1 FROM source_files LIMIT ?) AS held"


def renew(database: Database) -> None:
    """Have the tables looked at that passes fill, if there are twice as many files as when that was last done."""
    (known,) = database.row(KNOWN) or (0,)
    (held,) = database.row(HELD, (LOOKED_AT[-1],)) or (0,)
    if held > 2 * max(known, 0):
        database.run(f"ANALYZE {', '.join(sorted(database.tables() & GROWING))}")
