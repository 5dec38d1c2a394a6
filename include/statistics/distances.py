"""How far two models' scores of the same rows are apart."""

from __future__ import annotations

import numpy as np


def spread(scores: np.ndarray) -> float:
    """The largest standard deviation of a score over the rows: 0 if every row gets the same answer."""
    return float(np.max(np.std(scores, axis=0)))


def psi(mine: np.ndarray, theirs: np.ndarray, bins: int = 10) -> float:
    """Population stability index of ``mine`` against ``theirs`` on the same rows, over bins of equal size of
    ``theirs``; of several classes the largest.

    The sum of (p - q) ln(p / q) over the bins (Siddiqi 2006, Credit Risk Scorecards), each share with half a row added.
    """
    if mine.ndim == 2:
        return max(psi(mine[:, at], theirs[:, at], bins) for at in range(mine.shape[1]))
    edges = np.unique(np.quantile(theirs, np.linspace(0, 1, bins + 1)[1:-1]))
    shares = []
    for scores in (mine, theirs):
        counts = np.bincount(np.searchsorted(edges, scores, side="right"), minlength=len(edges) + 1) + 0.5
        shares.append(counts / counts.sum())
    return float(np.sum((shares[0] - shares[1]) * np.log(shares[0] / shares[1])))


def largest_difference(mine: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference of a score of one row."""
    return float(np.max(np.abs(mine - theirs)))
