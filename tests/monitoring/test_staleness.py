"""The paired rule finds a stale champion, is silent about equal models, and knows when it cannot know."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from include.monitoring import staleness
from include.monitoring.staleness import PAGE_ALPHA, RETRAIN_ALPHA, Pair
from include.spec import Gate, Monitoring
from include.spec.gate import STANDARD_ERRORS
from include.statistics.results import Cause, State
from tests.monitoring.watched import model
from tests.statistics.made import key

DECLARED = Monitoring()
DAYS = DECLARED.paired_days


def pair(
    worse: float, days: int = DAYS, seed: int = 0, saw: tuple[str | None, str | None] = (key(50), key(99))
) -> Pair:
    """A champion whose log loss on these days is worse by about so much, with an effect of each day."""
    random, rows = np.random.default_rng(seed), 50
    partitions = np.repeat([key(100 + at) for at in range(days)], rows)
    y = (random.random(days * rows) < 0.3).astype(int)
    logit = np.where(y == 1, 1.0, -1.0) + np.repeat(random.normal(0, 0.3, days), rows)
    newer = 1 / (1 + np.exp(-logit))
    loss = -np.log(np.where(y == 1, newer, 1 - newer)) + worse + np.repeat(random.normal(0, 0.005, days), rows)
    right = np.exp(-np.maximum(loss, 1e-9))
    return Pair(y, np.where(y == 1, right, 1 - right), newer, partitions, *saw)


def test_a_stale_champion_is_found() -> None:
    found = staleness.judge(model(), pair(0.05))
    assert found.result.violated and found.result.cause is Cause.STALE and found.days == DAYS
    assert found.result.value == pytest.approx(0.05, abs=0.01) and found.low is not None and found.high is not None
    assert found.low < 0.05 < found.high and found.result.high == pytest.approx(0.002)
    assert "better in log_loss on the same 14 days" in found.result.sentence


@pytest.mark.parametrize("worse", [0.0, -0.05])
def test_an_equal_or_better_champion_is_not_stale(worse: float) -> None:
    found = staleness.judge(model(), pair(worse))
    assert found.result.state is State.HEALTHY and "not significantly stale" in found.result.sentence


@pytest.mark.parametrize(("trains", "retrain", "alpha"), [
    ("0 3 * * 0", True, RETRAIN_ALPHA), ("0 3 * * 0", False, PAGE_ALPHA), ("0 3 * * *", True, PAGE_ALPHA),
])  # fmt: skip
def test_a_person_is_asked_with_more_certainty_than_a_retraining(trains: str, retrain: bool, alpha: float) -> None:
    assert staleness.alpha(model(trains, retrain=retrain)) == alpha


def test_the_margin_is_a_tenth_of_the_gate_s_or_the_declared_one() -> None:
    assert staleness.margin(model(gate=Gate(margin=0.5))) == pytest.approx(0.05)
    declared = model(stale_margin=0.2)
    assert staleness.margin(declared) == 0.2
    assert not staleness.judge(declared, pair(0.05)).result.violated


@pytest.mark.parametrize(
    ("saw", "why"),
    [
        ((None, key(99)), "not known which days the champion"),
        ((key(50), None), "not known which days the newer fit"),
        ((key(100), key(99)), "the champion has learned from days up to"),
        ((key(50), key(105)), "the newer fit has learned from days up to"),
        ((key(50), key(50)), "the other fit is not newer"),
    ],
)
def test_a_fit_that_has_seen_the_days_or_is_not_newer_is_unknown(saw: tuple[str | None, str | None], why: str) -> None:
    found = staleness.judge(model(), pair(0.05, saw=saw)).result
    assert found.state is State.UNKNOWN and found.value is None and why in found.sentence


@pytest.mark.parametrize("days", [1, 2, DAYS - staleness.MAY_LACK - 1])
def test_few_days_are_unknown(days: int) -> None:
    found = staleness.judge(model(), pair(0.05, days))
    assert found.result.state is State.UNKNOWN and "11 are needed" in found.result.sentence and found.days == days
    assert staleness.judge(model(), pair(0.05, DAYS - staleness.MAY_LACK)).result.violated


def test_no_pair_is_unknown_with_its_reason() -> None:
    found = staleness.judge(model(), None, "no newer fit exists").result
    assert found.state is State.UNKNOWN and found.sentence.endswith("no newer fit exists")


def test_a_single_block_is_unknown() -> None:
    found = staleness.judge(model(gate=Gate(block_days=30)), pair(0.05)).result
    assert found.state is State.UNKNOWN and "1 block" in found.sentence


def test_a_metric_that_is_not_defined_is_unknown() -> None:
    of = model()
    of = of.model_copy(update={"training": of.training.model_copy(update={"metric": "roc_auc"})})
    one = pair(0.05)
    none = Pair(np.zeros_like(one.y), one.champion, one.newer, one.partitions, key(50), key(99))
    found = staleness.judge(of, none).result
    assert found.state is State.UNKNOWN and found.value is None


# -- the whole rule, simulated: differences of daily losses in units of their standard deviation


def fires(gains: np.ndarray, margin: float, days: int) -> np.ndarray:
    """Whether the rule fires on any of the last ``days`` days, of shape (runs,); gains by day, shape (runs, days).

    The same limits as `jackknife_of_means` gives for days of equal rows; the first test below compares them.
    """
    windows = np.lib.stride_tricks.sliding_window_view(gains, DAYS, axis=1)
    error = windows.std(axis=2, ddof=1) / np.sqrt(DAYS)
    beyond = windows.mean(axis=2) - stats.t.ppf(1 - PAGE_ALPHA, DAYS - 1) * error > margin
    counted = np.cumsum(np.pad(beyond, ((0, 0), (DECLARED.of_days, 0))), axis=1)
    enough = counted[:, DECLARED.of_days :] - counted[:, : -DECLARED.of_days] >= DECLARED.alarm_days
    return np.asarray((enough & beyond)[:, -days:].any(axis=1))


MARGIN = STANDARD_ERRORS / np.sqrt(DAYS)
"""The smallest margin that the gate recommends, in standard deviations of a day's difference."""


