"""Which estimators compete each night."""

from __future__ import annotations

from sklearn.compose import make_column_transformer
from sklearn.dummy import DummyRegressor
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from include.spec import Candidate

WEATHER = ["rain", "temp", "hum", "windspeed"]
NUMBERS = ["hour", "weekday", "workingday", "holiday", *WEATHER]


def candidates() -> dict[str, Candidate]:
    """The trivial baseline, the mean of the hour of the week, a linear model, and boosting on three windows."""
    return {
        # the median has the smallest absolute error of all constants, and candidates are compared by mae
        "baseline": Candidate(DummyRegressor(strategy="median"), baseline=True),
        "hour_of_week": Candidate(_hour_of_week()),
        "ridge_28d": Candidate(_ridge(), window_days=28),
        "boosting_60d": Candidate(_boosting()),
        "boosting_120d": Candidate(_boosting(), window_days=120),
        "boosting_all": Candidate(_boosting(), window_days="all"),
    }


def _hour_of_week() -> Pipeline:
    """What a person would do: the mean of the same hour of the same weekday (hardly shrunk)."""
    return make_pipeline(
        make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["hour_of_week"])), Ridge(alpha=0.5)
    )


def _ridge() -> Pipeline:
    """The shape of a working and a free day, moved by the weather; four weeks, because it cannot follow a season."""
    numbers = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    return make_pipeline(
        make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["hour_of_day"]), (numbers, WEATHER)),
        Ridge(alpha=1.0),
    )


def _boosting() -> Pipeline:
    """Counts: the Poisson loss fits their variance, which grows with their mean, and never predicts below zero."""
    return make_pipeline(
        make_column_transformer(("passthrough", NUMBERS), verbose_feature_names_out=False),
        HistGradientBoostingRegressor(
            loss="poisson",
            learning_rate=0.08,
            max_iter=100,
            min_samples_leaf=15,
            l2_regularization=1.0,
            early_stopping=False,
            random_state=0,
        ),
    )
