"""Candidates are checked before a run. A fit depends only on rows and seed."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import TransformedTargetRegressor, make_column_selector, make_column_transformer
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, SplineTransformer, StandardScaler
from sklearn.svm import LinearSVC

from include import catalog
from include.errors import ConfigurationError, DataError
from include.spec import Candidate, Label, Model, Task
from include.training import candidates, export, measures

BASELINE = Candidate(DummyClassifier(), baseline=True)


def declare(monkeypatch: pytest.MonkeyPatch, declared: Any) -> None:
    monkeypatch.setattr(catalog, "module", lambda name, file: SimpleNamespace(candidates=lambda: declared))


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"baseline": BASELINE}, "at least two"),
        ([BASELINE, BASELINE], "at least two"),
        ({"a": LogisticRegression(), "b": LogisticRegression()}, "0 baselines"),
        ({"a": BASELINE, "b": BASELINE}, "2 baselines"),
        ({"a": BASELINE, "b": object()}, "'b'"),
    ],
)
def test_wrong_candidates_are_named(toy: Model, monkeypatch: pytest.MonkeyPatch, declared: Any, message: str) -> None:
    declare(monkeypatch, declared)
    with pytest.raises(ConfigurationError, match=message):
        candidates.load(toy)


def test_a_bare_estimator_is_a_candidate(toy: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    declare(monkeypatch, {"baseline": BASELINE, "bare": LogisticRegression()})
    assert candidates.load(toy)["bare"].window_days is None


def test_a_choice_of_candidates_keeps_the_order_and_the_baseline(toy: Model) -> None:
    declared = candidates.load(toy)
    assert candidates.choose(declared, None) == ["baseline", "logistic", "boosting", "boosting_all", "coarse"]
    assert candidates.choose(declared, ["boosting", "logistic"]) == ["baseline", "logistic", "boosting"]
    with pytest.raises(ConfigurationError, match="did you mean 'boosting'"):
        candidates.choose(declared, ["bosting"])
    with pytest.raises(ConfigurationError, match="only the baseline"):
        candidates.choose(declared, ["baseline"])


def test_every_random_state_is_the_seed() -> None:
    pipeline = make_pipeline(OrdinalEncoder(), HistGradientBoostingClassifier(random_state=5))
    assert candidates.seeded(pipeline, 11)[-1].random_state == 11
    assert pipeline[-1].random_state == 5, "the declared candidate is not changed"


@pytest.mark.parametrize("name", ["logistic", "boosting"])
def test_the_order_of_the_rows_does_not_change_a_byte(toy: Model, rows: pd.DataFrame, name: str) -> None:
    candidate = candidates.load(toy)[name]
    one = candidates.fit(toy, candidate, rows, seed=3)
    other = candidates.fit(toy, candidate, rows.sample(frac=1, random_state=1), seed=3)
    assert export.to_onnx(one, toy) == export.to_onnx(other, toy)
    assert export.to_skops(one.pipeline) == export.to_skops(other.pipeline)


def test_a_column_that_is_all_missing_is_left_out_with_a_warning(
    toy: Model, rows: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("logistic", "boosting", "coarse"):
        with caplog.at_level(logging.WARNING):
            fitted = candidates.fit(toy, candidates.load(toy)[name], rows, seed=0)
        assert fitted.dropped == ("empty",) and "empty" not in fitted.feature_names
        assert "missing in all" in caplog.text and "empty" in caplog.text
        filled = rows.head(100).assign(empty=1.0)
        assert np.isfinite(measures.score(toy, fitted.pipeline, filled)).all(), "it may be there again one day"


def test_a_part_of_a_column_transformer_can_lose_all_its_columns(toy: Model, rows: pd.DataFrame) -> None:
    columns = make_column_transformer((OrdinalEncoder(), ["empty"]), ("passthrough", ["items", "hour"]))
    fitted = candidates.fit(toy, Candidate(make_pipeline(columns, LogisticRegression())), rows, seed=0)
    assert np.isfinite(measures.score(toy, fitted.pipeline, rows)).all()
    chosen = make_column_transformer(("passthrough", make_column_selector(pattern="items|empty")))
    fitted = candidates.fit(toy, Candidate(make_pipeline(chosen, LogisticRegression())), rows, seed=0)
    assert np.isfinite(measures.score(toy, fitted.pipeline, rows)).all()


def test_one_class_or_too_few_rows_are_refused_with_a_reason(toy: Model, rows: pd.DataFrame) -> None:
    candidate = candidates.load(toy)["logistic"]
    with pytest.raises(DataError, match="all .* rows .* have the same 'late'"):
        candidates.fit(toy, candidate, rows.assign(late=0), seed=0)
    with pytest.raises(DataError, match=r"training\.min_rows is 200"):
        candidates.fit(toy, candidate, rows.head(150), seed=0)
    with pytest.raises(DataError, match="too few"):
        candidates.fit(toy, candidate, rows.head(0), seed=0)


def test_a_failing_estimator_is_a_data_error_with_its_own_message(toy: Model, rows: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="could not convert string to float"):
        candidates.fit(toy, Candidate(LogisticRegression()), rows, seed=0)


def test_stopping_early_becomes_part_of_the_recipe(toy: Model, rows: pd.DataFrame) -> None:
    numbers = make_column_transformer(("passthrough", ["x", "z"]))
    stopping = HistGradientBoostingClassifier(early_stopping=True, max_iter=300, n_iter_no_change=3)
    candidate = Candidate(make_pipeline(numbers, stopping))
    fitted = candidates.fit(toy, candidate, rows, seed=0)
    found = candidates.stopped_after(fitted.pipeline)
    assert found is not None and 0 < found < 300
    again = candidates.fit(toy, candidate, rows, seed=0, iterations=found)
    assert again.pipeline[-1].n_iter_ == found and not again.pipeline[-1].do_early_stopping_
    assert candidates.stopped_after(again.pipeline) is None


def test_a_missing_score_is_an_error(toy: Model, rows: pd.DataFrame) -> None:
    class Broken:
        classes_ = np.array([0, 1])

        def predict_proba(self, frame: pd.DataFrame) -> np.ndarray:
            scores = np.full((len(frame), 2), 0.5)
            scores[3] = np.nan
            return scores

    with pytest.raises(DataError, match="1 of 20 scores"):
        measures.score(toy, Broken(), rows.head(20))


def test_metrics_of_one_class_are_undefined_not_good(toy: Model) -> None:
    found = measures.metrics(toy, np.zeros(5), np.full(5, 0.1))
    assert np.isnan(found["roc_auc"]) and np.isnan(found["average_precision"])
    assert found["log_loss"] == pytest.approx(-np.log(0.9))


def test_metrics_by_day_add_up(toy: Model, rows: pd.DataFrame) -> None:
    there = rows[rows["late"].notna()]
    scores = np.random.default_rng(0).random(len(there))
    days = measures.by_day(toy, there, scores)
    whole = measures.metrics(toy, there["late"].to_numpy(dtype=float), scores)
    assert list(days["partition"]) == sorted(set(there["partition"])) and days["rows"].sum() == len(there)
    for name in ("log_loss", "brier"):
        assert np.average(days[name], weights=days["rows"]) == pytest.approx(whole[name])


def task_of(model: Model, **changes: Any) -> Model:
    label = Label(**{**model.data.label.model_dump(), **changes})
    return model.model_copy(update={"data": model.data.model_copy(update={"label": label})})


REGRESSION = {"task": Task.REGRESSION, "column": "minutes"}


@pytest.mark.parametrize(
    ("changes", "estimator", "message"),
    [
        ({}, LinearSVC(), "'b' of toy: LinearSVC gives no probabilities .*CalibratedClassifierCV"),
        ({}, make_pipeline(StandardScaler(), SGDClassifier()), "SGDClassifier gives no probabilities"),
        ({}, Ridge(), "Ridge is a regressor, and the label 'late' is declared a classification"),
        ({"classes": (0, 1, 2)}, LinearSVC(), "gives no probabilities"),
        (REGRESSION, LogisticRegression(), "LogisticRegression is a classifier, and the label 'minutes'"),
        (REGRESSION, TransformedTargetRegressor(Ridge()), "never served: TransformedTargetRegressor .*loss='poisson'"),
        (REGRESSION, make_pipeline(SplineTransformer(), Ridge()), "never served: SplineTransformer cannot become ONNX"),
    ],
)
def test_an_estimator_without_the_scores_of_the_task_is_refused_before_a_fit(
    toy: Model, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], estimator: Any, message: str
) -> None:
    baseline = Candidate(DummyRegressor() if changes == REGRESSION else DummyClassifier(), baseline=True)
    declare(monkeypatch, {"a": baseline, "b": estimator})
    with pytest.raises(ConfigurationError, match=message):
        candidates.load(task_of(toy, **changes))


def test_a_class_with_one_row_does_not_prevent_a_fit(
    toy: Model, rows: pd.DataFrame, caplog: pytest.LogCaptureFixture
) -> None:
    """Early stopping splits by class, which fails for a class with one row. Such a class cannot be learned."""
    model = task_of(toy, classes=(0, 1, 2, 3))
    some = rows.copy()
    some.loc[some["late"].notna().idxmax(), "late"] = 2
    numbers = make_column_transformer(("passthrough", ["x", "z"]))
    candidate = Candidate(make_pipeline(numbers, HistGradientBoostingClassifier(max_iter=10, early_stopping=True)))
    fitted = candidates.fit(model, candidate, some, seed=0)
    assert "fewer than two rows of 2, 3" in caplog.text
    scores = measures.score(model, fitted.pipeline, rows)
    assert scores.shape == (len(rows), 4) and not scores[:, 2:].any()


def test_the_same_label_everywhere_is_refused_for_every_task(toy: Model, rows: pd.DataFrame) -> None:
    candidate = candidates.load(toy)["logistic"]
    with pytest.raises(DataError, match=r"have the same 'late' \(2\)"):
        candidates.fit(task_of(toy, classes=(0, 1, 2)), candidate, rows.assign(late=2), seed=0)
    with pytest.raises(DataError, match=r"have the same 'minutes' \(7.5\)"):
        candidates.fit(task_of(toy, **REGRESSION), candidate, rows.assign(minutes=7.5), seed=0)
