-- Loses: everything: all tables of this program go
DROP TABLE migration_quarantine;
DROP TABLE sync_runs;
DROP TABLE checkpoints;
DROP TABLE owl_properties;
DROP TABLE owl_class_hierarchy;
DROP TABLE owl_classes;
DROP TABLE property_uses;
DROP TABLE owl_axioms;
DROP TABLE links;
DROP TABLE property_facts;
DROP TABLE class_facts;
DROP TABLE page_warnings;
DROP TABLE page_names;
DROP TABLE source_files;
