-- A source may follow the files on disk: the checkpoint then names the tree that they make, laid over the commit's.
ALTER TABLE checkpoints ADD COLUMN overlay TEXT;  -- id of that tree; NULL: none differs, or commits alone are followed
