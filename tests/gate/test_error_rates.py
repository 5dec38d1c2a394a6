"""How often the gate errs, measured on nights that are drawn from a population whose truth is known.

In the population, the challenger is worse than the champion by exactly the margin, because the margin is set to the
difference over all days. A night draws two weeks of whole days. Every promotion is therefore an error.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from include.gate import comparison
from include.statistics import metrics

ALPHA, DAYS, SEEDS = 0.05, 14, 1000
MONTE_CARLO = 2 * math.sqrt(ALPHA * (1 - ALPHA) / SEEDS)


@dataclass(frozen=True)
class Population:
    """Days with labels and the scores of two models. A day affects all its rows in the same way."""

    day: np.ndarray
    y: np.ndarray
    mine: np.ndarray
    theirs: np.ndarray

    def margin(self, metric: str) -> float:
        """Return by how much the challenger is truly worse."""
        compute = metrics.METRICS[metric].compute
        return -metrics.gain(metrics.METRICS[metric], compute(self.y, self.mine), compute(self.y, self.theirs))

    def draw(self, generator: np.random.Generator, days: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw days with replacement; return the positions of their rows, and the block of each row."""
        each = [np.flatnonzero(self.day == d) for d in generator.integers(0, self.day.max() + 1, size=days)]
        return np.concatenate(each), np.repeat(np.arange(days), [len(rows) for rows in each])


@pytest.fixture(scope="module")
def population() -> Population:
    generator = np.random.default_rng(7)
    days, rows = 500, 200
    day = np.repeat(np.arange(days), rows)
    weather = generator.normal(size=days)[day]
    truth = -1.2 + 0.8 * weather + generator.normal(size=len(day))
    y = (generator.random(len(day)) < 1 / (1 + np.exp(-truth))).astype(float)

    def scored(seen_of_weather: float, noise: float) -> np.ndarray:
        off = generator.normal(size=days)[day] * 0.5  # the error of a model about a day is the same in all its rows
        logit = -1.2 + seen_of_weather * weather + (truth + 1.2 - 0.8 * weather) + off
        return np.asarray(1 / (1 + np.exp(-logit - noise * generator.normal(size=len(day)))))

    return Population(day, y, mine=scored(0.5, 0.5), theirs=scored(0.7, 0.3))


Decide = Callable[[str, np.ndarray, np.ndarray, np.ndarray, np.ndarray, float], bool]


def by_blocks(metric: str, y: np.ndarray, a: np.ndarray, b: np.ndarray, block: np.ndarray, margin: float) -> bool:
    """Decide as the gate does."""
    return comparison.gain(metrics.METRICS[metric], y, a, b, block, ALPHA).lower > -margin


def by_rows(metric: str, y: np.ndarray, a: np.ndarray, b: np.ndarray, block: np.ndarray, margin: float) -> bool:
    """Decide with the wrong method: every row is an independent observation, as in a bootstrap over rows."""
    by_row = metrics.METRICS[metric].by_row
    assert by_row is not None
    gains = by_row(y, b) - by_row(y, a)
    return bool(gains.mean() - 1.645 * gains.std() / math.sqrt(len(gains)) > -margin)


def error_rate(of: Population, decide: Decide, metric: str) -> float:
    margin, wrong = of.margin(metric), 0
    assert margin > 0, "the challenger must be worse"
    for seed in range(SEEDS):
        at, block = of.draw(np.random.default_rng(seed), DAYS)
        wrong += decide(metric, of.y[at], of.mine[at], of.theirs[at], block, margin)
    return wrong / SEEDS


@pytest.mark.parametrize("metric", ["log_loss", "brier", "roc_auc"])
def test_a_challenger_worse_by_the_margin_is_promoted_in_about_five_of_a_hundred_nights(
    population: Population, metric: str
) -> None:
    rate = error_rate(population, by_blocks, metric)
    print(f"\n{metric}: worse by exactly the margin, promoted in {rate:.1%} of {SEEDS} nights")
    assert rate <= ALPHA + MONTE_CARLO


def test_the_rows_of_a_day_are_not_independent_observations(population: Population) -> None:
    """The wrong method clearly fails the same test, so the population does not make the test easy."""
    rate = error_rate(population, by_rows, "log_loss")
    print(f"\nby rows: {rate:.1%}")
    assert rate > 3 * (ALPHA + MONTE_CARLO)


def test_in_a_month_of_nights_such_a_challenger_has_many_chances(population: Population) -> None:
    """Thirty nights share most of their days, but they are still thirty chances. The anchors protect against that."""
    margin, passed, seeds = population.margin("log_loss"), 0, 200
    by_row = metrics.METRICS["log_loss"].by_row
    assert by_row is not None
    for seed in range(seeds):
        at, block = population.draw(np.random.default_rng(seed), DAYS + 29)
        y, mine, theirs = population.y[at], population.mine[at], population.theirs[at]
        passed += any(
            by_blocks("log_loss", y[here], mine[here], theirs[here], block[here], margin)
            for here in ((block >= night) & (block < night + DAYS) for night in range(30))
        )
    print(f"\nin thirty nights: {passed / seeds:.0%} pass at least once")
    assert 0.1 < passed / seeds < 0.7
