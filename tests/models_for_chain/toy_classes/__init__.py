"""A small model of three classes for tests: fits fast, reads nothing from outside."""
