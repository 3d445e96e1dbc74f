-- Loses: which passes were held: they count as stopped
ALTER TABLE sync_runs RENAME TO sync_runs_after;
DROP INDEX sync_runs_started;
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
UPDATE sync_runs_after SET status = 'stopped' WHERE status = 'held';
INSERT INTO sync_runs SELECT * FROM sync_runs_after;
DROP TABLE sync_runs_after;
CREATE INDEX sync_runs_started ON sync_runs (ontology_id, started_at);
