-- A source may be rolled out by and by: which share of its files is live, in percent of their paths (ADR 0027).
ALTER TABLE checkpoints ADD COLUMN rollout_percent REAL NOT NULL DEFAULT 100;
