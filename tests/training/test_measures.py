"""Metrics agree with scikit-learn, and champions are compared in today's classes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as theirs
from sklearn.linear_model import LogisticRegression

from include import catalog
from include.errors import DataError
from include.spec import Label, Model, Task
from include.training import dataset, measures
from tests.training import chain_models


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    with pytest.MonkeyPatch.context() as patch:
        chain_models.show(patch)
        yield catalog.load("toy_classes")


def with_label(model: Model, **changes: Any) -> Model:
    label = Label(**{**model.data.label.model_dump(), **changes})
    return model.model_copy(update={"data": model.data.model_copy(update={"label": label})})


def random_scores(seed: int, rows: int, ties: bool) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    y, p = random.integers(0, 3, size=rows), random.dirichlet([1, 2, 3], size=rows)
    if ties:
        p = np.round(p, 1)
        p[:, 2] = 1 - p[:, 0] - p[:, 1]
    return y, np.clip(p, 0, 1)


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("ties", [False, True])
def test_multi_class_metrics_agree_with_scikit_learn(model: Model, seed: int, ties: bool) -> None:
    y, p = random_scores(seed, 200, ties)
    found = measures.metrics(model, y, p)
    rest = np.eye(3)[y]
    assert found["log_loss"] == pytest.approx(theirs.log_loss(y, np.clip(p, 1e-15, None), labels=[0, 1, 2]), rel=1e-6)
    assert found["accuracy"] == pytest.approx(theirs.accuracy_score(y, p.argmax(axis=1)))
    assert found["roc_auc"] == pytest.approx(theirs.roc_auc_score(rest, p, average="macro"))
    assert found["average_precision"] == pytest.approx(theirs.average_precision_score(rest, p, average="macro"))
    assert found["brier"] == pytest.approx(np.mean(np.sum((p - rest) ** 2, axis=1)))


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("ties", [False, True])
def test_binary_metrics_agree_with_scikit_learn(toy: Model, seed: int, ties: bool) -> None:
    y, p = random_scores(seed, 100 + seed, ties)
    y, p = (y == 1).astype(int), p[:, 1]
    found = measures.metrics(toy, y, p)
    assert found["roc_auc"] == pytest.approx(theirs.roc_auc_score(y, p))
    assert found["average_precision"] == pytest.approx(theirs.average_precision_score(y, p))
    assert found["log_loss"] == pytest.approx(theirs.log_loss(y, np.clip(p, 1e-15, 1 - 1e-15)))
    assert found["brier"] == pytest.approx(theirs.brier_score_loss(y, p))


def test_ranking_needs_at_least_two_of_three_classes(model: Model) -> None:
    y, p = random_scores(0, 50, False)
    two, one = y != 1, y == 1
    found = measures.metrics(model, y[two], p[two])
    each = [theirs.roc_auc_score(y[two] == at, p[two][:, at]) for at in (0, 2)]
    assert found["roc_auc"] == pytest.approx(np.mean(each))
    alone = measures.metrics(model, y[one], p[one])
    assert np.isnan(alone["roc_auc"]) and np.isnan(alone["average_precision"]) and alone["log_loss"] > 0


def test_a_class_that_was_never_seen_costs_much_and_not_infinitely(model: Model) -> None:
    found = measures.metrics(model, np.array([0, 1]), np.array([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]))
    assert found["log_loss"] == pytest.approx(-np.log(1e-15) / 2)


@pytest.mark.parametrize("shape", [(4,), (4, 2), (3, 3), (0, 3)])
def test_scores_of_the_wrong_shape_are_refused(model: Model, shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="cannot compare"):
        measures.metrics(model, np.zeros(4 if shape[0] else 0, dtype=int), np.full(shape, 0.5))


def test_metrics_of_a_regression_agree_with_hand_calculation(toy: Model) -> None:
    model = with_label(toy, task=Task.REGRESSION)
    y, p = np.array([0.0, 2.0, 4.0]), np.array([1.0, 2.0, 1.0])
    found = measures.metrics(model, y, p)
    expected = {"mae": 4 / 3, "rmse": np.sqrt(10 / 3), "r2": theirs.r2_score(y, p)}
    for level in (10, 50, 90):
        expected[f"pinball_{level}"] = theirs.mean_pinball_loss(y, p, alpha=level / 100)
    assert found == pytest.approx(expected)
    assert np.isnan(measures.metrics(model, np.ones(3), p)["r2"])


def test_labels_are_indices_in_the_declared_order(model: Model) -> None:
    frame = pd.DataFrame({"level": ["busy", "quiet", "normal", "busy"]})
    assert dataset.labels(model, frame).tolist() == [2, 0, 1, 2]
    turned = with_label(model, classes=("busy", "normal", "quiet"))
    assert dataset.labels(turned, frame).tolist() == [0, 2, 1, 0]
    numbers = with_label(model, classes=(10, 20, 30))
    as_read = pd.DataFrame({"level": pd.array([30, 10, None], dtype="Int64")}).dropna()
    assert dataset.labels(numbers, as_read).tolist() == [2, 0] and dataset.labels(numbers, as_read).dtype == np.int64


def test_scores_survive_a_round_trip_through_a_table(model: Model) -> None:
    scores = random_scores(1, 20, False)[1]
    frame = pd.DataFrame(measures.named(model, "champion", scores))
    assert list(frame.columns) == ["champion.quiet", "champion.normal", "champion.busy"]
    np.testing.assert_array_equal(measures.read_named(model, "champion", frame), scores)


def test_an_infinite_feature_is_named_and_not_retried(toy: Model) -> None:
    rows = pd.DataFrame({"x": np.arange(6.0), "z": np.arange(6.0)[::-1]})
    fitted = LogisticRegression().fit(rows, [0, 0, 1, 0, 1, 1])
    assert measures.score_features(toy, fitted, rows).shape == (6,)
    with pytest.raises(DataError, match=r"an infinite feature \(z\)"):
        measures.score_features(toy, fitted, rows.assign(z=[0.0, np.inf, 2, 3, 4, 5]))
