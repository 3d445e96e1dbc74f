DROP TABLE passes_under_way;
DROP TABLE daemons;
DROP TABLE leases;
