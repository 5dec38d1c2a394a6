"""A small model of three classes for tests. It fits fast and needs no external data."""
