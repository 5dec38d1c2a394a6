"""One night of a model without a scheduler: the fits, and the judgement over them, by the functions of the tasks.

A real night is `include.training.{snapshot.take, train, select, evaluate, decision, package}`; here is the same without
MLflow, ledger and bundle store, over any `snapshot.Rows`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from include.errors import DataError, PerennialError, ReleaseError
from include.spec import Model
from include.training import candidates, dataset, evaluate, evaluation, select, snapshot, train
from include.training import refit as refitting
from include.training.candidates import Fitted


@dataclass(frozen=True)
class Fits:
    """What a night fits before it decides: the candidates' results, the recipe that won, its twin, the baseline's."""

    results: list[dict[str, Any]]
    recipe: dict[str, Any]
    twin: Fitted
    baseline: Fitted


@dataclass(frozen=True)
class Champion:
    """A champion that a later night is judged against.

    Attributes
    ----------
    version : its number, from 1 on.
    candidate : the candidate that it is.
    twin : its twin; it is never scored on a holdout that it has seen.
    """

    version: int
    candidate: str
    twin: Fitted


def fits(model: Model, plan: Mapping[str, Any], lake: snapshot.Rows) -> Fits:
    """Fit every candidate of the plan, choose the challenger, and fit its twin and the baseline's.

    Raises
    ------
    DataError : a candidate cannot be fitted or scored; as in a real night, there is no decision without it.
    """
    declared = candidates.load(model)
    results: list[dict[str, Any]] = []
    for name in plan["candidates"]:
        try:
            results.append(train.trial(model, plan, name, declared[name], lake)[0])
        except DataError as problem:
            raise DataError(f"candidate {name!r}: {problem}") from problem
    _, recipe = select.challenger(model, plan, results)
    twin = select.fit_twin(model, plan, recipe["candidate"], recipe["iterations"], lake)
    same = recipe["candidate"] == plan["baseline"]
    baseline = twin if same else select.fit_twin(model, plan, plan["baseline"], None, lake)
    return Fits(results, recipe, twin, baseline)


def judge(
    model: Model, plan: Mapping[str, Any], made: Fits, champion: Champion | None, lake: snapshot.Rows
) -> dict[str, Any]:
    """Score the twins of challenger, baseline and champion on the holdout; see `evaluate.evaluate`."""
    by_name = {"challenger": made.twin, "baseline": made.baseline}
    selected = {
        "candidate": made.recipe["candidate"],
        "twin": {"name": made.recipe["candidate"], "last": made.twin.last, "side": "challenger"},
        "baseline_twin": {"name": plan["baseline"], "last": made.baseline.last, "side": "baseline"},
    }
    standing = None if champion is None else evaluate.Incumbent(champion.version, None, _scorer(model, champion))
    found = evaluate.measure(model, plan, selected, lambda twin: by_name[twin["side"]].pipeline, standing, lake)
    return found.result


def refit(model: Model, plan: Mapping[str, Any], made: Fits, lake: snapshot.Rows) -> tuple[Fitted, pd.DataFrame]:
    """The release model and its rows, after the guards of a refit; see `refit.refit`."""
    fitted, rows, _ = refitting.refit(model, plan, made.recipe, made.twin.pipeline, lake)
    return fitted, rows


def release(model: Model, plan: Mapping[str, Any], made: Fits, lake: snapshot.Rows) -> tuple[Fitted, str | None]:
    """The release model, and why the guards of a refit refuse it (it is fitted all the same), or None."""
    try:
        return refit(model, plan, made, lake)[0], None
    except ReleaseError as refused:
        name = str(made.recipe["candidate"])
        rows = dataset.labelled(model, snapshot.read(model, plan, snapshot.spans_of(plan, name).release, lake))
        declared = candidates.load(model)[name]
        return candidates.fit(model, declared, rows, plan["seed"], made.recipe["iterations"]), str(refused)


def _scorer(model: Model, champion: Champion) -> Any:
    def score(rows: pd.DataFrame, first: str) -> tuple[str, str, np.ndarray]:
        refuse = evaluate.seen(champion.twin.last, first)
        if refuse:
            raise DataError(f"its twin {refuse}")
        try:
            return champion.candidate, champion.twin.last, evaluation.score(model, champion.twin.pipeline, rows)
        except PerennialError:
            raise
        except Exception as problem:
            raise DataError(f"its twin cannot be scored ({type(problem).__name__}: {problem})") from problem

    return score
