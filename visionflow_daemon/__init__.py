"""Keep an ontology database equal to a git repository of pages, commit by commit."""
