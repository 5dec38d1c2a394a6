"""Bounds of the parameters of a run, for the forms, the tasks and the command line."""

LARGEST_VERSION = 2**31 - 1  # PostgreSQL's integer
LARGEST_EPOCH = 2**53 - 1  # the largest whole number that every JSON reader keeps exact
LARGEST_INCIDENT = 2**53 - 1  # as the largest epoch
LARGEST_SEED = 2**32 - 1  # NumPy's, and so scikit-learn's `random_state`
LONGEST_WINDOW = 36_500  # days
SHORTEST_REASON, LONGEST_REASON = 3, 1000  # characters
LONGEST_NOTE = 500
MOST_CANDIDATES, LONGEST_NAME = 100, 100
