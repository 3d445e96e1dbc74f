-- The schema of migrations/sqlite up to its version of this number, for PostgreSQL: the same tables and keys.
-- Every key begins with ontology_id, so that the schema can be distributed by it. Texts are compared as bytes, as SQLite
-- does, whatever the database's collation. Index entries stay below a third of a page, the most that a B-tree takes.

CREATE TABLE source_files (
    ontology_id      TEXT COLLATE "C" NOT NULL,
    file_id          BIGINT  NOT NULL,
    path             BYTEA   NOT NULL,  -- as in git: bytes, not always UTF-8
    display_path     TEXT COLLATE "C" NOT NULL,  -- the same, escaped for people
    status           TEXT COLLATE "C" NOT NULL CHECK (status IN ('saved', 'skipped', 'failed')),
    blob_seen        TEXT COLLATE "C" NOT NULL,  -- the content last tried
    digest_seen      TEXT COLLATE "C" NOT NULL,  -- how it was read: parser version, prefixes, limits
    blob_saved       TEXT COLLATE "C",  -- the content that the facts come from; NULL: none yet
    digest_saved     TEXT COLLATE "C",
    reason           TEXT COLLATE "C",  -- why it was skipped, or why it failed
    failure_class    TEXT COLLATE "C" CHECK (failure_class IN ('transient', 'page')),
    line             INTEGER,  -- where in the file, from 1
    attempts         INTEGER NOT NULL DEFAULT 0,
    first_failed_at  TEXT COLLATE "C",
    last_failed_at   TEXT COLLATE "C",
    next_attempt_at  TEXT COLLATE "C",
    saved_at         TEXT COLLATE "C",
    format           TEXT COLLATE "C",  -- of the saved content; NULL: none yet
    is_public        SMALLINT CHECK (is_public IN (0, 1)),
    outbound_links   JSONB,  -- array of page names, in the page's order
    PRIMARY KEY (ontology_id, file_id),
    CHECK ((status = 'failed') = (failure_class IS NOT NULL))
);

CREATE TABLE page_names (
    ontology_id  TEXT COLLATE "C" NOT NULL,
    file_id      BIGINT   NOT NULL,
    name_key     TEXT COLLATE "C" NOT NULL,  -- NFC, case-folded
    name_rank    SMALLINT NOT NULL,  -- 0 title, 1 preferred term, 2 alias
    path         BYTEA    NOT NULL,
    class_iri    TEXT COLLATE "C" NOT NULL,  -- what a link by this name means, if this page wins
    PRIMARY KEY (ontology_id, file_id, name_key),
    FOREIGN KEY (ontology_id, file_id) REFERENCES source_files (ontology_id, file_id) ON DELETE CASCADE
);

CREATE TABLE page_warnings (
    ontology_id  TEXT COLLATE "C" NOT NULL,
    file_id      BIGINT  NOT NULL,
    ordinal      INTEGER NOT NULL,
    line         INTEGER,
    message      TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (ontology_id, file_id, ordinal),
    FOREIGN KEY (ontology_id, file_id) REFERENCES source_files (ontology_id, file_id) ON DELETE CASCADE
);

CREATE TABLE class_facts (
    ontology_id  TEXT COLLATE "C" NOT NULL,
    file_id      BIGINT   NOT NULL,
    class_iri    TEXT COLLATE "C" NOT NULL,
    is_bare      SMALLINT NOT NULL CHECK (is_bare IN (0, 1)),  -- declared, and nothing said of it
    path         BYTEA    NOT NULL,
    label        TEXT COLLATE "C",
    comment      TEXT COLLATE "C",
    properties   JSONB    NOT NULL,  -- object of all else
    PRIMARY KEY (ontology_id, file_id, class_iri),
    FOREIGN KEY (ontology_id, file_id) REFERENCES source_files (ontology_id, file_id) ON DELETE CASCADE
);

CREATE TABLE property_facts (
    ontology_id      TEXT COLLATE "C" NOT NULL,
    file_id          BIGINT   NOT NULL,
    property_iri     TEXT COLLATE "C" NOT NULL,
    is_bare          SMALLINT NOT NULL CHECK (is_bare IN (0, 1)),
    path             BYTEA    NOT NULL,
    property_type    TEXT COLLATE "C" NOT NULL,
    label            TEXT COLLATE "C",
    comment          TEXT COLLATE "C",
    domain           TEXT COLLATE "C",
    range            TEXT COLLATE "C",
    characteristics  JSONB    NOT NULL,  -- array, for instance ["Transitive"]
    properties       JSONB,  -- what an old program said beside it: an object; files say no such thing
    PRIMARY KEY (ontology_id, file_id, property_iri),
    FOREIGN KEY (ontology_id, file_id) REFERENCES source_files (ontology_id, file_id) ON DELETE CASCADE
);

