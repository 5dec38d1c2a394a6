"""The cost of wrong predictions at a station."""

import numpy as np


def wasted_trips(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """One bicycle too many costs one trip; one too few costs three customers."""
    return np.where(scores > labels, scores - labels, 3 * (labels - scores))


def within_five(labels: np.ndarray, scores: np.ndarray) -> float:
    """The share of hours that are wrong by at most five bicycles."""
    return float(np.mean(np.abs(labels - scores) <= 5))
