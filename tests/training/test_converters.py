"""ONNX agrees with scikit-learn for every kind of label and estimator, also on missing and unseen values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import (
    ExtraTreesClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, PoissonRegressor, Ridge
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, SplineTransformer, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from include import catalog
from include.errors import DataError, ReleaseError
from include.spec import Candidate, Model
from include.training import candidates, converters, dataset, export, measures, parity
from tests.training import chain_models

CLASSIFIERS = [
    DummyClassifier(strategy="prior"),
    LogisticRegression(max_iter=500),
    HistGradientBoostingClassifier(max_iter=20),
    HistGradientBoostingClassifier(max_iter=100, early_stopping=True),
    DecisionTreeClassifier(max_depth=6),
    RandomForestClassifier(20, max_depth=8),
    ExtraTreesClassifier(20, max_depth=8),
    GaussianNB(),
    CalibratedClassifierCV(LinearSVC(), cv=3),
]
REGRESSORS = [
    DummyRegressor(strategy="mean"),
    DummyRegressor(strategy="median"),
    LinearRegression(),
    Ridge(),
    PoissonRegressor(),
    HistGradientBoostingRegressor(max_iter=30),
    HistGradientBoostingRegressor(max_iter=30, loss="absolute_error"),
    HistGradientBoostingRegressor(max_iter=30, loss="poisson"),
    HistGradientBoostingRegressor(max_iter=30, loss="gamma"),
    HistGradientBoostingRegressor(max_iter=30, loss="quantile", quantile=0.9),
    GradientBoostingRegressor(n_estimators=20),
    DecisionTreeRegressor(max_depth=6),
    RandomForestRegressor(20, max_depth=8),
]


def named(estimator: Any) -> str:
    changed = [f"{v}" for k, v in estimator.get_params(deep=False).items() if k in ("loss", "strategy")]
    return "-".join([type(estimator).__name__, *changed])


@pytest.fixture(scope="module")
def classes() -> Iterator[tuple[Model, pd.DataFrame]]:
    with pytest.MonkeyPatch.context() as patch:
        chain_models.show(patch)
        model = catalog.load("toy_classes")
        yield model, chain_models.days(model, "2026-04-01", "2026-04-12")


@pytest.fixture(scope="module")
def counts() -> Iterator[tuple[Model, pd.DataFrame]]:
    with pytest.MonkeyPatch.context() as patch:
        chain_models.show(patch)
        model = catalog.load("toy_counts")
        yield model, chain_models.days(model, "2026-04-01", "2026-04-12")


def pipeline(model: Model, estimator: Any, one_hot: bool) -> Candidate:
    """Boosting accepts missing numbers. For all other estimators they are imputed; trees need this in ONNX."""
    texts = {"toy_classes": ["shop"], "toy_counts": ["station"], "toy": ["shop"]}[model.name]
    numbers = {"toy_classes": ["x", "z", "empty"], "toy_counts": ["hour", "warmth", "holiday"], "toy": ["x", "z"]}
    unseen = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    encoder = OneHotEncoder(handle_unknown="ignore") if one_hot else unseen
    scaled = one_hot and "Forest" not in type(estimator).__name__  # scaled in float32, a value can cross a threshold
    impute = make_pipeline(SimpleImputer(), StandardScaler()) if scaled else SimpleImputer()
    rest = "passthrough" if "Hist" in type(estimator).__name__ else impute
    columns = make_column_transformer((encoder, texts), (rest, numbers[model.name]), sparse_threshold=0)
    return Candidate(make_pipeline(columns, estimator))


def check(model: Model, rows: pd.DataFrame, estimator: Any, one_hot: bool) -> None:
    fitted = candidates.fit(model, pipeline(model, estimator, one_hot), rows, seed=0)
    there = dataset.labelled(model, rows)
    onnx = export.to_onnx(fitted, model)
    assert parity.difference(model, export.predictor(model, fitted, onnx), fitted.pipeline, there) <= 1e-5
    loaded = export.from_skops(export.to_skops(fitted.pipeline))
    np.testing.assert_array_equal(measures.score(model, loaded, there), measures.score(model, fitted.pipeline, there))
    assert onnx == export.to_onnx(candidates.fit(model, pipeline(model, estimator, one_hot), rows, seed=0), model)


@pytest.mark.parametrize("one_hot", [True, False], ids=["one-hot", "ordinal"])
@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=named)
def test_classifiers_of_several_classes(classes: tuple[Model, pd.DataFrame], estimator: Any, one_hot: bool) -> None:
    check(*classes, estimator, one_hot)


@pytest.mark.parametrize("estimator", CLASSIFIERS, ids=named)
def test_binary_classifiers(toy: Model, rows: pd.DataFrame, estimator: Any) -> None:
    check(toy, rows, estimator, one_hot=False)


@pytest.mark.parametrize("one_hot", [True, False], ids=["one-hot", "ordinal"])
@pytest.mark.parametrize("estimator", REGRESSORS, ids=named)
def test_regressors(counts: tuple[Model, pd.DataFrame], estimator: Any, one_hot: bool) -> None:
    model, rows = counts
    some = rows.assign(rentals=rows["rentals"] + 1)  # the gamma distribution has no 0
    check(model, some, estimator, one_hot)


@pytest.mark.parametrize("unit", [1e-4, 1.0, 1e7])
@pytest.mark.parametrize("estimator", [Ridge(alpha=1e-6), HistGradientBoostingRegressor(max_iter=50)], ids=named)
def test_the_unit_of_the_label_does_not_matter(counts: tuple[Model, pd.DataFrame], estimator: Any, unit: float) -> None:
    """This includes values near 0, for which float32 has no digits left to agree in."""
    model, rows = counts
    centred = (rows["rentals"].astype(float) - float(rows["rentals"].mean())) * unit
    check(model, rows.assign(rentals=centred), estimator, one_hot=True)


def test_a_wrong_regression_is_detected_whatever_its_unit(counts: tuple[Model, pd.DataFrame]) -> None:
    model, rows = counts
    small = rows.assign(rentals=rows["rentals"].astype(float) * 1e-6)
    one = candidates.fit(model, pipeline(model, HistGradientBoostingRegressor(max_iter=30), False), small, seed=0)
    other = candidates.fit(model, pipeline(model, HistGradientBoostingRegressor(max_iter=29), False), small, seed=0)
    there = dataset.labelled(model, small)
    served = export.predictor(model, other, export.to_onnx(other, model))
    assert parity.difference(model, served, one.pipeline, there) > 1e-3


@pytest.mark.parametrize("absent", ["quiet", "normal", "busy"])
@pytest.mark.parametrize("estimator", CLASSIFIERS[:3], ids=named)
def test_a_class_that_is_missing_from_the_window_has_probability_0(
    classes: tuple[Model, pd.DataFrame], estimator: Any, absent: str
) -> None:
    model, rows = classes
    known = rows[rows["level"] != absent]
    fitted = candidates.fit(model, pipeline(model, estimator, False), known, seed=0)
    there = dataset.labelled(model, rows)
    at = (model.data.label.classes or ()).index(absent)
    scores = measures.score(model, fitted.pipeline, there)
    assert scores.shape == (len(there), 3) and not scores[:, at].any() and scores.sum(axis=1) == pytest.approx(1)
    assert measures.output_columns(model, fitted.pipeline)[at] is None
    served = export.predictor(model, fitted, export.to_onnx(fitted, model))
    assert parity.difference(model, served, fitted.pipeline, there) <= 1e-5
    measured = measures.metrics(model, dataset.labels(model, there), scores)
    assert all(map(np.isfinite, measured.values())) and measured["log_loss"] > 1


def test_an_overflow_counts_as_a_difference_on_real_rows_and_not_on_synthetic_extremes(
    counts: tuple[Model, pd.DataFrame],
) -> None:
    model, rows = counts
    fitted = candidates.fit(model, pipeline(model, PoissonRegressor(), True), rows, seed=0)
    there, served = dataset.labelled(model, rows), export.predictor(model, fitted, export.to_onnx(fitted, model))
    far = list(parity._trials(model, there))[-1]
    assert not np.isfinite(measures.unchecked(model, fitted.pipeline, far.assign(warmth=np.float32(1e6)))).all()
    assert parity.difference(model, served, fitted.pipeline, there) <= 1e-5
    assert parity.difference(model, served, fitted.pipeline, there.assign(warmth=1e6)) == float("inf")


def test_an_unconvertible_estimator_is_detected_without_a_fit() -> None:
    assert converters.without_converter(make_pipeline(SplineTransformer(), Ridge())) == ["SplineTransformer"]
    assert converters.without_converter(TransformedTargetRegressor(Ridge())) == ["TransformedTargetRegressor"]
    for estimator in (*CLASSIFIERS, *REGRESSORS):
        assert converters.without_converter(make_pipeline(StandardScaler(), estimator)) == []


def test_a_transformed_target_is_refused_at_the_export_too(counts: tuple[Model, pd.DataFrame]) -> None:
    model, rows = counts
    candidate = pipeline(model, TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1), True)
    fitted = candidates.fit(model, candidate, rows, seed=0)
    with pytest.raises(ReleaseError, match="cannot convert .*TransformedTargetRegressor"):
        export.to_onnx(fitted, model)


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(),
        HistGradientBoostingClassifier(max_iter=20),
        make_pipeline(StandardScaler(), LogisticRegression()),
        make_pipeline(SimpleImputer(), LogisticRegression()),
        DummyClassifier(strategy="prior"),
    ],
    ids=named,
)
def test_an_estimator_without_a_column_transformer_converts(toy: Model, estimator: Any) -> None:
    random = np.random.default_rng(0)
    frame = pd.DataFrame(random.normal(size=(300, 3)).astype(np.float32), columns=["a", "b", "c"])
    estimator.fit(frame, (frame["a"] - frame["c"] + random.normal(size=300) > 0).astype(int))
    fitted = candidates.Fitted(estimator, ("a", "b", "c"), ("number",) * 3, 300, "2026-01-01", "2026-01-02")
    found = parity.scores(export.predictor(toy, fitted, export.to_onnx(fitted, toy)), frame)
    np.testing.assert_allclose(found, estimator.predict_proba(frame)[:, 1], atol=1e-6)


def test_the_error_of_missing_values_suggests_an_imputer(toy: Model) -> None:
    frame = pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0]}, dtype=np.float32)
    bare = LogisticRegression().fit(frame, [0, 1, 0, 1])
    with pytest.raises(DataError, match="put a SimpleImputer before"):
        measures.score_features(toy, bare, frame.assign(a=np.float32("nan")))