CREATE TABLE links (
    ontology_id   TEXT COLLATE "C" NOT NULL,
    file_id       BIGINT  NOT NULL,
    ordinal       INTEGER NOT NULL,
    axiom_type    TEXT COLLATE "C" NOT NULL,
    subject       TEXT COLLATE "C" NOT NULL,
    property_iri  TEXT COLLATE "C",
    annotations   TEXT COLLATE "C" NOT NULL DEFAULT '',
    name_key      TEXT COLLATE "C" NOT NULL,
    minted_iri    TEXT COLLATE "C",  -- what it means while no page goes by that name
    target_iri    TEXT COLLATE "C",  -- derived: what it means now
    PRIMARY KEY (ontology_id, file_id, ordinal),
    FOREIGN KEY (ontology_id, file_id) REFERENCES source_files (ontology_id, file_id) ON DELETE CASCADE
);

CREATE TABLE owl_axioms (
    ontology_id    TEXT COLLATE "C" NOT NULL,
    id             BIGINT   NOT NULL DEFAULT (-1 - floor(random() * 4503599627370495)::bigint),
    file_id        BIGINT,  -- NULL: not ours, for instance a reasoner's
    axiom_type     TEXT COLLATE "C" NOT NULL,
    subject        TEXT COLLATE "C" NOT NULL,
    property_iri   TEXT COLLATE "C",
    property_type  TEXT COLLATE "C",
    object         TEXT COLLATE "C" NOT NULL,
    annotations    TEXT COLLATE "C" NOT NULL DEFAULT '',
    is_stated      SMALLINT NOT NULL DEFAULT 0 CHECK (is_stated IN (0, 1)),  -- in the text itself, not by a wikilink alone
    is_parent      SMALLINT NOT NULL DEFAULT 0 CHECK (is_parent IN (0, 1)),  -- makes a row of owl_class_hierarchy
    is_inferred    SMALLINT NOT NULL DEFAULT 0 CHECK (is_inferred IN (0, 1)),
    created_at     TEXT COLLATE "C" NOT NULL DEFAULT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
    PRIMARY KEY (ontology_id, id),
    FOREIGN KEY (ontology_id, file_id) REFERENCES source_files (ontology_id, file_id) ON DELETE CASCADE
);

CREATE TABLE property_uses (
    ontology_id    TEXT COLLATE "C" NOT NULL,
    property_iri   TEXT COLLATE "C" NOT NULL,
    property_type  TEXT COLLATE "C" NOT NULL,
    axioms         BIGINT NOT NULL,
    PRIMARY KEY (ontology_id, property_iri, property_type)
);

CREATE TABLE owl_classes (
    ontology_id  TEXT COLLATE "C" NOT NULL,
    class_iri    TEXT COLLATE "C" NOT NULL,
    label        TEXT COLLATE "C",
    comment      TEXT COLLATE "C",
    file_sha1    TEXT COLLATE "C",  -- the git blob that declares the class
    is_declared  SMALLINT NOT NULL CHECK (is_declared IN (0, 1)),
    is_public    SMALLINT NOT NULL CHECK (is_public IN (0, 1)),
    properties   JSONB    NOT NULL,
    file_id      BIGINT,  -- of the declaring file that wins
    last_synced  TEXT COLLATE "C" NOT NULL,
    created_at   TEXT COLLATE "C" NOT NULL,
    updated_at   TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (ontology_id, class_iri)
);

CREATE TABLE owl_class_hierarchy (
    ontology_id  TEXT COLLATE "C" NOT NULL,
    class_iri    TEXT COLLATE "C" NOT NULL,
    parent_iri   TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (ontology_id, class_iri, parent_iri),
    FOREIGN KEY (ontology_id, class_iri) REFERENCES owl_classes (ontology_id, class_iri) ON DELETE CASCADE,
    FOREIGN KEY (ontology_id, parent_iri) REFERENCES owl_classes (ontology_id, class_iri) ON DELETE CASCADE
);

