"""How far each side's metrics would move on other, similar days: intervals for the card and the pictures.

Two-sided percentile intervals by drawing whole blocks of days with replacement (`uncertainty.bootstrap`); the gate does
not read them, for they are too narrow for a decision on two weeks. A metric is computed from figures of its blocks if
that gives the same number as going through all rows in each draw.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from include.gate.evaluation import Evaluation, Intervals
from include.spec import Model
from include.statistics import uncertainty
from include.statistics.metrics import Metric
from include.statistics.uncertainty import Statistic
from include.training import measures

ALPHA = 0.1
"""Both sides together: intervals of 90 %."""

DRAWS = 200

BIASED = ("calibration_error",)
"""Days that are drawn twice make every bin look less calibrated than it is: the interval would be above the figure."""


def by_side(
    model: Model, y: np.ndarray, scores: Mapping[str, np.ndarray], block: np.ndarray, draws: int = DRAWS
) -> dict[str, Intervals]:
    """By side and metric of the model's task; None if it is not known, or `BIASED`.

    Parameters
    ----------
    y : labels of shape (rows,). ``scores``: by side, as `measures.score` gives them. ``block``: `uncertainty.blocks`.
    """
    metrics = measures.metrics_of(model)
    return {
        side: {n: None if n in BIASED else _pair(interval(n, m, y, mine, block, draws)) for n, m in metrics.items()}
        for side, mine in scores.items()
    }


def interval(
    name: str, metric: Metric, y: np.ndarray, scores: np.ndarray, block: np.ndarray, draws: int = DRAWS
) -> tuple[float, float]:
    """`uncertainty.bootstrap` of one metric, faster: the same blocks are drawn, and give the same numbers."""
    _, place = np.unique(block, return_inverse=True)
    blocks = int(place.max()) + 1 if len(place) else 0
    if metric.by_row is not None:
        statistic = _of_means(metric.by_row(y, scores), place)
    elif name in _BY_BLOCK:
        statistic = _BY_BLOCK[name](y, scores, place, blocks)
    else:
        return uncertainty.bootstrap(lambda at: metric.compute(y[at], scores[at]), place, ALPHA, draws)
    return uncertainty.bootstrap(statistic, np.arange(blocks), ALPHA, draws)


def _of_means(values: np.ndarray, place: np.ndarray) -> Statistic:
    """The mean over the rows of the blocks that were drawn."""
    sums, counts = np.bincount(place, values), np.bincount(place)
    return lambda at: float(sums[at].sum() / counts[at].sum())


def _rmse(y: np.ndarray, scores: np.ndarray, place: np.ndarray, blocks: int) -> Statistic:
    mean = _of_means((y - scores) ** 2, place)
    return lambda at: math.sqrt(mean(at))


def _r2(y: np.ndarray, scores: np.ndarray, place: np.ndarray, blocks: int) -> Statistic:
    # around the mean of all rows, so that a large mean does not reduce the precision of the spread
    centred = y - y.mean()
    error, mean, square = (_of_means(values, place) for values in ((y - scores) ** 2, centred, centred**2))

    def computed(at: np.ndarray) -> float:
        spread = square(at) - mean(at) ** 2
        return 1 - error(at) / spread if spread > 0 else uncertainty.UNDEFINED

    return computed


def _ranked(one: Callable[[np.ndarray, np.ndarray, np.ndarray, int], Statistic]) -> Callable[..., Statistic]:
    """As `metrics._ranked`: of several classes the mean of one against the rest, over those that are there."""

    def of(y: np.ndarray, scores: np.ndarray, place: np.ndarray, blocks: int) -> Statistic:
        if scores.ndim == 1:
            return one(y == 1, scores, place, blocks)
        classes = range(scores.shape[1])
        rows = np.array([np.bincount(place[y == at], minlength=blocks) for at in classes])
        each = [one(y == at, scores[:, at], place, blocks) for at in classes]

        def computed(at: np.ndarray) -> float:
            there = np.flatnonzero(rows[:, at].sum(axis=1))
            return float(np.mean([each[c](at) for c in there])) if len(there) > 1 else uncertainty.UNDEFINED

        return computed

    return of


def _roc_auc(positive: np.ndarray, scores: np.ndarray, place: np.ndarray, blocks: int) -> Statistic:
    """From the pairs that are won between the positive rows of each block and the negative rows of each (ties: half).

    Their number in a draw is the sum over all pairs of blocks that were drawn.
    """
    values, tied = np.unique(scores, return_inverse=True)
    negative = np.bincount(tied * blocks + place, ~positive, len(values) * blocks).reshape(-1, blocks)
    below = np.cumsum(negative, axis=0) - negative / 2
    won = np.array([below[tied[positive & (place == at)]].sum(axis=0) for at in range(blocks)])
    ones, zeros = (np.bincount(place[kind], minlength=blocks) for kind in (positive, ~positive))

    def computed(at: np.ndarray) -> float:
        pairs = float(ones[at].sum()) * float(zeros[at].sum())
        return float(won[np.ix_(at, at)].sum()) / pairs if pairs else uncertainty.UNDEFINED

    return computed


def _average_precision(positive: np.ndarray, scores: np.ndarray, place: np.ndarray, blocks: int) -> Statistic:
    """From the rows, and the positive ones, of each block at or above each score."""
    values, tied = np.unique(-scores, return_inverse=True)
    found, rows = (
        np.bincount(tied * blocks + place, kind, len(values) * blocks).reshape(-1, blocks)
        for kind in (positive.astype(float), np.ones(len(place)))
    )
    here = np.flatnonzero(found.sum(axis=1))  # elsewhere the precision is not used
    found, above = found[here], (np.cumsum(found, axis=0)[here], np.cumsum(rows, axis=0)[here])

    everything = np.bincount(place, minlength=blocks)

    def computed(at: np.ndarray) -> float:
        drawn = np.bincount(at, minlength=blocks).astype(float)
        ones, right, flagged = found @ drawn, above[0] @ drawn, above[1] @ drawn
        total = float(ones.sum())
        if not 0 < total < everything @ drawn:  # one class only
            return uncertainty.UNDEFINED
        return float(np.sum(ones * np.divide(right, flagged, out=np.zeros_like(right), where=flagged > 0)) / total)

    return computed


_BY_BLOCK: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray, int], Statistic]] = {
    "rmse": _rmse,
    "r2": _r2,
    "roc_auc": _ranked(_roc_auc),
    "average_precision": _ranked(_average_precision),
}


def _pair(found: tuple[float, float]) -> tuple[float, float] | None:
    return (float(found[0]), float(found[1])) if all(map(math.isfinite, found)) else None


def between(evaluation: Evaluation | None, side: str, metric: str) -> tuple[float, float] | None:
    """One interval of an evaluation; None if it is not known, or has no width (a constant ranks nothing on any day)."""
    found = (evaluation.intervals or {}).get(side, {}).get(metric) if evaluation else None
    return None if found is None or found[0] == found[1] else found
