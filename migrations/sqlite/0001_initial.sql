-- Facts are owned by files; owl_classes, owl_class_hierarchy and owl_properties are derived from facts.
-- Every key begins with ontology_id, so that the schema can be distributed by it.

CREATE TABLE source_files (
    ontology_id      TEXT    NOT NULL,
    file_id          INTEGER NOT NULL,
    path             BLOB    NOT NULL,           -- as in git: bytes, not always UTF-8
    display_path     TEXT    NOT NULL,           -- the same, escaped for people
    status           TEXT    NOT NULL CHECK (status IN ('saved', 'skipped', 'failed')),
    blob_seen        TEXT    NOT NULL,           -- the content last tried
    digest_seen      TEXT    NOT NULL,           -- how it was read: parser version, prefixes, limits
    blob_saved       TEXT,                       -- the content that the facts come from; NULL: none yet
    digest_saved     TEXT,
    reason           TEXT,                       -- why it was skipped, or why it failed
    failure_class    TEXT CHECK (failure_class IN ('transient', 'page')),
    line             INTEGER,                    -- where in the file, from 1
    attempts         INTEGER NOT NULL DEFAULT 0,
    first_failed_at  TEXT,
    last_failed_at   TEXT,
    next_attempt_at  TEXT,
    saved_at         TEXT,
    PRIMARY KEY (ontology_id, file_id),
    CHECK ((status = 'failed') = (failure_class IS NOT NULL))
) WITHOUT ROWID;
CREATE UNIQUE INDEX source_files_path ON source_files (ontology_id, path);
CREATE INDEX source_files_ledger ON source_files (ontology_id, next_attempt_at) WHERE status = 'failed';

CREATE TABLE pages (
    ontology_id     TEXT    NOT NULL,
    file_id         INTEGER NOT NULL,
    format          TEXT    NOT NULL,
    is_public       INTEGER NOT NULL CHECK (is_public IN (0, 1)),
    outbound_links  TEXT    NOT NULL,            -- JSON array of page names, in the page's order
    PRIMARY KEY (ontology_id, file_id),
    FOREIGN KEY (ontology_id, file_id) REFERENCES source_files (ontology_id, file_id) ON DELETE CASCADE
);

