"""The evidence of the gate, against known truths: slices, groups, leaks, different distributions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from fairlearn import metrics as fairlearn
from sklearn import metrics as theirs

from include.gate import comparison
from include.spec import Fairness, Floor, Model, Task
from include.statistics import distances, metrics, uncertainty

DAYS, EACH = 14, 200


def holdout(seed: int = 0) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Return the rows of two weeks, binary labels, and the true probabilities."""
    generator = np.random.default_rng(seed)
    rows = DAYS * EACH
    day = np.repeat([f"2026-05-{n + 1:02}" for n in range(DAYS)], EACH)
    shop = generator.choice(["north", "south", "west"], size=rows, p=[0.6, 0.36, 0.04])
    p = 1 / (1 + np.exp(-generator.normal(size=rows)))
    y = (generator.random(rows) < p).astype(float)
    frame = pd.DataFrame({"partition": day, "shop": shop, "items": generator.integers(0, 3, rows)})
    return frame, y, p


def with_gate(model: Model, **changes: Any) -> Model:
    return model.model_copy(update={"gate": model.gate.model_copy(update=changes)})


def noisy(p: np.ndarray, by: float, seed: int = 1) -> np.ndarray:
    logit = np.log(p / (1 - p)) + by * np.random.default_rng(seed).normal(size=len(p))
    return np.asarray(1 / (1 + np.exp(-logit)))


def test_blocks_count_back_from_the_newest_day() -> None:
    days = [f"2026-05-{n:02}" for n in range(1, 11)]
    assert uncertainty.blocks(days, 1).tolist() == list(range(9, -1, -1))
    assert uncertainty.blocks(days, 7).tolist() == [1, 1, 1, 0, 0, 0, 0, 0, 0, 0]
    assert uncertainty.blocks(["2026-05-01", "2026-05-09"], 7).tolist() == [1, 0], "a missing day still counts as a day"
    assert uncertainty.blocks([], 1).tolist() == []


@pytest.mark.parametrize("metric", [n for n, m in metrics.METRICS.items() if m.task is Task.CLASSIFICATION])
def test_the_gain_is_the_difference_of_the_metrics_whichever_way_is_better(metric: str) -> None:
    frame, y, p = holdout()
    worse = noisy(p, 1.5)
    block = uncertainty.blocks(frame["partition"].to_numpy(), 1)
    found = comparison.gain(metrics.METRICS[metric], y, p, worse, block, 0.05)
    compute = metrics.METRICS[metric].compute
    assert found.value == pytest.approx(metrics.gain(metrics.METRICS[metric], compute(y, p), compute(y, worse)))
    assert found.value > 0 and found.blocks == DAYS and found.known
    back = comparison.gain(metrics.METRICS[metric], y, worse, p, block, 0.05)
    assert (back.value, back.lower) == pytest.approx((-found.value, -found.upper))


def test_slices_are_compared_if_they_are_large_enough(toy: Model) -> None:
    frame, y, p = holdout()
    mine = np.where(frame["shop"] == "south", noisy(p, 2.5), p)
    found = comparison.slices(with_gate(toy, slices=("shop", "items")), frame, y, mine, p, block_of(frame))
    assert [(one.column, one.value) for one in found[:3]] == [
        ("shop", "north"),
        ("shop", "south"),
        ("shop", "west"),
    ]
    north, south, west = found[:3]
    assert north.gain is not None and north.gain.value == 0 and north.p_worse == 1
    assert south.p_worse is not None and south.other is not None and south.challenger is not None
    assert south.p_worse < 1e-3 and south.other < south.challenger
    assert west.gain is None and west.rows < 200 and west.other is not None, "a small slice is only reported"
    assert sum(one.rows for one in found if one.column == "items") == len(frame)


def block_of(frame: pd.DataFrame) -> np.ndarray:
    return uncertainty.blocks(frame["partition"].to_numpy(), 1)


def test_a_missing_value_is_a_separate_group() -> None:
    values = pd.Series(["a", None, "", "b"])
    assert comparison.groups(values).tolist() == ["a", comparison.MISSING, comparison.MISSING, "b"]


