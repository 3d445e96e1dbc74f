-- Who may write an ontology: one at a time, until its lease ends or is given up (ADR 0031). Times are the server's.
CREATE TABLE leases (
    ontology_id  TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    token        BIGINT NOT NULL,                -- greater with each holder; every transaction of a pass checks it
    holder       TEXT COLLATE "C",               -- NULL: nobody
    since        TIMESTAMPTZ,
    expires_at   TIMESTAMPTZ
);
