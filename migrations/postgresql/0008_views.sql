-- What programs that only read rely on (docs/readers.md, ADR 0032): names and columns stay, whatever the tables become.
-- A later migration that remakes a table, or drops one of its columns, drops these views first and makes them again;
-- who was granted them, is granted the new ones (storage/grants.py).

CREATE VIEW visionflow_classes AS
SELECT c.ontology_id,
       c.class_iri AS iri,
       c.label,
       c.comment,
       c.is_declared = 1 AS is_declared,
       c.is_public = 1 AS is_public,
       c.properties,
       f.display_path AS path,
       c.file_sha1 AS blob,
       c.updated_at
FROM owl_classes c
LEFT JOIN source_files f ON f.ontology_id = c.ontology_id AND f.file_id = c.file_id;

CREATE VIEW visionflow_parents AS
SELECT ontology_id,
       class_iri AS iri,
       parent_iri
FROM owl_class_hierarchy;

CREATE VIEW visionflow_properties AS
SELECT p.ontology_id,
       p.property_iri AS iri,
       p.label,
       p.comment,
       p.property_type,
       p.domain,
       p.range,
       p.characteristics,
       p.is_declared = 1 AS is_declared,
       f.display_path AS path,
       p.updated_at
FROM owl_properties p
LEFT JOIN source_files f ON f.ontology_id = p.ontology_id AND f.file_id = p.file_id;

CREATE VIEW visionflow_axioms AS
SELECT a.ontology_id,
       a.axiom_type,
       a.subject,
       a.property_iri,
       a.object,
       a.annotations,
       a.is_stated = 1 AS is_stated,
       a.is_inferred = 1 AS is_inferred,
       f.display_path AS path
FROM owl_axioms a
LEFT JOIN source_files f ON f.ontology_id = a.ontology_id AND f.file_id = a.file_id;

CREATE VIEW visionflow_pages AS
SELECT ontology_id,
       display_path AS path,
       status,
       format,
       is_public = 1 AS is_public,
       outbound_links,
       blob_saved AS blob,
       saved_at
FROM source_files
WHERE file_id > 0;

CREATE VIEW visionflow_failures AS
SELECT ontology_id,
       display_path AS path,
       failure_class,
       reason,
       line,
       attempts,
       first_failed_at,
       last_failed_at,
       next_attempt_at,
       blob_seen AS blob,
       blob_saved IS NOT NULL AS is_stale
FROM source_files
WHERE status = 'failed';

CREATE VIEW visionflow_sources AS
SELECT c.ontology_id,
       c.source,
       c.branch,
       c.commit_sha,
       c.overlay,
       c.rollout_percent,
       c.is_clean = 1 AS is_whole,
       c.saved_at AS synced_at,
       (SELECT COUNT(*) FROM source_files f WHERE f.ontology_id = c.ontology_id AND f.file_id > 0) AS files,
       (SELECT COUNT(*) FROM source_files f WHERE f.ontology_id = c.ontology_id AND f.status = 'failed') AS failed
FROM checkpoints c;

CREATE VIEW visionflow_runs AS
SELECT ontology_id,
       run_id,
       status,
       started_at,
       progress_at,
       finished_at,
       from_commit,
       to_commit,
       planned,
       saved,
       skipped,
       failed,
       deleted,
       error
FROM sync_runs;

CREATE VIEW visionflow_leases AS
SELECT ontology_id,
       regexp_replace(holder, ':[^:]*$', '') AS holder,
       since,
       expires_at
FROM leases
WHERE holder IS NOT NULL AND expires_at > clock_timestamp() AND renewed_at <= clock_timestamp() + interval '1 second';
