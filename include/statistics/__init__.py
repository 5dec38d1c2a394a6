"""Figures of merit and how sure they are: numbers in, numbers out."""
