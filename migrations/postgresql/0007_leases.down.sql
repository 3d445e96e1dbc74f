DROP TABLE passes_under_way;
DROP TABLE leases;