def test_the_simulation_judges_as_the_rule_does() -> None:
    for seed in range(20):
        one = pair(0.004, seed=seed)
        found = staleness.judge(model(), one)
        loss = np.array([-np.log(np.where(one.y == 1, s, 1 - s)) for s in (one.champion, one.newer)])
        by_day = (loss[0] - loss[1]).reshape(DAYS, -1).mean(axis=1)
        error = by_day.std(ddof=1) / np.sqrt(DAYS)
        assert found.low == pytest.approx(by_day.mean() - stats.t.ppf(1 - RETRAIN_ALPHA, DAYS - 1) * error, abs=1e-9)


@pytest.mark.parametrize("tails", ["normal", "heavy"])
def test_equal_models_alarm_in_less_than_one_month_of_a_hundred(tails: str) -> None:
    """The upper 97.5 % limit of the rate of months with an alarm. Measured with 100,000 months: 0.53 and 0.30 %."""
    random, runs = np.random.default_rng(7), 10_000
    shape = (runs, 30 + DAYS - 1 + DECLARED.of_days - 1)
    gains = random.normal(size=shape) if tails == "normal" else random.standard_t(4, size=shape) / np.sqrt(2)
    alarms = int(fires(gains, MARGIN / 10, 30).sum())
    assert stats.beta.ppf(0.975, alarms + 1, runs - alarms) <= 0.01


@pytest.mark.parametrize(("times", "least"), [(1.5, 0.9), (2.5, 0.99)])
def test_a_champion_that_becomes_worse_is_caught_within_40_days(times: float, least: float) -> None:
    """Measured: within 40 days 55, 94, 99.9 and 100 % of champions that become worse by 1, 1.5, 2 and 2.5 margins."""
    random, runs = np.random.default_rng(8), 2000
    gains = random.normal(size=(runs, DAYS - 1 + 40))
    gains[:, DAYS - 1 :] += times * MARGIN
    assert fires(gains, MARGIN / 10, 40).mean() >= least
