"""A small regression of counts for tests. It fits fast and needs no external data."""
