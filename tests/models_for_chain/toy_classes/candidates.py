"""The estimators of the model, the simplest first."""

from __future__ import annotations

from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from include.spec import Candidate

TEXTS, NUMBERS = ["shop"], ["x", "z", "empty"]


def candidates() -> dict[str, Candidate]:
    """The candidates by name."""
    encoded = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    scaled = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    boosting = HistGradientBoostingClassifier(max_iter=25, max_leaf_nodes=8, early_stopping=False)
    return {
        "baseline": Candidate(DummyClassifier(strategy="prior"), baseline=True),
        "logistic": Candidate(_pipeline(OneHotEncoder(handle_unknown="ignore"), scaled, LogisticRegression())),
        "boosting": Candidate(_pipeline(encoded, "passthrough", boosting)),
    }


def _pipeline(texts: object, numbers: object, estimator: object) -> Pipeline:
    columns = ColumnTransformer([("texts", texts, TEXTS), ("numbers", numbers, NUMBERS)])
    return Pipeline([("columns", columns), ("estimator", estimator)])
