"""Model cards and their pictures."""
