"""The candidates of the tour. ``poor`` is there to be rejected: a single question about a parcel."""

from __future__ import annotations

from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from include.spec import Candidate

TEXTS = ["depot"]
NUMBERS = ["weight", "truck", "express", "hour"]


def candidates() -> dict[str, Candidate]:
    """The candidates by name, the simplest first."""
    return {
        "baseline": Candidate(DummyClassifier(strategy="prior"), baseline=True),
        "poor": Candidate(_imputed(DecisionTreeClassifier(max_depth=1, min_samples_leaf=200))),
        "linear": Candidate(_linear()),
        "boosting": Candidate(_boosting()),
    }


def _linear() -> Pipeline:
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    columns = ColumnTransformer(
        [("texts", OneHotEncoder(handle_unknown="ignore"), TEXTS), ("numbers", numbers, NUMBERS)]
    )
    return Pipeline([("columns", columns), ("estimator", LogisticRegression(C=1.0, max_iter=300))])


def _ordinal() -> OrdinalEncoder:
    return OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)


def _boosting() -> Pipeline:
    columns = ColumnTransformer([("texts", _ordinal(), TEXTS), ("numbers", "passthrough", NUMBERS)])
    # `max_features`: another seed gives another fit of the same recipe, as another day does
    estimator = HistGradientBoostingClassifier(
        max_iter=40, max_leaf_nodes=8, learning_rate=0.15, early_stopping=False, max_features=0.7
    )
    return Pipeline([("columns", columns), ("estimator", estimator)])


def _imputed(estimator: DecisionTreeClassifier) -> Pipeline:
    columns = ColumnTransformer([("texts", _ordinal(), TEXTS), ("numbers", SimpleImputer(strategy="median"), NUMBERS)])
    return Pipeline([("columns", columns), ("estimator", estimator)])
