-- What is kept of a database that an older VisionFlow made (ADR 0023). Empty in all others.

-- The rows that could not be put in place, each with the reason; they stand in the archive, too, as they were.
CREATE TABLE migration_quarantine (
    id              INTEGER NOT NULL PRIMARY KEY,
    ontology_id     TEXT,                        -- NULL: not known
    table_name      TEXT    NOT NULL,
    archive_row     INTEGER NOT NULL,            -- its number in the archive, legacy_ and the table's name
    reason          TEXT    NOT NULL,            -- in a word, for counting
    detail          TEXT    NOT NULL,            -- in words
    row             TEXT    NOT NULL,            -- JSON object of its columns
    quarantined_at  TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
);
CREATE INDEX migration_quarantine_row ON migration_quarantine (table_name, archive_row);

-- What each row of the archive that is in place was made into; without an entry, it is in quarantine.
CREATE TABLE legacy_rows (
    table_name   TEXT    NOT NULL,
    archive_row  INTEGER NOT NULL,
    ontology_id  TEXT    NOT NULL,
    subject      TEXT    NOT NULL,               -- the class, the child, the property; an axiom's subject
    object       TEXT    NOT NULL,               -- the parent; an axiom's object; else empty
    digest       TEXT    NOT NULL,               -- of what was made of it; equal as long as nobody changed it
    PRIMARY KEY (table_name, archive_row, ontology_id)
) WITHOUT ROWID;
CREATE INDEX legacy_rows_subject ON legacy_rows (table_name, ontology_id, subject);

-- How the old tables were declared: SQL of tables, indexes, triggers, and of other tables that refer to them.
CREATE TABLE legacy_schema (
    id          INTEGER NOT NULL PRIMARY KEY,
    kind        TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    table_name  TEXT    NOT NULL,
    sql         TEXT    NOT NULL
);

-- What an old program said of a property beside what the other columns hold: a JSON object. Files say no such thing.
ALTER TABLE property_facts ADD COLUMN properties TEXT;
ALTER TABLE owl_properties ADD COLUMN properties TEXT;

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('migration_quarantine', 'migration_quarantine_row', '1000 500 1'),
    ('legacy_rows', 'legacy_rows', '100000 25000 1 1'),
    ('legacy_rows', 'legacy_rows_subject', '100000 25000 25000 2');
ANALYZE sqlite_schema;
