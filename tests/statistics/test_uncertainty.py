"""Differences by whole blocks: known values, and error rates on nights in which rows of a day are correlated."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from include.statistics import uncertainty


def nights(seed: int, days: int, rows: int, shift: float, day_effect: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Loss differences of two models by row (``shift`` + an effect of the day + noise), and the day of each row."""
    generator = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), rows)
    return shift + day_effect * generator.normal(size=days)[day] + generator.normal(size=days * rows) * 3, day


def test_with_equal_blocks_it_equals_the_t_test_over_block_means() -> None:
    values, day = nights(1, days=14, rows=30, shift=0.2)
    found = uncertainty.jackknife_of_means(values, day, 0.05)
    means = values.reshape(14, 30).mean(axis=1)
    error = means.std(ddof=1) / math.sqrt(14)
    assert found.value == pytest.approx(means.mean())
    assert found.error == pytest.approx(error)
    assert found.lower == pytest.approx(means.mean() - stats.t.ppf(0.95, 13) * error)
    assert found.p_below(0) == pytest.approx(stats.ttest_1samp(means, 0, alternative="less").pvalue)


def test_sums_by_block_give_the_same_as_leaving_out_rows() -> None:
    generator = np.random.default_rng(3)
    day = generator.integers(0, 9, size=400)
    values = generator.normal(size=400) + day * 0.1
    slow = uncertainty.jackknife(lambda rows: float(values[rows].mean()), day, 0.05)
    fast = uncertainty.jackknife_of_means(values, day, 0.05)
    for name in ("value", "error", "lower", "upper", "blocks", "rows"):
        assert getattr(fast, name) == pytest.approx(getattr(slow, name)), name


@pytest.mark.parametrize("blocks", [np.array([]), np.zeros(5)])
def test_without_two_blocks_the_uncertainty_is_unknown(blocks: np.ndarray) -> None:
    for found in (
        uncertainty.jackknife(lambda rows: 0.0, blocks, 0.05),
        uncertainty.jackknife_of_means(np.zeros(len(blocks)), blocks, 0.05),
    ):
        assert not found.known


def test_the_uncertainty_of_a_figure_that_depends_on_one_block_is_unknown() -> None:
    """A ranking metric needs both classes. If one day has all positives, nothing can be ranked without this day."""
    day = np.repeat([0, 1, 2], 4)
    found = uncertainty.jackknife(lambda rows: 1.0 if (day[rows] == 0).any() else math.nan, day, 0.05)
    assert found.value == 1.0 and not found.known


def test_holm_is_between_bonferroni_and_none() -> None:
    assert uncertainty.holm([0.01, 0.02, 0.03], 0.05) == [True, True, True]
    assert uncertainty.holm([0.02, 0.02, 0.03], 0.05) == [False, False, False]
    assert uncertainty.holm([0.04, 0.001, math.nan], 0.05) == [False, True, False]
    assert uncertainty.holm([], 0.05) == []


def rate(decide: object, seeds: int, shift: float, **of: float) -> float:
    return float(np.mean([decide(*nights(seed, 14, 60, shift, **of)) for seed in range(seeds)]))  # type: ignore[operator]


def by_blocks(values: np.ndarray, day: np.ndarray) -> bool:
    return uncertainty.jackknife_of_means(values, day, 0.05).lower > -0.5


def by_rows(values: np.ndarray, day: np.ndarray) -> bool:
    """The wrong method: a bootstrap over rows, in its normal approximation (standard error of a mean)."""
    return bool(values.mean() - 1.645 * values.std() / math.sqrt(len(values)) > -0.5)


def test_a_model_worse_by_the_margin_is_promoted_in_5_percent_by_blocks_and_far_more_by_rows() -> None:
    seeds = 2000
    monte_carlo = 2 * math.sqrt(0.05 * 0.95 / seeds)
    assert rate(by_blocks, seeds, shift=-0.5) <= 0.05 + monte_carlo
    assert rate(by_rows, seeds, shift=-0.5) > 0.2
