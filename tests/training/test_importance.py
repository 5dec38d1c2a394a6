"""Permutation importance: what the label depends on matters, what nothing uses does not, what breaks is unknown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest

from include.errors import TransientError
from include.spec import Model
from include.training import candidates, dataset, importance
from include.training.importance import MOST_ROWS, REPEATS, of_inputs

SPLIT = "2026-05-01"


@pytest.fixture(scope="module")
def holdout(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.loc[rows["partition"] >= SPLIT]


@pytest.fixture(scope="module")
def twin(toy: Model, rows: pd.DataFrame) -> Any:
    declared = candidates.load(toy)["boosting"]
    return candidates.fit(toy, declared, rows.loc[rows["partition"] < SPLIT], 0).pipeline


def test_what_the_label_depends_on_matters_most(toy: Model, twin: Any, holdout: pd.DataFrame) -> None:
    found = of_inputs(toy, twin, holdout, seed=0)
    assert (found.metric, found.repeats, found.lack) == ("log_loss", REPEATS, None)
    assert found.rows == min(MOST_ROWS, int(holdout["late"].notna().sum()))
    assert list(found.by_input) == [column.name for column in toy.data.inputs]
    order = sorted(found.by_input, key=lambda name: -(found.by_input[name] or 0))
    assert order[:3] == ["x", "z", "shop"] and (found.by_input["x"] or 0) > 0.1
    assert found.by_input["id"] == found.by_input["empty"] == 0
    assert sum(found.weights().values()) == pytest.approx(1)


def test_it_depends_on_rows_and_seed_and_not_on_their_order(toy: Model, twin: Any, holdout: pd.DataFrame) -> None:
    first, again = (of_inputs(toy, twin, frame, seed=3) for frame in (holdout, holdout.sample(frac=1, random_state=1)))
    assert json.dumps(first.as_dict(), allow_nan=False) == json.dumps(again.as_dict(), allow_nan=False)
    assert of_inputs(toy, twin, holdout, seed=4).by_input != first.by_input


def test_a_metric_of_which_more_is_better_has_the_same_sign(toy: Model, twin: Any, holdout: pd.DataFrame) -> None:
    by_auc = toy.model_copy(update={"training": toy.training.model_copy(update={"metric": "roc_auc"})})
    assert (of_inputs(by_auc, twin, holdout, seed=0).by_input["x"] or 0) > 0.05


def test_many_rows_are_sampled(toy: Model, twin: Any, holdout: pd.DataFrame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importance, "MOST_ROWS", 400)
    assert of_inputs(toy, twin, holdout, seed=0).rows == 400
    monkeypatch.setattr(importance, "WIDE", 3)
    monkeypatch.setattr(importance, "FEW_ROWS", 300)
    found = of_inputs(toy, twin, holdout, seed=0)
    assert (found.rows, found.repeats) == (300, 1) and (found.by_input["x"] or 0) > 0.05


def test_an_input_without_which_it_cannot_be_scored_is_unknown(toy: Model, twin: Any, holdout: pd.DataFrame) -> None:
    few = holdout.head(800)
    usual, items = dataset.builder(toy), dataset.input_arrays(toy, dataset.labelled(toy, few))["items"]

    def build(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        if not np.array_equal(columns["items"], np.tile(items, REPEATS)):
            raise KeyError("items without their shop")
        features = usual(columns)
        columns["x"][:] = 0.0  # it may change its arrays
        return features

    found, known = of_inputs(toy, twin, few, 0, build), of_inputs(toy, twin, few, 0)
    assert found.by_input["items"] is None and known.by_input["items"] is not None
    assert {**found.by_input, "items": 0} == {**known.by_input, "items": 0}


def test_a_twin_that_cannot_be_scored_has_a_reason(toy: Model, twin: Any, holdout: pd.DataFrame) -> None:
    def fails(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        raise ValueError("no such shop")

    found = of_inputs(toy, twin, holdout, 0, fails)
    assert found.by_input == {} and found.lack == "the twin cannot be scored on its holdout: ValueError: no such shop"
    unlabelled = of_inputs(toy, twin, holdout.assign(late=pd.array([None] * len(holdout), dtype="Int64")), 0)
    assert "no row of it has a label" in (unlabelled.lack or "")
    by_auc = toy.model_copy(update={"training": toy.training.model_copy(update={"metric": "roc_auc"})})
    same = of_inputs(by_auc, twin, holdout.loc[holdout["late"] == 1], 0)
    assert "roc_auc is not defined" in (same.lack or "")


def test_a_service_that_does_not_answer_is_no_reason(toy: Model, twin: Any, holdout: pd.DataFrame) -> None:
    def waits(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        raise TransientError("later")

    with pytest.raises(TransientError):
        of_inputs(toy, twin, holdout, 0, waits)
