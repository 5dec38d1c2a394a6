"""What the margins of a gate cost on a model's own history."""
