DROP VIEW visionflow_runs;
DROP VIEW visionflow_sources;
DROP VIEW visionflow_failures;
DROP VIEW visionflow_pages;
DROP VIEW visionflow_axioms;
DROP VIEW visionflow_properties;
DROP VIEW visionflow_parents;
DROP VIEW visionflow_classes;
