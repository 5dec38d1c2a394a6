"""One night of a model without a scheduler: the fits, and the judgement over them, by the functions of the tasks.

A real night is the tasks of `include.retraining`; here is the same without MLflow, ledger and bundle store, over any
`snapshot.Rows`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from include.errors import DataError, PerennialError, ReleaseError
from include.gate import anchors, change, rivals
from include.gate.rivals import Recipe
from include.retraining import evaluate, select, train
from include.spec import Model
from include.training import candidates, dataset, evaluation, export, snapshot
from include.training import refit as refitting
from include.training.candidates import Fitted


@dataclass(frozen=True)
class Other:
    """What is scored beside the challenger: its ``rival``, or the ``incumbent`` whose place it would take."""

    role: str
    recipe: dict[str, Any]
    twin: Fitted


@dataclass(frozen=True)
class Fits:
    """What a night fits before it decides: the candidates' results, the challenger's recipe and twin, the baseline's
    twin, and what is beside the challenger."""

    results: list[dict[str, Any]]
    recipe: dict[str, Any]
    twin: Fitted
    baseline: Fitted
    other: Other | None = None


@dataclass(frozen=True)
class Champion:
    """A champion that a later night is judged against.

    Attributes
    ----------
    version : its number, from 1 on.
    recipe : the candidate that it is, and its window.
    twin : its twin; it is never scored on a holdout that it has seen.
    """

    version: int
    recipe: Recipe
    twin: Fitted

    @property
    def candidate(self) -> str:
        return self.recipe.candidate

    @property
    def twin_last(self) -> str:
        return self.twin.last


def fits(model: Model, plan: Mapping[str, Any], lake: snapshot.Rows) -> Fits:
    """Fit every candidate of the plan, and the twins of the winner of the selection and of the baseline.

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
    recipe = change.recipe_of(model, plan, select.winner_of(model, plan, results))
    twin = twin_of(model, plan, recipe, lake)
    same = recipe["candidate"] == plan["baseline"]
    baseline = twin if same else select.fit_twin(model, plan, plan["baseline"], None, lake)
    return Fits(results, recipe, twin, baseline)


def twin_of(model: Model, plan: Mapping[str, Any], recipe: Mapping[str, Any], lake: snapshot.Rows) -> Fitted:
    """The twin of a recipe of this night."""
    return select.fit_twin(model, plan, recipe["candidate"], recipe["iterations"], lake)


def prove_twins(model: Model, plan: Mapping[str, Any], made: Fits) -> None:
    """Store the twins and read them back, as `select.select` does; only the bytes are not kept.

    Raises
    ------
    ReleaseError : a twin cannot be stored.
    """
    twins = {made.recipe["candidate"]: made.twin, plan["baseline"]: made.baseline}
    if made.other is not None:
        twins[made.other.recipe["candidate"]] = made.other.twin
    for name, fitted in twins.items():
        export.proven_skops(fitted.pipeline, f"candidate {name!r} of {model.name}")


def settle(
    model: Model,
    plan: Mapping[str, Any],
    made: Fits,
    incumbent: Recipe | None,
    stored: rivals.Stored,
    twin: Callable[[Mapping[str, Any]], Fitted],
) -> Fits:
    """Make the champion's recipe the challenger where the winner of the selection may not take its place yet.

    Parameters
    ----------
    made : what `fits` gives: the winner's.
    twin : the twin of another recipe of this night.
    """
    winner = next(r for r in made.results if r["candidate"] == made.recipe["candidate"])
    choice = change.choose(model, plan, made.results, winner, incumbent, stored)
    if choice.other is None:
        return made
    if choice.role == "incumbent":
        other = Other(choice.role, choice.other, twin(choice.other))
        return Fits(made.results, made.recipe, made.twin, made.baseline, other)
    return Fits(made.results, choice.recipe, twin(choice.recipe), made.baseline, Other("rival", made.recipe, made.twin))


def judge(
    model: Model,
    plan: Mapping[str, Any],
    made: Fits,
    champion: Champion | None,
    past: Sequence[Champion],
    stored: rivals.Stored,
    lake: snapshot.Rows,
) -> dict[str, Any]:
    """Score the twins of a night, of the champion and of earlier ones on the holdout; see `evaluate.evaluate`.

    Parameters
    ----------
    past : champions of earlier nights, from which the anchors are picked.
    stored : takes tonight's scores of a rival, and weighs them with those of other nights.
    """
    held = evaluate.hold(model, plan, made.recipe["candidate"], lake)
    measured = compare(model, plan, made, champion, held)
    collected = beside(model, plan, made, held, measured.scores.get("challenger"))
    if collected:
        stored.keep(model, *collected)
    pair = collected[0] if collected else None
    version = champion.version if champion else None
    picked = anchors.pick(model.gate.anchors, past, version, made.twin.last)
    return {
        **measured.result,
        **change.told(model, plan, made.recipe, champion.recipe if champion else None, pair, stored),
        "anchors": anchors.scored(model, held.labels, picked, lambda one: score(model, one, held.rows, held.first)),
    }


def compare(
    model: Model, plan: Mapping[str, Any], made: Fits, champion: Champion | None, held: evaluate.Held
) -> evaluate.Measured:
    """`evaluate.measure`: challenger, baseline and champion."""
    standing = None
    if champion is not None:
        candidate, twin_last = champion.candidate, champion.twin_last
        standing = evaluate.Incumbent(
            champion.version, None, lambda rows, first: (candidate, twin_last, score(model, champion, rows, first))
        )
    return evaluate.measure(model, plan, _selected(plan, made), lambda twin: twin["fit"].pipeline, standing, held=held)


def beside(
    model: Model, plan: Mapping[str, Any], made: Fits, held: evaluate.Held, challenger: np.ndarray | None
) -> tuple[rivals.Pair, rivals.Scored] | None:
    """`evaluate.beside`: the challenger and what is beside it."""
    selected = _selected(plan, made)
    return evaluate.beside(model, plan, selected, held, challenger, lambda twin: twin["fit"].pipeline)


def score(model: Model, champion: Champion, rows: pd.DataFrame, first: str) -> np.ndarray:
    """The scores of a champion's twin on a holdout that begins on ``first``."""
    refuse = evaluate.seen(champion.twin.last, first)
    if refuse:
        raise DataError(f"its twin {refuse}")
    try:
        return evaluation.score(model, champion.twin.pipeline, rows)
    except PerennialError:
        raise
    except Exception as problem:
        raise DataError(f"its twin cannot be scored ({type(problem).__name__}: {problem})") from problem


def _selected(plan: Mapping[str, Any], made: Fits) -> dict[str, Any]:
    """What `select.select` gives, with the fits themselves in the place of their digests."""

    def twin(name: str, fitted: Fitted) -> dict[str, Any]:
        return {"name": name, "last": fitted.last, "fit": fitted}

    other = made.other
    return {
        "candidate": made.recipe["candidate"],
        "recipe": made.recipe,
        "twin": twin(made.recipe["candidate"], made.twin),
        "baseline_twin": twin(plan["baseline"], made.baseline),
        "other": other
        and {"role": other.role, "recipe": other.recipe, "twin": twin(other.recipe["candidate"], other.twin)},
    }


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
