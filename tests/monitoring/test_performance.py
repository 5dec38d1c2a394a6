"""Performance by day, version, source and slice, with intervals by blocks of days, next to promise and baseline."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from include.data.monitoring import Measured, Source
from include.monitoring import performance
from include.monitoring.performance import Scored
from include.partitions import keys_between
from include.spec import Model
from include.statistics.results import State
from include.training import measures

KEY = "2026-05-13"
DAYS = keys_between("2026-05-01", "2026-05-14")


def scored(days: list[str], rows: int = 60, versions: tuple[int, ...] = (3,), **more: Any) -> Scored:
    """Made-up rows; on every other day the scores say nothing."""
    random = np.random.default_rng(0)
    partitions = np.repeat(np.array(days, dtype=object), rows)
    hard = np.repeat(np.arange(len(days)) % 2 == 1, rows)
    score = random.uniform(0.05, 0.95, len(partitions))
    labels = (random.random(len(partitions)) < 1 / (1 + np.exp(-8 * (score - 0.5) * ~hard))).astype(np.int64)
    version = np.array([versions[at % len(versions)] for at in range(len(partitions))])
    made: dict[str, Any] = {
        "partitions": partitions, "labels": labels, "scores": score, "version": version,
        "live": np.zeros(len(partitions), dtype=bool), "baseline": np.full(len(partitions), labels.mean()),
        "slices": {"shop": np.where(random.random(len(partitions)) < 0.2, "Cork", "Delft").astype(object)},
    }  # fmt: skip
    return Scored(**(made | more))


def promise(version: int, metric: str) -> float | None:
    return {3: 0.5, 4: 0.8}.get(version)


def named(found: list[Measured], measure: str = "log_loss", slice: str = "") -> list[Measured]:
    return [one for one in found if one.result.measure == measure and one.slice == slice]


def test_a_day_has_every_metric_of_the_task_without_an_interval_and_is_never_judged(toy: Model) -> None:
    day = scored([KEY])
    found = performance.of_day(toy, KEY, "b1", day, promise)
    assert {one.result.measure for one in found} == set(measures.metrics_of(toy)) and len(found) == 6
    expected = measures.metrics(toy, day.labels, day.scores)
    for one in found:
        assert one.result.value == pytest.approx(expected[one.result.measure])
        assert one.result.state is State.UNKNOWN and (one.low, one.high) == (None, None)
        assert (one.version, one.source, one.rows, one.days) == (3, Source.REPLAYED, 60, 1)
        assert one.promise == 0.5
    (loss,) = named(found)
    assert loss.baseline == pytest.approx(measures.metrics(toy, day.labels, day.baseline)["log_loss"])


def test_several_versions_and_sources_of_a_day_are_told_apart_and_taken_together(toy: Model) -> None:
    live = np.arange(60) < 20
    day = scored([KEY], versions=(3, 4), live=live)
    found = named(performance.of_day(toy, KEY, "b1", day, promise))
    parts = {(one.version, one.source): one.rows for one in found}
    assert parts == {
        (None, None): 60, (3, Source.LIVE): 10, (4, Source.LIVE): 10, (3, Source.REPLAYED): 20, (4, Source.REPLAYED): 20
    }  # fmt: skip
    assert found[0].promise == pytest.approx(0.65), "the mean of the promises, by rows"


def test_the_interval_of_the_window_is_by_days_and_wider_than_rows_would_make_it(toy: Model) -> None:
    window = scored(DAYS)
    found = performance.of_window(toy, KEY, "b1", window, promise)
    (loss,) = named(found)
    assert loss.low is not None and loss.high is not None and loss.result.value is not None
    assert loss.low < loss.result.value < loss.high and (loss.days, loss.rows) == (14, 14 * 60)
    (auc,) = named(found, "roc_auc")
    assert auc.low is not None and auc.high is not None and auc.high > auc.low
    shuffled = np.random.default_rng(1).permutation(window.partitions)
    (by_rows,) = named(performance.of_window(toy, KEY, "b1", scored(DAYS, partitions=shuffled), promise))
    assert by_rows.low is not None and by_rows.high is not None
    assert loss.high - loss.low > 1.5 * (by_rows.high - by_rows.low)


def test_slices_have_the_metrics_of_the_gate_and_no_promise(toy: Model) -> None:
    gate = toy.gate.model_copy(update={"slices": ("shop",), "baseline_metric": "roc_auc"})
    found = performance.of_window(toy.model_copy(update={"gate": gate}), KEY, "b1", scored(DAYS), promise)
    sliced = {one.slice: one.rows for one in found if one.slice}
    assert list(sliced) == ["shop=Delft", "shop=Cork"] and sum(sliced.values()) == 14 * 60
    assert {one.result.measure for one in found if one.slice} == {"log_loss", "roc_auc"}
    assert all(one.promise is None for one in found if one.slice)
    assert all(one.low is not None for one in named(found, slice="shop=Delft"))


def test_what_is_not_known_is_none_and_never_zero(toy: Model) -> None:
    day = scored([KEY], versions=(3, 5))
    day.baseline[7] = np.nan
    for one in performance.of_day(toy, KEY, "b1", day, promise):
        assert (one.version == 3) == (one.baseline is not None), "row 7 is of version 5"
        assert (one.version == 3) == (one.promise is not None)
    same = scored([KEY], labels=np.ones(60, dtype=np.int64))
    (auc,) = named(performance.of_day(toy, KEY, "b1", same, promise), "roc_auc")
    assert auc.result.value is None and "is not defined" in auc.result.sentence
    absent = performance.unknown(toy, KEY, "b1", "its labels were not final")
    assert absent.result.value is None and absent.rows == 0 and "not final" in absent.result.sentence
