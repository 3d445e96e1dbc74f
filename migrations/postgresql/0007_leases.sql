-- Who may write an ontology: one at a time, until its lease ends or is given up (ADR 0031). Times are the server's.
CREATE TABLE leases (
    ontology_id   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    token         BIGINT NOT NULL,               -- greater with each holder; every transaction of a pass checks it
    holder        TEXT COLLATE "C",              -- host, process and a mark of its own; NULL: nobody
    since         TIMESTAMPTZ,
    expires_at    TIMESTAMPTZ,
    wanted_until  TIMESTAMPTZ                    -- until then, a daemon that holds it idle leaves it to who waits
);

-- The daemons that are alive, and what they could work on: each holds its share.
CREATE TABLE daemons (
    daemon_id   TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    started_at  TIMESTAMPTZ NOT NULL,
    seen_at     TIMESTAMPTZ NOT NULL,
    ontologies  JSONB NOT NULL                   -- array of the ontologies in its configuration
);

-- Passes under way, in a table that a crash of the server empties: commits that don't wait for the disk may be lost with
-- it, and a pass whose row is gone is planned anew (ADR 0029).
CREATE UNLOGGED TABLE passes_under_way (
    ontology_id  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    run_id       TEXT COLLATE "C" NOT NULL
);