CREATE TABLE page_names (
    ontology_id  TEXT    NOT NULL,
    file_id      INTEGER NOT NULL,
    name_key     TEXT    NOT NULL,               -- NFC, case-folded
    name_rank    INTEGER NOT NULL,               -- 0 title, 1 preferred term, 2 alias
    path         BLOB    NOT NULL,
    class_iri    TEXT    NOT NULL,               -- what a link by this name means, if this page wins
    PRIMARY KEY (ontology_id, file_id, name_key),
    FOREIGN KEY (ontology_id, file_id) REFERENCES source_files (ontology_id, file_id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX page_names_winner ON page_names (ontology_id, name_key, name_rank, path);

CREATE TABLE page_warnings (
    ontology_id  TEXT    NOT NULL,
    file_id      INTEGER NOT NULL,
    ordinal      INTEGER NOT NULL,
    line         INTEGER,
    message      TEXT    NOT NULL,
    PRIMARY KEY (ontology_id, file_id, ordinal),
    FOREIGN KEY (ontology_id, file_id) REFERENCES source_files (ontology_id, file_id) ON DELETE CASCADE
) WITHOUT ROWID;

CREATE TABLE class_facts (
    ontology_id  TEXT    NOT NULL,
    file_id      INTEGER NOT NULL,
    class_iri    TEXT    NOT NULL,
    is_bare      INTEGER NOT NULL CHECK (is_bare IN (0, 1)),  -- declared, and nothing said of it
    path         BLOB    NOT NULL,
    label        TEXT,
    comment      TEXT,
    properties   TEXT    NOT NULL,               -- JSON object of all else
    PRIMARY KEY (ontology_id, file_id, class_iri),
    FOREIGN KEY (ontology_id, file_id) REFERENCES source_files (ontology_id, file_id) ON DELETE CASCADE
);
CREATE INDEX class_facts_winner ON class_facts (ontology_id, class_iri, is_bare, path);

CREATE TABLE property_facts (
    ontology_id      TEXT    NOT NULL,
    file_id          INTEGER NOT NULL,
    property_iri     TEXT    NOT NULL,
    is_bare          INTEGER NOT NULL CHECK (is_bare IN (0, 1)),
    path             BLOB    NOT NULL,
    property_type    TEXT    NOT NULL,
    label            TEXT,
    comment          TEXT,
    domain           TEXT,
    range            TEXT,
    characteristics  TEXT    NOT NULL,           -- JSON array, for instance ["Transitive"]
    PRIMARY KEY (ontology_id, file_id, property_iri),
    FOREIGN KEY (ontology_id, file_id) REFERENCES source_files (ontology_id, file_id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX property_facts_winner ON property_facts (ontology_id, property_iri, is_bare, path);

CREATE TABLE links (
    ontology_id   TEXT    NOT NULL,
    file_id       INTEGER NOT NULL,
    ordinal       INTEGER NOT NULL,
    axiom_type    TEXT    NOT NULL,
    subject       TEXT    NOT NULL,
    property_iri  TEXT,
    annotations   TEXT    NOT NULL DEFAULT '',
    name_key      TEXT    NOT NULL,
    minted_iri    TEXT,                          -- what it means while no page goes by that name
    target_iri    TEXT,                          -- derived: what it means now
    PRIMARY KEY (ontology_id, file_id, ordinal),
    FOREIGN KEY (ontology_id, file_id) REFERENCES source_files (ontology_id, file_id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX links_name ON links (ontology_id, name_key);

-- Axioms of files have an id within their file's range; the default leaves negative ids to other programs' axioms.
CREATE TABLE owl_axioms (
    ontology_id    TEXT    NOT NULL,
    id             INTEGER NOT NULL DEFAULT (-1 - abs(random() / 2)),
    file_id        INTEGER,                      -- NULL: not ours, for instance a reasoner's
    axiom_type     TEXT    NOT NULL,
    subject        TEXT    NOT NULL,
    property_iri   TEXT,
    property_type  TEXT,
    object         TEXT    NOT NULL,
    annotations    TEXT    NOT NULL DEFAULT '',
    is_stated      INTEGER NOT NULL DEFAULT 0 CHECK (is_stated IN (0, 1)),  -- in the text itself, not by a wikilink alone
    is_parent      INTEGER NOT NULL DEFAULT 0 CHECK (is_parent IN (0, 1)),  -- makes a row of owl_class_hierarchy
    is_inferred    INTEGER NOT NULL DEFAULT 0 CHECK (is_inferred IN (0, 1)),
    created_at     TEXT    NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%SZ', 'now')),
    PRIMARY KEY (ontology_id, id),
    FOREIGN KEY (ontology_id, file_id) REFERENCES source_files (ontology_id, file_id) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX owl_axioms_subject ON owl_axioms (ontology_id, subject);
CREATE INDEX owl_axioms_file ON owl_axioms (ontology_id, file_id);
CREATE INDEX owl_axioms_property ON owl_axioms (ontology_id, property_iri, property_type)
    WHERE property_iri IS NOT NULL AND file_id IS NOT NULL;
CREATE INDEX owl_axioms_parent ON owl_axioms (ontology_id, subject, object) WHERE is_parent = 1 AND file_id IS NOT NULL;

CREATE TABLE owl_classes (
    ontology_id  TEXT    NOT NULL,
    class_iri    TEXT    NOT NULL,
    label        TEXT,
    comment      TEXT,
    file_sha1    TEXT,                           -- the git blob that declares the class
    is_declared  INTEGER NOT NULL CHECK (is_declared IN (0, 1)),
    is_public    INTEGER NOT NULL CHECK (is_public IN (0, 1)),
    properties   TEXT    NOT NULL,
    file_id      INTEGER,                        -- of the declaring file that wins
    last_synced  TEXT    NOT NULL,
    created_at   TEXT    NOT NULL,
    updated_at   TEXT    NOT NULL,
    PRIMARY KEY (ontology_id, class_iri)
);
CREATE INDEX owl_classes_label ON owl_classes (ontology_id, label);

CREATE TABLE owl_class_hierarchy (
    ontology_id  TEXT NOT NULL,
    class_iri    TEXT NOT NULL,
    parent_iri   TEXT NOT NULL,
    PRIMARY KEY (ontology_id, class_iri, parent_iri),
    FOREIGN KEY (ontology_id, class_iri) REFERENCES owl_classes (ontology_id, class_iri) ON DELETE CASCADE,
    FOREIGN KEY (ontology_id, parent_iri) REFERENCES owl_classes (ontology_id, class_iri) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX owl_class_hierarchy_parent ON owl_class_hierarchy (ontology_id, parent_iri);

CREATE TABLE owl_properties (
    ontology_id      TEXT    NOT NULL,
    property_iri     TEXT    NOT NULL,
    label            TEXT,
    comment          TEXT,
    property_type    TEXT    NOT NULL,
    domain           TEXT,
    range            TEXT,
    characteristics  TEXT    NOT NULL,
    is_declared      INTEGER NOT NULL CHECK (is_declared IN (0, 1)),
    file_id          INTEGER,
    created_at       TEXT    NOT NULL,
    updated_at       TEXT    NOT NULL,
    PRIMARY KEY (ontology_id, property_iri)
) WITHOUT ROWID;

CREATE TABLE checkpoints (
    ontology_id  TEXT    NOT NULL PRIMARY KEY,
    source       TEXT    NOT NULL,
    branch       TEXT    NOT NULL,
    commit_sha   TEXT,                           -- NULL until the first pass is through
    digest       TEXT,                           -- of globs and reading, at that commit
    is_clean     INTEGER NOT NULL CHECK (is_clean IN (0, 1)),  -- 0 while a pass runs, and after one was cut off
    saved_at     TEXT    NOT NULL
) WITHOUT ROWID;

CREATE TABLE sync_runs (
    ontology_id    TEXT    NOT NULL,
    run_id         TEXT    NOT NULL,
    status         TEXT    NOT NULL CHECK (status IN ('running', 'finished', 'stopped', 'failed', 'cut off')),
    started_at     TEXT    NOT NULL,
    progress_at    TEXT    NOT NULL,
    finished_at    TEXT,
    from_commit    TEXT,
    to_commit      TEXT    NOT NULL,
    plan           TEXT    NOT NULL CHECK (plan IN ('diff', 'tree')),
    plan_reason    TEXT    NOT NULL,
    planned        INTEGER NOT NULL,
    saved          INTEGER NOT NULL DEFAULT 0,
    skipped        INTEGER NOT NULL DEFAULT 0,
    failed         INTEGER NOT NULL DEFAULT 0,
    deleted        INTEGER NOT NULL DEFAULT 0,
    error          TEXT,
    PRIMARY KEY (ontology_id, run_id)
) WITHOUT ROWID;
CREATE INDEX sync_runs_started ON sync_runs (ontology_id, started_at);

-- How many rows share an index's first columns, in an ontology of ordinary size. Without it SQLite takes ontology_id, the
-- first column of every key, for selective, and reads whole tables where an index would name a few rows.
ANALYZE sqlite_schema;
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('source_files', 'source_files', '10000 10000 1'),
    ('source_files', 'source_files_path', '10000 10000 1'),
    ('source_files', 'source_files_ledger', '100 100 10'),
    ('pages', 'sqlite_autoindex_pages_1', '10000 10000 1'),
    ('page_names', 'page_names', '20000 20000 2 1'),
    ('page_names', 'page_names_winner', '20000 20000 2 1 1'),
    ('page_warnings', 'page_warnings', '1000 1000 5 1'),
    ('class_facts', 'sqlite_autoindex_class_facts_1', '10000 10000 2 1'),
    ('class_facts', 'class_facts_winner', '10000 10000 2 1 1'),
    ('property_facts', 'property_facts', '1000 1000 5 1'),
    ('property_facts', 'property_facts_winner', '1000 1000 2 1 1'),
    ('links', 'links', '50000 50000 10 1'),
    ('links', 'links_name', '50000 50000 5'),
    ('owl_axioms', 'owl_axioms', '200000 200000 1'),
    ('owl_axioms', 'owl_axioms_subject', '200000 200000 15'),
    ('owl_axioms', 'owl_axioms_file', '200000 200000 20'),
    ('owl_axioms', 'owl_axioms_property', '150000 150000 5000 5000'),
    ('owl_axioms', 'owl_axioms_parent', '20000 20000 2 1'),
    ('owl_classes', 'sqlite_autoindex_owl_classes_1', '15000 15000 1'),
    ('owl_classes', 'owl_classes_label', '15000 15000 2'),
    ('owl_class_hierarchy', 'owl_class_hierarchy', '20000 20000 2 1'),
    ('owl_class_hierarchy', 'owl_class_hierarchy_parent', '20000 20000 5'),
    ('owl_properties', 'owl_properties', '1000 1000 1');
ANALYZE sqlite_schema;
