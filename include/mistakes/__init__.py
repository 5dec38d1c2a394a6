"""Mistakes in the files of a model: what is wrong, where exactly, and which edit would fix it."""
