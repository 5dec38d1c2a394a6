"""The declaration of a label decides its kind, never its values. In a regression, whole numbers are amounts."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import uniform
from sklearn.base import BaseEstimator
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import make_column_transformer
from sklearn.ensemble import BaggingRegressor, HistGradientBoostingRegressor, StackingRegressor
from sklearn.feature_selection import (
    RFE,
    SelectFromModel,
    SelectKBest,
    SelectPercentile,
    f_classif,
    f_regression,
    mutual_info_classif,
    mutual_info_regression,
)
from sklearn.linear_model import Lasso, LinearRegression, LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, make_scorer, mean_absolute_error
from sklearn.model_selection import GridSearchCV, KFold, RandomizedSearchCV, StratifiedKFold
from sklearn.neighbors import NeighborhoodComponentsAnalysis
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import StandardScaler, TargetEncoder
from sklearn.tree import DecisionTreeClassifier

import include.models
from include import catalog
from include.authoring.findings import Request
from include.authoring.new import new_model
from include.errors import ConfigurationError, DataError
from include.gate import comparison
from include.partitions import partition
from include.spec import Candidate, Label, Model, Task
from include.statistics import uncertainty
from include.training import candidates, dataset, export, measures, targets

NUMBER = Label(column="y", task=Task.REGRESSION)
TWO = Label(column="y", task=Task.CLASSIFICATION)
THREE = Label(column="y", task=Task.CLASSIFICATION, classes=(1, 2, 3))
FIRST, DAYS, A_DAY = datetime(2024, 1, 1), 28, 110  # noqa: DTZ001 - a wall clock
FOLDS = KFold(5)
ENCODED = make_pipeline(TargetEncoder(target_type="continuous", cv=FOLDS), Ridge())
FILTERED = make_pipeline(SelectKBest(f_regression), Ridge())


def with_text(part: Any) -> Any:
    return make_column_transformer((part, ["text"]), remainder="passthrough")


@pytest.mark.parametrize(
    ("label", "estimator", "parameter", "message"),
    [
        (NUMBER, make_pipeline(with_text(TargetEncoder(cv=FOLDS)), Ridge()), "target_type", "target_type='continuous'"),
        (TWO, make_pipeline(with_text(TargetEncoder()), LogisticRegression()), "target_type", "target_type='binary'"),
        (THREE, make_pipeline(TargetEncoder(), LogisticRegression()), "target_type", "target_type='multiclass'"),
        (NUMBER, make_pipeline(TargetEncoder(target_type="multiclass"), Ridge()), "target_type", "'continuous'"),
        (THREE, make_pipeline(TargetEncoder(target_type="continuous"), LogisticRegression()), "target_type", "several"),
        (
            NUMBER,
            StackingRegressor([("a", make_pipeline(FeatureUnion([("b", TargetEncoder())]), Ridge())), ("c", Ridge())]),
            "target_type",
            "an encoding for each distinct value",
        ),
        (NUMBER, make_pipeline(SelectKBest(k=2), Ridge()), "score_func", "score_func=f_regression"),
        (NUMBER, make_pipeline(SelectPercentile(mutual_info_classif), Ridge()), "score_func", "mutual_info_regression"),
        (THREE, make_pipeline(SelectKBest(f_regression), LogisticRegression()), "score_func", "score_func=f_classif"),
        (
            NUMBER,
            make_pipeline(SelectFromModel(LogisticRegression()), Ridge()),
            "",
            "LogisticRegression learns classes",
        ),
        (NUMBER, BaggingRegressor(DecisionTreeClassifier()), "", "DecisionTreeClassifier learns classes"),
        (THREE, make_pipeline(RFE(Lasso()), LogisticRegression()), "estimator", "takes the numbers of classes for"),
        (NUMBER, make_pipeline(NeighborhoodComponentsAnalysis(), Ridge()), "", "each distinct value"),
        (NUMBER, GridSearchCV(Ridge(), {}, cv=StratifiedKFold(4)), "cv", "write cv=KFold(4)"),
        (NUMBER, GridSearchCV(Ridge(), {}, scoring="roc_auc"), "scoring", "neg_mean_absolute_error"),
        (THREE, GridSearchCV(LogisticRegression(), {}, scoring="r2"), "scoring", "neg_log_loss"),
        (NUMBER, GridSearchCV(Ridge(), {}, scoring=["r2", "roc_auc"], refit="r2"), "scoring", "'roc_auc'"),
        (NUMBER, GridSearchCV(Ridge(), {}, scoring={"a": "r2", "b": "f1"}, refit="a"), "scoring", "'f1'"),
        (NUMBER, GridSearchCV(Ridge(), {}, scoring=make_scorer(accuracy_score)), "scoring", "accuracy_score"),
        (
            NUMBER,
            make_pipeline(SelectKBest(partial(mutual_info_classif, random_state=0)), Ridge()),
            "score_func",
            "score_func=mutual_info_regression",
        ),
        (NUMBER, GridSearchCV(ENCODED, {"targetencoder__target_type": ["auto"]}), "param_grid", "target_type='auto'"),
        (NUMBER, GridSearchCV(FILTERED, [{"selectkbest__score_func": [f_classif]}]), "param_grid", "f_classif"),
        (
            NUMBER,
            RandomizedSearchCV(FILTERED, {"selectkbest": ["passthrough", TargetEncoder()]}),
            "param_distributions",
            "tries selectkbest=TargetEncoder",
        ),
    ],
)
def test_an_estimator_that_misreads_the_label_is_found(
    label: Label, estimator: Any, parameter: str, message: str
) -> None:
    (wrong,) = targets.misread(label, estimator)
    assert wrong.parameter == parameter and message in f"{wrong.what}; {wrong.hint}"


@pytest.mark.parametrize(
    ("label", "estimator"),
    [
        (NUMBER, make_pipeline(with_text(TargetEncoder(target_type="continuous", cv=FOLDS)), Ridge())),
        (TWO, make_pipeline(TargetEncoder(target_type="continuous", cv=FOLDS), LogisticRegression())),
        (NUMBER, make_pipeline(SelectKBest(mutual_info_regression), Ridge())),
        (TWO, make_pipeline(SelectKBest(f_regression), SelectFromModel(Lasso()), LogisticRegression())),
        (THREE, make_pipeline(SelectKBest(f_classif), LogisticRegression())),
        (THREE, CalibratedClassifierCV(LogisticRegression(), cv=StratifiedKFold(3))),
        (NUMBER, StackingRegressor([("a", Ridge()), ("b", HistGradientBoostingRegressor())], cv=3)),
        (NUMBER, GridSearchCV(Ridge(), {}, scoring="r2", cv=3)),
        (TWO, GridSearchCV(LogisticRegression(), {}, scoring="roc_auc")),
        (NUMBER, GridSearchCV(Ridge(), {}, scoring=["r2", make_scorer(mean_absolute_error)], refit="r2")),
        (NUMBER, RandomizedSearchCV(Ridge(), {"alpha": uniform()})),
        (NUMBER, GridSearchCV(ENCODED, {"targetencoder__target_type": ["continuous"], "ridge__alpha": [1.0, 2.0]})),
        (NUMBER, LogisticRegression()),  # the whole estimator is of the other task; another check reports this
    ],
)
def test_a_correct_estimator_is_accepted(label: Label, estimator: Any) -> None:
    assert list(targets.misread(label, estimator)) == []


def test_a_night_refuses_wrong_settings_and_fills_in_open_ones(toy: Model, rows: pd.DataFrame) -> None:
    label = toy.data.label.model_copy(update={"task": Task.REGRESSION})
    number = toy.model_copy(update={"data": toy.data.model_copy(update={"label": label})})
    baseline = Candidate(make_pipeline(StandardScaler(), LinearRegression()), baseline=True)
    encoder = make_pipeline(make_column_transformer((TargetEncoder(cv=FOLDS), ["shop"])), Ridge())
    with pytest.raises(ConfigurationError, match=r"'a' of toy: SelectKBest .* write score_func=f_regression"):
        candidates.checked(number, {"baseline": baseline, "a": make_pipeline(SelectKBest(k=1), Ridge())})
    declared = candidates.checked(number, {"baseline": baseline, "a": encoder})
    assert encoders(candidates.fit(number, declared["a"], rows, seed=0).pipeline)[0].target_type_ == "continuous"
    assert encoder[0].transformers[0][1].target_type == "auto", "the declared candidate is not changed"


@pytest.mark.parametrize("given", ["auto", "multiclass"])
def test_a_window_with_two_of_three_classes_can_be_fitted(given: str) -> None:
    """scikit-learn creates an array of one column for these classes and then reads two."""
    texts = pd.DataFrame({"text": np.array(["a", "b", "c", "d"] * 20, dtype=object)})
    pipeline = make_pipeline(TargetEncoder(target_type=given, cv=FOLDS), LogisticRegression())
    for classes, columns in ((2, 1), (3, 3)):
        target = np.arange(80) % classes
        targets.settle(THREE, pipeline.set_params(targetencoder__target_type=given), target)
        assert pipeline.fit(texts, target)[-1].n_features_in_ == columns


class Guessing(BaseEstimator):
    """A regressor that inspects its target and treats it as classes."""

    def fit(self, features: pd.DataFrame, target: np.ndarray) -> Guessing:
        self.inside_ = [DecisionTreeClassifier(max_depth=1).fit(np.zeros((len(target), 1)), target)]
        return self


def test_an_estimator_that_has_learned_classes_is_found_at_any_depth() -> None:
    fitted = make_pipeline(StandardScaler(), Guessing()).fit(np.zeros((40, 1)), np.arange(40.0) % 9)
    assert list(targets.learned_classes(fitted)) == [("DecisionTreeClassifier", 9)]
    right = make_pipeline(StandardScaler(), HistGradientBoostingRegressor(max_iter=2))
    assert list(targets.learned_classes(right.fit(np.zeros((40, 1)), np.arange(40.0)))) == []


# -- from a table of whole numbers to scores


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of models like one that PERENNIAL_MODELS names."""
    into = tmp_path / "models"
    monkeypatch.setenv("PERENNIAL_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(include.models, "__path__", [*include.models.__path__, str(into)])
    yield into
    for name in [n for n in sys.modules if n.startswith("include.models.whole_")]:
        del sys.modules[name]


def table(distinct: int, path: Path) -> Path:
    """Parcels with a text of many values, and a target of ``distinct`` whole numbers that both columns explain."""
    random = np.random.default_rng(distinct)
    n = DAYS * A_DAY
    at = [FIRST + timedelta(days=d, minutes=480 + 6 * i) for d in range(DAYS) for i in range(A_DAY)]
    sender = random.integers(0, 150, n)
    weight = random.lognormal(size=n).round(3)
    push = (sender * 2654435761 % 97) / 97 + 0.3 * np.log(weight) + random.normal(scale=0.1, size=n)
    ranks = np.argsort(np.argsort(push))
    senders = np.array([f"S{s:04d}" for s in sender], dtype=object)
    frame = pd.DataFrame({"at": at, "sender": senders, "weight": weight, "parcels": 3 + ranks * distinct // n})
    assert frame["parcels"].nunique() == distinct
    frame.to_parquet(path)
    return path


def encoders(pipeline: Any) -> list[Any]:
    """The fitted `TargetEncoder` of a pipeline, at any depth."""
    return [part for part in export._steps(pipeline) if isinstance(part, TargetEncoder)]


CASES = {
    "whole_2_binary": (2, None, "binary"),
    "whole_2_regression": (2, Task.REGRESSION, "continuous"),
    "whole_20_classes": (20, Task.CLASSIFICATION, None),
    "whole_20_regression": (20, None, "continuous"),
    "whole_2000_regression": (2000, None, "continuous"),
}


@pytest.mark.parametrize("name", CASES)
def test_the_declaration_decides_the_kind_of_a_target_of_whole_numbers(name: str, folder: Path, tmp_path: Path) -> None:
    distinct, task, kind = CASES[name]
    source = str(table(distinct, tmp_path / "parcels.parquet"))
    new_model(Request(name=name, source=source, target="parcels", time="at", into=folder, task=task))
    model = catalog.load(name)
    regression = kind == "continuous"
    assert model.data.label.task is (Task.REGRESSION if regression else Task.CLASSIFICATION)
    assert model.data.label.classes == (tuple(range(3, 23)) if kind is None else None)

    rows = days_of(model)
    newest = rows["partition"] >= (model.start + timedelta(days=20)).isoformat()
    fit_on, judged = rows[~newest], rows[newest]
    features, y = dataset.features_frame(model, judged), dataset.labels(model, judged)
    assert y.dtype == (np.float64 if regression else np.int64)
    scores = {}
    declared = candidates.load(model)
    for candidate in ("baseline", *(n for n in declared if n not in ("baseline", "boosting_short", "boosting_long"))):
        pipeline = candidates.fit(model, declared[candidate], fit_on, seed=0, iterations=30).pipeline
        scores[candidate] = measures.score_features(model, pipeline, features)
        found = encoders(pipeline)
        assert len(found) == (kind is not None and candidate != "baseline")
        for encoder in found:
            assert encoder.target_type_ == encoder.target_type == kind
            assert len(encoder.encodings_) == encoder.n_features_in_ == 1, (
                "one encoding for a column, whatever the target"
            )
        if candidate != "baseline":
            # for classes, the linear model has one feature for each text
            widest = features.shape[1] + (0 if found else 150)
            assert pipeline[-1].n_features_in_ <= widest
            assert list(targets.learned_classes(pipeline)) == [] or not regression
    judge = measures.metric(model, model.training.metric)
    block = uncertainty.blocks(judged["partition"].astype(str).to_numpy(), model.gate.block_days)
    gain = comparison.gains(model, y, scores["boosting"], scores["baseline"], block)[model.training.metric]
    assert gain.lower is not None and gain.lower > 0, "it has learned something"
    assert judge.compute(y, scores["boosting"]) == pytest.approx(
        measures.metrics(model, y, scores["boosting"])[model.training.metric]
    )
    strongest = comparison.strongest(model, features, y, block)
    assert (comparison.class_rows(model, y) is None) is regression
    assert strongest is not None and strongest.power > 0.5


def days_of(model: Model) -> pd.DataFrame:
    """All days of the table with their partitions, as the model's source returns them."""
    fetch = catalog.module(model.name, "source").fetch
    keys = [(model.start + timedelta(days=d)).isoformat() for d in range(DAYS)]
    frames = [fetch(partition(key, model.timezone), {}).assign(partition=key) for key in keys]
    rows = pd.concat(frames, ignore_index=True)
    assert len(rows) == DAYS * A_DAY
    return rows


def test_two_thousand_classes_are_refused(folder: Path, tmp_path: Path) -> None:
    source = str(table(2000, tmp_path / "parcels.parquet"))
    request = Request(name="whole_many", source=source, target="parcels", time="at", into=folder)
    with pytest.raises(DataError, match="has 2000 classes .* TASK=regression if they are amounts"):
        new_model(Request(**{**vars(request), "task": Task.CLASSIFICATION}))


def test_the_log_has_the_settings_that_a_night_fills_in(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        targets.settle(NUMBER, make_pipeline(TargetEncoder(), Ridge()), np.arange(5.0))
    assert "TargetEncoder encodes the target as 'continuous'" in caplog.text
