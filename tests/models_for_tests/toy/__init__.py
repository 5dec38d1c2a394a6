"""A small model for tests. It fits fast, needs no external data and can be made to fail on purpose."""
