CREATE TABLE pages (
    ontology_id     TEXT    NOT NULL,
    file_id         INTEGER NOT NULL,
    format          TEXT    NOT NULL,
    is_public       INTEGER NOT NULL CHECK (is_public IN (0, 1)),
    outbound_links  TEXT    NOT NULL,
    PRIMARY KEY (ontology_id, file_id),
    FOREIGN KEY (ontology_id, file_id) REFERENCES source_files (ontology_id, file_id) ON DELETE CASCADE
);
INSERT INTO pages (ontology_id, file_id, format, is_public, outbound_links)
    SELECT ontology_id, file_id, format, is_public, outbound_links FROM source_files WHERE format IS NOT NULL;
ALTER TABLE source_files DROP COLUMN outbound_links;
ALTER TABLE source_files DROP COLUMN is_public;
ALTER TABLE source_files DROP COLUMN format;

DROP TABLE property_uses;
CREATE INDEX owl_axioms_property ON owl_axioms (ontology_id, property_iri, property_type)
    WHERE property_iri IS NOT NULL AND file_id IS NOT NULL;
CREATE INDEX owl_axioms_parent ON owl_axioms (ontology_id, subject, object) WHERE is_parent = 1 AND file_id IS NOT NULL;

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
    ('pages', 'sqlite_autoindex_pages_1', '10000 10000 1'),
    ('owl_axioms', 'owl_axioms_property', '150000 150000 5000 5000'),
    ('owl_axioms', 'owl_axioms_parent', '20000 20000 2 1');
ANALYZE sqlite_schema;
