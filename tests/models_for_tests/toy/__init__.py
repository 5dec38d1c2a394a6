"""A small model for tests: fits fast, reads nothing from outside, can be made to go wrong on purpose."""
