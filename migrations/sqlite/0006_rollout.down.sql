-- Without it all files are live: only a pass that lays tree beside table tells which of them are missing.
UPDATE checkpoints SET is_clean = 0 WHERE rollout_percent < 100;
ALTER TABLE checkpoints DROP COLUMN rollout_percent;