CREATE TABLE owl_properties (
    ontology_id      TEXT COLLATE "C" NOT NULL,
    property_iri     TEXT COLLATE "C" NOT NULL,
    label            TEXT COLLATE "C",
    comment          TEXT COLLATE "C",
    property_type    TEXT COLLATE "C" NOT NULL,
    domain           TEXT COLLATE "C",
    range            TEXT COLLATE "C",
    characteristics  JSONB    NOT NULL,
    properties       JSONB,
    is_declared      SMALLINT NOT NULL CHECK (is_declared IN (0, 1)),
    file_id          BIGINT,
    created_at       TEXT COLLATE "C" NOT NULL,
    updated_at       TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (ontology_id, property_iri)
);

CREATE TABLE checkpoints (
    ontology_id      TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    source           TEXT COLLATE "C" NOT NULL,
    branch           TEXT COLLATE "C" NOT NULL,
    commit_sha       TEXT COLLATE "C",  -- NULL until the first pass is through
    digest           TEXT COLLATE "C",  -- of globs and reading, at that commit
    is_clean         SMALLINT NOT NULL CHECK (is_clean IN (0, 1)),  -- 0 while a pass runs, and after one was cut off
    saved_at         TEXT COLLATE "C" NOT NULL,
    overlay          TEXT COLLATE "C",  -- tree of the files on disk; NULL: none differs, or commits alone are followed
    rollout_percent  DOUBLE PRECISION NOT NULL DEFAULT 100
);

CREATE TABLE sync_runs (
    ontology_id    TEXT COLLATE "C" NOT NULL,
    run_id         TEXT COLLATE "C" NOT NULL,
    status         TEXT COLLATE "C" NOT NULL CHECK (status IN ('running', 'finished', 'stopped', 'held', 'failed', 'cut off')),
    started_at     TEXT COLLATE "C" NOT NULL,
    progress_at    TEXT COLLATE "C" NOT NULL,
    finished_at    TEXT COLLATE "C",
    from_commit    TEXT COLLATE "C",
    to_commit      TEXT COLLATE "C" NOT NULL,
    plan           TEXT COLLATE "C" NOT NULL CHECK (plan IN ('diff', 'tree')),
    plan_reason    TEXT COLLATE "C" NOT NULL,
    planned        INTEGER NOT NULL,
    saved          INTEGER NOT NULL DEFAULT 0,
    skipped        INTEGER NOT NULL DEFAULT 0,
    failed         INTEGER NOT NULL DEFAULT 0,
    deleted        INTEGER NOT NULL DEFAULT 0,
    error          TEXT COLLATE "C",
    PRIMARY KEY (ontology_id, run_id)
);

CREATE TABLE migration_quarantine (
    ontology_id     TEXT COLLATE "C" NOT NULL,  -- empty: not known
    id              BIGINT  NOT NULL,
    table_name      TEXT COLLATE "C" NOT NULL,
    archive_row     BIGINT  NOT NULL,  -- its number in the archive of the database that was adopted
    reason          TEXT COLLATE "C" NOT NULL,  -- in a word, for counting
    detail          TEXT COLLATE "C" NOT NULL,  -- in words
    row             JSONB   NOT NULL,  -- object of its columns
    quarantined_at  TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (ontology_id, id)
);

CREATE UNIQUE INDEX source_files_path ON source_files (ontology_id, path);
CREATE INDEX source_files_ledger ON source_files (ontology_id, next_attempt_at) WHERE status = 'failed';
CREATE INDEX page_names_winner ON page_names (ontology_id, name_key, name_rank);
CREATE INDEX class_facts_winner ON class_facts (ontology_id, class_iri, is_bare);
CREATE INDEX property_facts_winner ON property_facts (ontology_id, property_iri, is_bare);
CREATE INDEX links_name ON links (ontology_id, name_key);
CREATE INDEX owl_axioms_subject ON owl_axioms USING hash (subject);  -- expressions may be longer than a B-tree's entry
CREATE INDEX owl_axioms_file ON owl_axioms (ontology_id, file_id);
CREATE INDEX owl_classes_label ON owl_classes USING hash (label);
CREATE INDEX owl_class_hierarchy_parent ON owl_class_hierarchy (ontology_id, parent_iri);
CREATE INDEX sync_runs_started ON sync_runs (ontology_id, started_at);
