-- Without it, only a pass that lays tree beside table tells what the files on disk had changed.
UPDATE checkpoints SET is_clean = 0 WHERE overlay IS NOT NULL;
ALTER TABLE checkpoints DROP COLUMN overlay;
