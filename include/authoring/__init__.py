"""Writes new model folders from a user's data, and their documentation."""
