"""How often the gate would promote: from differences of two fits by whole blocks of days, drawn again and again.

A night's differences are those of two healthy fits of one recipe, block by block, less their mean: two models that are
equally good, with the noise that the model's own days have. Blocks are drawn within a night, because a stormy month is
noisy on all of its days; each draw is judged as the gate judges it, by the limits of `include.statistics.uncertainty`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from include.statistics import uncertainty
from include.statistics.metrics import Metric

DRAWS, SEED = 4000, 0
WANTED = 0.8
MOST_DAYS = 365


@dataclass(frozen=True)
class Differences:
    """The difference of two fits in each block, and the block's rows; both of shape (blocks,)."""

    values: np.ndarray
    rows: np.ndarray


def by_block(metric: Metric, y: np.ndarray, mine: np.ndarray, theirs: np.ndarray, block: np.ndarray) -> Differences:
    """How much better ``mine`` is than ``theirs`` in each block; the parameters are those of `comparison.gain`.

    Of a mean over rows the mean of the block; of any other metric the block's pseudo-value, what leaving it out takes
    away (Busing, Meijer and van der Leeden 1999; see `include.statistics.uncertainty`), whose weighted mean is the
    whole. Blocks without which the metric is not defined are left out.
    """
    sign = 1.0 if metric.larger_is_better else -1.0
    if metric.by_row is not None:
        gains = sign * (metric.by_row(y, mine) - metric.by_row(y, theirs))
        _, number = np.unique(block, return_inverse=True)
        rows = np.bincount(number).astype(float)
        return Differences(np.bincount(number, gains) / rows, rows)

    def gain(at: np.ndarray) -> float:
        return sign * (metric.compute(y[at], mine[at]) - metric.compute(y[at], theirs[at]))

    parts = uncertainty.positions(block)
    rows = np.array([len(part) for part in parts], dtype=float)
    without = np.array([gain(np.setdiff1d(np.arange(len(y)), part)) for part in parts])
    weight = rows.sum() / rows
    values = weight * gain(np.arange(len(y))) - (weight - 1) * without
    defined = np.isfinite(values)
    return Differences(values[defined], rows[defined])


def lower_limits(values: np.ndarray, rows: np.ndarray, alpha: float) -> np.ndarray:
    """The lower limits that `uncertainty.jackknife_of_means` gives, for many sets of blocks at once.

    Parameters
    ----------
    values, rows : of shape (draws, blocks): mean and rows of each block.
    """
    total = rows.sum(axis=1, keepdims=True)
    mean = (values * rows).sum(axis=1, keepdims=True) / total
    error = np.sqrt(np.mean((values - mean) ** 2 * rows / (total - rows), axis=1))
    return np.asarray(mean[:, 0] - float(stats.t.ppf(1 - alpha, values.shape[1] - 1)) * error)


class Equal:
    """Challengers that are exactly as good as the champion, judged on holdouts of the model's own days.

    Parameters
    ----------
    nights : for each sampled night its `Differences`; those of fewer than two blocks are left out.
    alpha : of the gate.
    """

    def __init__(self, nights: Sequence[Differences], alpha: float, draws: int = DRAWS, seed: int = SEED) -> None:
        known = [night for night in nights if len(night.values) > 1]
        if not known:
            raise ValueError("no night has two blocks of days with a difference")
        self.alpha, self.draws, self.seed = alpha, draws, seed
        self._blocks = np.array([len(night.values) for night in known])
        self._begin = np.cumsum(self._blocks) - self._blocks
        self._values = np.concatenate([_centred(night) for night in known])
        self._rows = np.concatenate([night.rows for night in known])
        self._lower: dict[int, np.ndarray] = {}

    def promoted(self, blocks: int, margin: float, better: float = 0.0) -> float:
        """How often the gate promotes on holdouts of this many blocks.

        Parameters
        ----------
        better : how much better than equal the challenger truly is; ``-margin``: worse by exactly the margin.
        """
        return float(np.mean(self._limits(blocks) + better > -margin))

    def blocks_needed(self, margin: float, most: int, wanted: float = WANTED) -> int | None:
        """The fewest blocks on which an equal challenger passes as often as ``wanted``; None: more than ``most``."""
        if most < 2 or self.promoted(most, margin) < wanted:
            return None
        low, high = 1, most
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.promoted(middle, margin) >= wanted else (middle, high)
        return high

    def _limits(self, blocks: int) -> np.ndarray:
        if blocks not in self._lower:
            generator = np.random.default_rng(self.seed)
            night = generator.integers(0, len(self._blocks), self.draws)[:, None]
            place = generator.random((self.draws, blocks)) * self._blocks[night]
            at = self._begin[night] + place.astype(np.int64)
            self._lower[blocks] = lower_limits(self._values[at], self._rows[at], self.alpha)
        return self._lower[blocks]


def _centred(night: Differences) -> np.ndarray:
    """The differences less their mean, scaled to restore the spread that this removes."""
    mean = float(np.average(night.values, weights=night.rows))
    blocks = len(night.values)
    return np.asarray((night.values - mean) * math.sqrt(blocks / (blocks - 1)))
