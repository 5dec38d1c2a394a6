"""A small regression of counts for tests: fits fast, reads nothing from outside."""
