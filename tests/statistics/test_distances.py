"""Distances of distributions: closed forms, the same numbers as scipy, and the properties of a distance."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats
from scipy.spatial import distance as theirs

from include.statistics import distances

COUNTS = arrays.arrays(np.int64, 6, elements=st.integers(0, 10_000)).filter(lambda counts: counts.sum() > 0)
VALUES = arrays.arrays(np.float64, 6, elements=st.floats(-1e6, 1e6))


def of_rows(mine: np.ndarray, others: np.ndarray) -> float:
    return distances.wasserstein(mine, np.ones(len(mine)), others, np.ones(len(others)))


@pytest.mark.parametrize("shift", [0.0, 0.001, 0.25, 1.0, 40.0])
def test_a_shifted_uniform_distribution_is_as_far_away_as_it_is_shifted(shift: float) -> None:
    uniform = np.linspace(0, 1, 1001)
    assert of_rows(uniform, uniform + shift) == pytest.approx(shift)


def test_a_stretched_uniform_distribution_is_half_of_the_stretch_away() -> None:
    uniform = np.linspace(0, 1, 1001)  # from [0, 1] to [0, 3]: the quantile p moves by 2 p
    assert of_rows(uniform, 3 * uniform) == pytest.approx(1.0)


def test_moving_a_share_of_the_rows_costs_share_times_distance() -> None:
    found = distances.wasserstein(np.array([0.0, 10.0]), np.array([9, 1]), np.array([0.0]), np.array([500]))
    assert found == pytest.approx(0.1 * 10)


@settings(deadline=None, database=None)
@given(VALUES, COUNTS, VALUES, COUNTS)
def test_wasserstein_is_that_of_scipy_and_a_distance(
    mine: np.ndarray, mine_rows: np.ndarray, others: np.ndarray, other_rows: np.ndarray
) -> None:
    found = distances.wasserstein(mine, mine_rows, others, other_rows)
    assert found == pytest.approx(stats.wasserstein_distance(mine, others, mine_rows, other_rows), rel=1e-9, abs=1e-9)
    assert found >= 0 and found == pytest.approx(distances.wasserstein(others, other_rows, mine, mine_rows))
    assert distances.wasserstein(mine, mine_rows, mine, mine_rows) == 0
    assert distances.wasserstein(mine, mine_rows, mine, 7 * mine_rows) == pytest.approx(0, abs=1e-6)


def test_the_stability_index_by_hand() -> None:
    # With half a row each, the shares are 10.5/21 and 10.5/21 against 5.5/21 and 15.5/21.
    by_hand = (0.5 - 5.5 / 21) * math.log(0.5 / (5.5 / 21)) + (0.5 - 15.5 / 21) * math.log(0.5 / (15.5 / 21))
    assert distances.psi_of_counts(np.array([10, 10]), np.array([5, 15])) == pytest.approx(by_hand)


def test_the_index_of_scores_is_that_of_their_counts() -> None:
    random = np.random.default_rng(1)
    mine, others = random.normal(0.3, 1, 500), random.normal(0, 1, 800)
    edges = np.quantile(others, np.linspace(0, 1, 11)[1:-1])
    counts = [np.bincount(np.searchsorted(edges, scores, side="right"), minlength=10) for scores in (mine, others)]
    assert distances.psi(mine, others) == distances.psi_of_counts(*counts)


def test_jensen_shannon_of_known_distributions() -> None:
    assert distances.jensen_shannon(np.array([5, 0]), np.array([0, 9])) == 1
    assert distances.jensen_shannon(np.array([5, 5]), np.array([9, 9])) == 0
    # p = (1, 0), q = (1/2, 1/2), and between them m = (3/4, 1/4)
    divergence = (math.log2(4 / 3) + math.log2(2 / 3) / 2 + math.log2(2) / 2) / 2
    assert distances.jensen_shannon(np.array([3, 0]), np.array([1, 1])) == pytest.approx(math.sqrt(divergence))


@settings(deadline=None, database=None)
@given(COUNTS, COUNTS)
def test_jensen_shannon_and_the_index_are_symmetric_and_zero_on_identical_counts(
    mine: np.ndarray, others: np.ndarray
) -> None:
    found = distances.jensen_shannon(mine, others)
    assert found == pytest.approx(theirs.jensenshannon(mine, others, base=2), abs=1e-7)
    assert 0 <= found <= 1 and found == pytest.approx(distances.jensen_shannon(others, mine))
    assert distances.jensen_shannon(mine, mine) == 0
    index = distances.psi_of_counts(mine, others)
    assert index >= 0 and index == pytest.approx(distances.psi_of_counts(others, mine))
    assert distances.psi_of_counts(mine, mine) == 0


@settings(deadline=None, database=None)
@given(COUNTS, COUNTS, COUNTS)
def test_jensen_shannon_and_wasserstein_satisfy_the_triangle_inequality(
    first: np.ndarray, second: np.ndarray, third: np.ndarray
) -> None:
    places = np.arange(6.0)
    for between in (
        distances.jensen_shannon,
        lambda mine, others: distances.wasserstein(places, mine, places, others),
    ):
        assert between(first, third) <= between(first, second) + between(second, third) + 1e-7
