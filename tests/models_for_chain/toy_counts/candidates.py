"""The estimators of the model, the simplest first."""

from __future__ import annotations

from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from include.spec import Candidate

TEXTS, NUMBERS = ["station"], ["hour", "warmth", "holiday"]


def candidates() -> dict[str, Candidate]:
    """The candidates by name. The boosting is made for counts: it predicts the logarithm of their mean."""
    encoded = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    one_hot = OneHotEncoder(handle_unknown="ignore")
    boosting = HistGradientBoostingRegressor(loss="poisson", max_iter=60, max_leaf_nodes=8, early_stopping=False)
    return {
        "baseline": Candidate(DummyRegressor(strategy="mean"), baseline=True),
        "ridge": Candidate(_pipeline(one_hot, SimpleImputer(strategy="mean"), Ridge())),
        "boosting": Candidate(_pipeline(encoded, "passthrough", boosting)),
    }


def _pipeline(texts: object, numbers: object, estimator: object) -> Pipeline:
    columns = ColumnTransformer([("texts", texts, TEXTS), ("numbers", numbers, NUMBERS)])
    return Pipeline([("columns", columns), ("estimator", estimator)])
