"""Figures of merit of labels and scores: what each is, whether larger is better, and what a row contributes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from include.spec import Task

Figure = Callable[[np.ndarray, np.ndarray], float]
ByRow = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Metric:
    """A figure of merit: ``compute(labels, scores) -> float`` and whether a larger value is better.

    Labels and scores are those of `dataset.labels` and `score`: of several classes, indices and a probability for each.

    Attributes
    ----------
    by_row : if the figure is a mean over rows, ``by_row(labels, scores)`` is what each row contributes.
    """

    compute: Figure
    larger_is_better: bool
    task: Task
    by_row: ByRow | None = None


def mean(by_row: ByRow, larger_is_better: bool, task: Task) -> Metric:
    """The metric that is the mean of what each row contributes."""
    return Metric(lambda y, p: float(np.mean(by_row(y, p))), larger_is_better, task, by_row)


_LEAST = 1e-15
"""What a probability of 0 counts as in the log loss: a class that a model never saw costs 34.5, not infinity."""


def _log_loss(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    if p.ndim == 2:
        return np.asarray(-np.log(np.maximum(p[np.arange(len(y)), y], _LEAST)))
    clipped = np.clip(p, _LEAST, 1 - _LEAST)
    return np.asarray(-np.where(y == 1, np.log(clipped), np.log1p(-clipped)))


def _roc_auc(positive: np.ndarray, scores: np.ndarray) -> float:
    """The share of pairs in which the positive row has the higher score, ties counting half (Mann and Whitney 1947).

    As scikit-learn's, without its checks of the input, which would take most of the time of a metric by day and class.
    """
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    above = int(positive.sum())
    return float((ranks[positive].sum() - above * (above + 1) / 2) / (above * (len(positive) - above)))


def _average_precision(positive: np.ndarray, scores: np.ndarray) -> float:
    """The mean precision at each positive row, from the highest score down; as scikit-learn's, without its checks."""
    _, place = np.unique(-scores, return_inverse=True)
    found, rows = np.bincount(place[positive], minlength=place.max() + 1), np.bincount(place)
    precision = np.cumsum(found) / np.cumsum(rows)
    return float(np.sum(found * precision) / positive.sum())


def _ranked(compute: Callable[[np.ndarray, np.ndarray], float]) -> Callable[[np.ndarray, np.ndarray], float]:
    """A ranking metric; of several classes the plain mean of one against the rest, over the classes that occur.

    It is not defined on rows of one class only: nan, never a number that could read as good.
    """

    def computed(y: np.ndarray, p: np.ndarray) -> float:
        there = np.unique(y)
        if len(there) < 2:
            return float("nan")
        if p.ndim == 1:
            return compute(y == 1, p)
        return float(np.mean([compute(y == at, p[:, at]) for at in there]))

    return computed


def _brier(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Binary: the mean of (label - score)^2, 0 to 1. Several classes: its sum over the classes, 0 to 2 (Brier 1950)."""
    if p.ndim == 2:
        return np.asarray(np.sum((p - np.eye(p.shape[1])[y]) ** 2, axis=1))
    return np.asarray((y - p) ** 2)


def _accuracy(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    right = p.argmax(axis=1) == y if p.ndim == 2 else (p >= 0.5) == (y == 1)
    return np.asarray(right, dtype=np.float64)


def _calibration_error(y: np.ndarray, p: np.ndarray) -> float:
    """Mean |share of positive labels - mean score| over ten bins of equal size by score, weighted by rows (Naeini,
    Cooper and Hauskrecht 2015, with equal mass as in Nixon et al. 2019); of several classes the mean of one against the
    rest. It is never 0 on few rows: compare two models on the same rows, not with 0.
    """
    if p.ndim == 2:
        return float(np.mean([_calibration_error((y == at).astype(float), p[:, at]) for at in range(p.shape[1])]))
    values, tied = np.unique(p, return_inverse=True)
    return binned_gap(np.bincount(tied, minlength=len(values)).astype(float), np.bincount(tied, y - p))


def binned_gap(rows: np.ndarray, gaps: np.ndarray, bins: int = 10) -> float:
    """The calibration error from rows and summed gaps (label - score) of each score, in ascending order of the scores.

    Equal scores share their gap evenly if a bin ends among them, so the order of the rows does not matter.
    """
    total = int(rows.sum())
    edges = np.cumsum([0, *(total // bins + (at < total % bins) for at in range(bins))])
    summed = np.interp(edges, np.insert(np.cumsum(rows), 0, 0.0), np.insert(np.cumsum(gaps), 0, 0.0))
    return float(np.abs(np.diff(summed)).sum() / total)


def _pinball(level: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The loss of a forecast of the quantile ``level`` (Koenker and Bassett 1978); at .5 half of the absolute error."""
    return lambda y, p: np.maximum(level * (y - p), (level - 1) * (y - p))


def _r2(y: np.ndarray, p: np.ndarray) -> float:
    spread = float(np.sum((y - y.mean()) ** 2))
    return 1 - float(np.sum((y - p) ** 2)) / spread if spread > 0 else float("nan")


METRICS: dict[str, Metric] = {
    "log_loss": mean(_log_loss, False, Task.CLASSIFICATION),
    "roc_auc": Metric(_ranked(_roc_auc), True, Task.CLASSIFICATION),
    "average_precision": Metric(_ranked(_average_precision), True, Task.CLASSIFICATION),
    "brier": mean(_brier, False, Task.CLASSIFICATION),
    "accuracy": mean(_accuracy, True, Task.CLASSIFICATION),
    "calibration_error": Metric(_calibration_error, False, Task.CLASSIFICATION),
    "mae": mean(lambda y, p: np.abs(y - p), False, Task.REGRESSION),
    "rmse": Metric(lambda y, p: float(np.sqrt(np.mean((y - p) ** 2))), False, Task.REGRESSION),
    "r2": Metric(_r2, True, Task.REGRESSION),
    "pinball_10": mean(_pinball(0.1), False, Task.REGRESSION),
    "pinball_50": mean(_pinball(0.5), False, Task.REGRESSION),
    "pinball_90": mean(_pinball(0.9), False, Task.REGRESSION),
}


def gain(metric: Metric, value: float, reference: float) -> float:
    """How much better ``value`` is than ``reference``, in units of the metric: positive is better, whatever the
    metric."""
    return value - reference if metric.larger_is_better else reference - value
