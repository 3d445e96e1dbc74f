-- Each file's transaction writes every database page that it touches; these were a third of them (ADR 0008).

-- What a file is read as belongs to its record: it changes with it, and was a table of its own.
ALTER TABLE source_files ADD COLUMN format TEXT;            -- of the saved content; NULL: none yet
ALTER TABLE source_files ADD COLUMN is_public INTEGER CHECK (is_public IN (0, 1));
ALTER TABLE source_files ADD COLUMN outbound_links TEXT;    -- JSON array of page names, in the page's order
UPDATE source_files SET (format, is_public, outbound_links) = (
    SELECT p.format, p.is_public, p.outbound_links FROM pages p
    WHERE p.ontology_id = source_files.ontology_id AND p.file_id = source_files.file_id
);
DROP TABLE pages;
DELETE FROM sqlite_stat1 WHERE tbl = 'pages';

-- How many axioms of files use a property, and as what: its row in owl_properties stands while one does. An index of the
-- axioms by property says the same, but each file then writes into it at as many places as it has properties.
CREATE TABLE property_uses (
    ontology_id    TEXT    NOT NULL,
    property_iri   TEXT    NOT NULL,
    property_type  TEXT    NOT NULL,
    axioms         INTEGER NOT NULL,
    PRIMARY KEY (ontology_id, property_iri, property_type)
) WITHOUT ROWID;
INSERT INTO property_uses (ontology_id, property_iri, property_type, axioms)
    SELECT ontology_id, property_iri, property_type, COUNT(*) FROM owl_axioms
    WHERE file_id IS NOT NULL AND property_iri IS NOT NULL AND property_type IS NOT NULL
    GROUP BY ontology_id, property_iri, property_type;
DROP INDEX owl_axioms_property;

-- A class's parents are few among its own axioms, which owl_axioms_subject finds.
DROP INDEX owl_axioms_parent;

DELETE FROM sqlite_stat1 WHERE idx IN ('owl_axioms_property', 'owl_axioms_parent');
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('property_uses', 'property_uses', '100 100 1 1');
ANALYZE sqlite_schema;
