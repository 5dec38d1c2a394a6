"""The tasks of a retraining, one module each."""
