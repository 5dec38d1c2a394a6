"""The toy's estimators. Tests choose ``coarse`` if they need a weak candidate: it just beats the baseline."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from include.spec import Candidate

TEXTS = ["shop"]
NUMBERS = ["x", "z", "items", "express", "empty", "hour"]


def candidates() -> dict[str, Candidate]:
    """The candidates by name, the simplest first: a tie goes to the first.

    The scenario ``{"candidates": {"pause": 5}}`` makes it wait, so that a test can kill a task in the middle.
    """
    file = os.environ.get("PERENNIAL_TOY_SCENARIO")
    if file and Path(file).is_file():
        time.sleep(json.loads(Path(file).read_text()).get("candidates", {}).get("pause", 0))
    return {
        "baseline": Candidate(DummyClassifier(strategy="prior"), baseline=True),
        "logistic": Candidate(_linear(LogisticRegression(C=1.0, max_iter=300))),
        "boosting": Candidate(_boosted()),
        "boosting_all": Candidate(_boosted(), window_days="all"),
        "coarse": Candidate(_imputed(DecisionTreeClassifier(max_depth=1, min_samples_leaf=200))),
    }


def _linear(estimator: LogisticRegression) -> Pipeline:
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    columns = ColumnTransformer(
        [("texts", OneHotEncoder(handle_unknown="ignore"), TEXTS), ("numbers", numbers, NUMBERS)]
    )
    return Pipeline([("columns", columns), ("estimator", estimator)])


def _ordinal() -> OrdinalEncoder:
    return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)


def _boosted() -> Pipeline:
    columns = ColumnTransformer([("texts", _ordinal(), TEXTS), ("numbers", "passthrough", NUMBERS)])
    # `max_features`: a different seed gives a different fit of the same recipe, as a different day does
    estimator = HistGradientBoostingClassifier(
        max_iter=40, max_leaf_nodes=8, learning_rate=0.15, early_stopping=False, max_features=0.7
    )
    return Pipeline([("columns", columns), ("estimator", estimator)])


def _imputed(estimator: DecisionTreeClassifier) -> Pipeline:
    columns = ColumnTransformer([("texts", _ordinal(), TEXTS), ("numbers", SimpleImputer(strategy="median"), NUMBERS)])
    return Pipeline([("columns", columns), ("estimator", estimator)])
