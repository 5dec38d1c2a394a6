"""Which estimators compete each night."""

from __future__ import annotations

from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from include.spec import Candidate

TEXT = make_column_selector(dtype_include=["object", "str"])
NUMBERS = make_column_selector(dtype_include="number")


def candidates() -> dict[str, Candidate]:
    """The trivial baseline, a linear model, and gradient boosting on the last 60 days and on all days so far."""
    return {
        "baseline": Candidate(DummyClassifier(strategy="prior"), baseline=True),
        "logistic": Candidate(_logistic()),
        "boosting_60d": Candidate(_boosting()),
        "boosting_all": Candidate(_boosting(), window_days="all"),
    }


def _boosting() -> Pipeline:
    """Categories as plain numbers: skl2onnx converts `categorical_features` without an error, and wrongly.

    A missing text is "" (a category like any other) and an unseen one is -1, a number, so that ONNX treats both alike.
    """
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, dtype="float32")
    return make_pipeline(
        make_column_transformer((encoder, TEXT), ("passthrough", NUMBERS), verbose_feature_names_out=False),
        HistGradientBoostingClassifier(
            learning_rate=0.05,
            max_iter=100,
            min_samples_leaf=40,
            l2_regularization=1.0,
            early_stopping=False,
            random_state=0,
        ),
    )


def _logistic() -> Pipeline:
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    return make_pipeline(
        make_column_transformer((OneHotEncoder(handle_unknown="ignore"), TEXT), (numbers, NUMBERS)),
        LogisticRegression(max_iter=100, C=0.1, random_state=0),
    )
