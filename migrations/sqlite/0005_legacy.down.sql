ALTER TABLE owl_properties DROP COLUMN properties;
ALTER TABLE property_facts DROP COLUMN properties;
DROP TABLE legacy_schema;
DROP TABLE legacy_rows;
DROP TABLE migration_quarantine;