@pytest.mark.parametrize("measure", ["demographic_parity", "equalized_odds", "group_error"])
def test_fairness_equals_that_of_fairlearn(toy: Model, measure: Any) -> None:
    frame, y, p = holdout()
    scores = np.where(frame["shop"] == "south", np.clip(p + 0.2, 0, 0.99), p)
    rule = Fairness(column="shop", measure=measure, limit=0.1)
    (found,) = comparison.fairness(with_gate(toy, fairness=(rule,)), frame, y, scores, block_of(frame))
    large = (frame["shop"] != "west").to_numpy()  # 112 rows: shown but not judged
    assert {one.value: one.rows for one in found.groups} == frame["shop"].value_counts().to_dict()
    assert [one.value for one in found.groups if not one.judged] == ["west"]
    frame, y, scores = frame[large], y[large], scores[large]
    decided = scores >= 0.5
    expected = {
        "demographic_parity": lambda: fairlearn.demographic_parity_difference(
            y, decided, sensitive_features=frame["shop"]
        ),
        "equalized_odds": lambda: fairlearn.equalized_odds_difference(y, decided, sensitive_features=frame["shop"]),
        "group_error": lambda: fairlearn.MetricFrame(
            metrics=theirs.log_loss, y_true=y, y_pred=scores, sensitive_features=frame["shop"]
        ).difference(),
    }[measure]()
    assert found.difference.value == pytest.approx(expected)


def test_the_difference_of_a_single_group_is_unknown(toy: Model) -> None:
    frame, y, p = holdout()
    rule = Fairness(column="only", measure="demographic_parity", limit=0.1)
    model = with_gate(toy, fairness=(rule,))
    (found,) = comparison.fairness(model, frame.assign(only="x"), y, p, block_of(frame))
    assert found.difference.value is None


def test_a_floor_reports_the_distance_to_its_limit(toy: Model) -> None:
    frame, y, p = holdout()
    model = with_gate(toy, floors=(Floor(metric="roc_auc", limit=0.9), Floor(metric="brier", limit=0.3)))
    auc, brier = comparison.floors(model, y, p, block_of(frame))
    assert auc.gain.upper is not None and brier.gain.lower is not None
    assert auc.gain.upper < 0 < brier.gain.lower
    assert brier.gain.value == pytest.approx(0.3 - theirs.brier_score_loss(y, p))


def test_psi_is_small_for_similar_scores_and_large_for_different_ones() -> None:
    _, _, p = holdout()
    assert distances.psi(p, p) == 0
    assert distances.psi(noisy(p, 0.3), p) < 0.1
    assert distances.psi(1 - p**4, p) > 1
    assert distances.psi(np.full(len(p), 0.5), p) > 1
    table = np.column_stack([p, 1 - p])
    assert distances.psi(table[:, ::-1], table) == pytest.approx(distances.psi(1 - p, p))


def test_constant_scores_have_no_spread() -> None:
    assert distances.spread(np.full(9, 0.3)) == pytest.approx(0)
    assert distances.spread(np.tile([0.2, 0.3, 0.5], (9, 1))) == pytest.approx(0)
    assert distances.spread(holdout()[2]) > 0.1


def found(model: Model, features: pd.DataFrame, y: np.ndarray, block: np.ndarray) -> tuple[str, float]:
    strongest = comparison.strongest(model, features, y, block)
    assert strongest is not None
    return strongest.feature, strongest.power


def test_the_strongest_feature_is_found_in_either_direction_and_of_either_kind(toy: Model) -> None:
    frame, y, p = holdout()
    generator = np.random.default_rng(5)
    block = block_of(frame)
    features = pd.DataFrame({"signal": p.astype(np.float32), "noise": generator.normal(size=len(y))})
    assert found(toy, features, y, block) == ("signal", pytest.approx(theirs.roc_auc_score(y, p), abs=1e-6))
    upside_down = features.assign(leak=np.where(generator.random(len(y)) < 0.02, y, -y))
    assert found(toy, upside_down, y, block)[0] == "leak"
    text = features.assign(leak=pd.Series(np.where(y == 1, "returned", "kept"), dtype=object))
    assert found(toy, text, y, block) == ("leak", 1.0)
    patchy = features.assign(leak=np.where(generator.random(len(y)) < 0.3, np.nan, y))
    assert found(toy, patchy, y, block)[1] > 0.9


def test_a_name_that_occurs_once_explains_nothing(toy: Model) -> None:
    frame, y, _ = holdout()
    names = pd.DataFrame({"id": pd.Series([f"order {n}" for n in range(len(y))], dtype=object)})
    assert found(toy, names, y, block_of(frame))[1] < 0.55


def test_the_strongest_feature_of_a_regression_is_found_by_rank_correlation(toy: Model) -> None:
    label = toy.data.label.model_copy(update={"task": Task.REGRESSION})
    model = toy.model_copy(update={"data": toy.data.model_copy(update={"label": label})})
    frame, _, p = holdout()
    y = np.exp(3 * p)
    features = pd.DataFrame({"a": -(p**3), "b": np.zeros(len(p))})
    assert found(model, features, y, block_of(frame)) == ("a", pytest.approx(1))
