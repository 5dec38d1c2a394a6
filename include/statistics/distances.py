"""How far two distributions are apart: of two models' scores of the same rows, and of a day's values to a reference.

The distances below `largest_difference` take weighted values or counts, not rows, so that they work on profiles
(`include.statistics.profiles`). The result for rows that were reduced in the same way is the same.
"""

from __future__ import annotations

import math

import numpy as np


def spread(scores: np.ndarray) -> float:
    """The largest standard deviation of a score over the rows: 0 if every row gets the same answer."""
    return float(np.max(np.std(scores, axis=0)))


def psi(mine: np.ndarray, theirs: np.ndarray, bins: int = 10) -> float:
    """Population stability index of ``mine`` against ``theirs`` on the same rows, over bins of equal size of
    ``theirs``; of several classes the largest.

    Computed by `psi_of_counts`.
    """
    if mine.ndim == 2:
        return max(psi(mine[:, at], theirs[:, at], bins) for at in range(mine.shape[1]))
    edges = np.unique(np.quantile(theirs, np.linspace(0, 1, bins + 1)[1:-1]))
    counts = (
        np.bincount(np.searchsorted(edges, scores, side="right"), minlength=len(edges) + 1) for scores in (mine, theirs)
    )
    return psi_of_counts(*counts)


def largest_difference(mine: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference of a score of one row."""
    return float(np.max(np.abs(mine - theirs)))


def psi_of_counts(mine: np.ndarray, theirs: np.ndarray) -> float:
    """Population stability index of two distributions over the same bins; 0 or more, and symmetric.

    The sum of (p - q) ln(p / q) over the bins (Siddiqi 2006, Credit Risk Scorecards), each share with half a row added.

    Parameters
    ----------
    mine, theirs : rows in each bin, of shape (bins,).
    """
    shares = []
    for counts in (mine, theirs):
        smoothed = counts + 0.5
        shares.append(smoothed / smoothed.sum())
    return float(np.sum((shares[0] - shares[1]) * np.log(shares[0] / shares[1])))


def wasserstein(mine: np.ndarray, my_weights: np.ndarray, theirs: np.ndarray, their_weights: np.ndarray) -> float:
    """Wasserstein-1 distance of two weighted samples: the area between their distribution functions, in their unit.

    The integral of |F(x) - G(x)| dx (Vallender 1974, Theory of Probability and its Applications 18, 784-786). For two
    samples of which one is shifted by d, it is d.

    Parameters
    ----------
    mine, theirs : finite values, of shape (values,) each. ``my_weights``, ``their_weights`` : how many rows have each
        value; at least one is positive.
    """
    places = np.sort(np.concatenate([mine, theirs]))
    gaps = np.abs(_distribution(mine, my_weights, places) - _distribution(theirs, their_weights, places))
    return float(np.sum(gaps[:-1] * np.diff(places)))


def _distribution(values: np.ndarray, weights: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The share of the weights at or below each of these places."""
    order = np.argsort(values, kind="stable")
    cumulative = np.concatenate([[0.0], np.cumsum(weights[order], dtype=np.float64)])
    share: np.ndarray = cumulative[np.searchsorted(values[order], places, side="right")] / cumulative[-1]
    return share


def jensen_shannon(mine: np.ndarray, theirs: np.ndarray) -> float:
    """Jensen-Shannon distance of two distributions over the same categories: 0 if they are equal, 1 if disjoint.

    The square root of the divergence to the base 2, which makes it a metric (Lin 1991, IEEE Transactions on Information
    Theory 37, 145-151; Endres and Schindelin 2003, ibid. 49, 1858-1860).

    Parameters
    ----------
    mine, theirs : rows of each category, of shape (categories,); at least one row each.
    """
    p, q = mine / mine.sum(), theirs / theirs.sum()
    middle = (p + q) / 2
    divergence = sum(
        float(np.sum(share[share > 0] * np.log2(share[share > 0] / middle[share > 0]))) / 2 for share in (p, q)
    )
    return math.sqrt(min(max(divergence, 0.0), 1.0))
