"""Scores out of fold: no day is scored by a fit that has seen it, and a fit that fails names its days."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin

from include.errors import DataError
from include.partitions import keys_between
from include.spec import Candidate, Model
from include.training import candidates, dataset, out_of_fold
from include.training.out_of_fold import BLOCKS, Recipe, nearest
from tests.training import toy_days

FIRST, LAST, HOLDOUT = "2026-03-01", "2026-04-20", ("2026-04-11", "2026-04-20")


class Remembers(ClassifierMixin, BaseEstimator):
    """Gives a day that it was fitted on the probability 1, and every other day 0."""

    def __init__(self, random_state: int | None = None) -> None:
        self.random_state = random_state

    def fit(self, x: pd.DataFrame, y: np.ndarray) -> Remembers:
        self.classes_, self.days_, self.rows_ = np.unique(y), set(x["day"]), len(x)
        FITS.append(self)
        return self

    def predict_proba(self, x: pd.DataFrame) -> np.ndarray:
        seen = x["day"].isin(self.days_).to_numpy(dtype=float)
        return np.column_stack([1 - seen, seen])


FITS: list[Remembers] = []


def build(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {"day": columns["at"].astype("datetime64[D]").astype(np.float64)}


@pytest.fixture(scope="module")
def frame(toy: Model) -> pd.DataFrame:
    return dataset.sort(toy, toy_days.days(toy, FIRST, LAST))


def recipe_of(toy: Model, frame: pd.DataFrame, days: int = 40) -> Recipe:
    older = frame.loc[frame["partition"] < HOLDOUT[0]]
    twin = candidates.fit(toy, Candidate(Remembers()), older, 0, build=build).pipeline
    FITS.clear()
    return Recipe(twin, HOLDOUT, days, 0, build)


def test_no_day_is_scored_by_a_fit_that_has_seen_it(toy: Model, frame: pd.DataFrame) -> None:
    recipe, days = recipe_of(toy, frame), keys_between(FIRST, LAST)
    assert measured(toy, recipe, frame).max() == 1, "it would show"
    scores = out_of_fold.score(toy, recipe, frame, days)
    assert scores.shape == (len(frame),) and scores.max() == 0
    assert len(FITS) == BLOCKS, "the twin scores the holdout"
    assert all(one.random_state == 0 for one in FITS)


def measured(toy: Model, recipe: Recipe, frame: pd.DataFrame) -> np.ndarray:
    found: np.ndarray = out_of_fold.measures.score(toy, recipe.twin, frame, build)
    return found


def test_rows_without_a_label_are_scored_and_never_fitted_on(toy: Model, frame: pd.DataFrame) -> None:
    unlabelled = frame.assign(late=frame["late"].where(frame["partition"] != "2026-03-05"))
    scores = out_of_fold.score(toy, recipe_of(toy, frame), unlabelled, keys_between("2026-03-05", LAST))
    assert len(scores) == (frame["partition"] >= "2026-03-05").sum() and np.isfinite(scores).all()
    ordinal = np.datetime64("2026-03-05").astype(float)
    assert not any(ordinal in one.days_ for one in FITS)


def test_a_fit_learns_from_as_many_days_as_the_version_those_nearest_to_the_block(
    toy: Model, frame: pd.DataFrame
) -> None:
    out_of_fold.score(toy, recipe_of(toy, frame, days=12), frame, keys_between("2026-03-20", LAST))
    assert [len(one.days_) for one in FITS] == [12] * BLOCKS
    days = keys_between("2026-03-01", "2026-03-10")
    assert nearest(days, ["2026-03-04", "2026-03-05"], 4) == {"2026-03-02", "2026-03-03", "2026-03-06", "2026-03-07"}
    assert nearest(days, ["2026-03-01", "2026-03-02"], 2) == {"2026-03-03", "2026-03-04"}
    assert nearest(days, days[:8], 99) == {"2026-03-09", "2026-03-10"}


def test_many_rows_are_sampled_but_never_below_what_a_fit_needs(
    toy: Model, frame: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(out_of_fold, "MOST_ROWS", 500)
    days = keys_between("2026-03-20", LAST)
    first = out_of_fold.score(toy, recipe_of(toy, frame), frame, days)
    assert [one.rows_ for one in FITS] == [500] * BLOCKS
    np.testing.assert_array_equal(out_of_fold.score(toy, recipe_of(toy, frame), frame, days), first)
    monkeypatch.setattr(out_of_fold, "MOST_ROWS", 10)
    out_of_fold.score(toy, recipe_of(toy, frame), frame, days)
    assert [one.rows_ for one in FITS] == [toy.training.min_rows] * BLOCKS


def test_a_block_that_cannot_be_fitted_or_scored_names_its_days(toy: Model, frame: pd.DataFrame) -> None:
    recipe = recipe_of(toy, frame)
    few = frame.loc[frame["partition"] >= "2026-04-09"].groupby("partition").head(5)
    with pytest.raises(DataError, match=r"the days 2026-04-09 to 2026-04-09 could not be scored .* are too few"):
        out_of_fold.score(toy, recipe, few, keys_between("2026-04-09", LAST))

    class Fails(Remembers):
        def predict_proba(self, x: pd.DataFrame) -> np.ndarray:
            raise ValueError("it cannot divide")

    with pytest.raises(DataError, match=r"2026-03-01 to 2026-03-\d\d could not .*: ValueError: it cannot divide"):
        out_of_fold.score(toy, Recipe(Fails(), HOLDOUT, 40, 0, build), frame, keys_between(FIRST, LAST))
    with pytest.raises(DataError, match="no label 'late'"):
        out_of_fold.score(toy, recipe, frame.drop(columns="late"), keys_between(FIRST, LAST))


def test_a_score_that_is_not_finite_is_missing(toy: Model, frame: pd.DataFrame) -> None:
    class Overflows(Remembers):
        def predict_proba(self, x: pd.DataFrame) -> Any:
            table = super().predict_proba(x)
            table[0] = np.inf
            return table

    twin = candidates.fit(toy, Candidate(Overflows()), frame.head(400), 0, build=build).pipeline
    scores = out_of_fold.score(toy, Recipe(twin, HOLDOUT, 40, 0, build), frame, keys_between(FIRST, LAST))
    assert np.isnan(scores).sum() == BLOCKS + 1 and not np.isinf(scores).any()
