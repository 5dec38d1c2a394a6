"""Intervals for the card equal those of a plain bootstrap over whole days, in a fraction of the time."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import pytest

from include import catalog
from include.cards import intervals
from include.spec import Model, Task
from include.statistics import metrics, uncertainty
from include.training import measures
from tests.training import chain_models

NAMES = ("toy", "toy_classes", "toy_counts")
Case = tuple[Model, np.ndarray, dict[str, np.ndarray], np.ndarray]


@pytest.fixture(scope="module")
def models() -> Iterator[dict[str, Model]]:
    with pytest.MonkeyPatch.context() as patch:
        chain_models.show(patch)
        yield {name: catalog.load(name) for name in NAMES}


def case(model: Model, rows: int, days: int = 7, one_class: bool = False) -> Case:
    """Return made-up labels and scores. The days differ in size and have no order, and some scores are tied."""
    random = np.random.default_rng(5)
    block = np.minimum(random.integers(0, days, rows), random.integers(0, days, rows))
    x = random.normal(size=rows) + random.normal(0, 0.5, days)[block]
    if model.data.label.task is Task.REGRESSION:
        y = random.poisson(np.exp(x)).astype(float)
        scores = {"challenger": np.exp(x), "baseline": np.full(rows, y.mean())}
    elif model.data.label.multiclass:
        y = np.clip(np.floor(x + 1.5), 0, 2).astype(int)
        raw = np.exp(random.normal(size=(rows, 3)) + np.eye(3)[y]).round(1)
        scores = {"challenger": raw / raw.sum(axis=1, keepdims=True), "baseline": np.full((rows, 3), 1 / 3)}
    else:
        y = (x + random.normal(size=rows) > 0.8).astype(int)
        scores = {"challenger": np.round(1 / (1 + np.exp(-x)), 2), "baseline": np.full(rows, 0.3)}
    return model, np.zeros_like(y) if one_class else y, scores, block


@pytest.mark.parametrize("name", NAMES)
def test_the_intervals_equal_those_of_the_plain_bootstrap(models: dict[str, Model], name: str) -> None:
    model, y, scores, block = case(models[name], rows=500)
    for side, mine in scores.items():
        for metric in measures.metrics(model, y, mine):

            def of_rows(at: np.ndarray, mine: np.ndarray = mine, metric: str = metric) -> float:
                return measures.metric(model, metric).compute(y[at], mine[at])

            plain = uncertainty.bootstrap(of_rows, block, intervals.ALPHA, draws=60)
            quick = intervals.interval(metric, measures.metric(model, metric), y, mine, block, draws=60)
            assert quick == pytest.approx(plain), (metric, side)
            if measures.metric(model, metric).by_row is not None and side == "challenger":
                assert plain[0] < of_rows(np.arange(len(y))) < plain[1], (metric, side)


@pytest.mark.parametrize("name", NAMES)
def test_an_unknown_interval_is_none(models: dict[str, Model], name: str) -> None:
    found = intervals.by_side(*case(models[name], rows=200, days=1), draws=20)
    assert set(found["challenger"].values()) == {None}, "one day says nothing about other days"
    found = intervals.by_side(*case(models[name], rows=200, one_class=True), draws=20)
    ranking = {metric: found["challenger"].get(metric) for metric in ("roc_auc", "average_precision", "r2")}
    assert set(ranking.values()) == {None}, "with one class there is nothing to rank and no spread to explain"


@pytest.mark.parametrize("name", NAMES)
def test_the_intervals_are_fast(models: dict[str, Model], name: str) -> None:
    evidence = case(models[name], rows=15_000, days=14)
    started = time.process_time()
    found = intervals.by_side(*evidence)["challenger"]
    assert time.process_time() - started < 3.0  # 0.05 to 0.4 s on an idle machine
    assert [metric for metric, pair in found.items() if pair is None] == [m for m in intervals.BIASED if m in found]


def test_a_calibration_error_does_not_depend_on_the_order_of_equal_scores() -> None:
    random = np.random.default_rng(0)
    y, p = random.integers(0, 2, 333).astype(float), random.integers(0, 4, 333) / 4
    compute = metrics.METRICS["calibration_error"].compute
    worst_first, best_first = np.argsort(y), np.argsort(-y)
    assert compute(y[worst_first], p[worst_first]) == pytest.approx(compute(y[best_first], p[best_first]))
    assert compute(y, np.full(333, y.mean())) == pytest.approx(0.0), "the mean, predicted for every row, is calibrated"
    distinct = random.permutation(333) / 333
    bins = np.array_split(np.argsort(distinct), 10)
    assert compute(y, distinct) == pytest.approx(sum(abs((y[r] - distinct[r]).sum()) for r in bins) / 333)
