"""One night of a model without a scheduler: the fits, and the judgement over them, by the functions of the tasks.

A real night is `include.training.{snapshot.take, train, select, evaluate, decision, package}`; here is the same without
MLflow, ledger and bundle store, over any `snapshot.Rows`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from include.errors import DataError, PerennialError
from include.spec import Model
from include.training import candidates, evaluate, evaluation, gate, package, select, snapshot, train
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


@dataclass(frozen=True)
class Night:
    """What a night ended with.

    Attributes
    ----------
    results : for each candidate what `train.train` returns, but for ``mlflow_run_id``.
    challenger : the name of the candidate that won the selection.
    twin, baseline : the fits that were compared on the holdout.
    evaluation : what `evaluate.evaluate` returns, but for ``champion_epoch`` and ``by_day``.
    """

    model: Model
    plan: Mapping[str, Any]
    results: list[dict[str, Any]]
    recipe: Mapping[str, Any]
    twin: Fitted
    baseline: Fitted
    evaluation: Mapping[str, Any]
    decision: gate.Decision

    @property
    def as_of(self) -> str:
        return str(self.plan["as_of"])

    @property
    def challenger(self) -> str:
        return str(self.recipe["candidate"])

    def champion(self, version: int) -> Champion:
        """The challenger as the champion of later nights."""
        return Champion(version, self.challenger, self.twin)

    def table(self) -> str:
        """The candidates as a Markdown table: metrics on the selection days, and on the holdout where it was scored."""
        return _table(self)


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


def refit(
    model: Model, plan: Mapping[str, Any], made: Fits | Night, lake: snapshot.Rows
) -> tuple[Fitted, pd.DataFrame]:
    """The release model and its rows, after the guards of a refit; see `package.refit`."""
    fitted, rows, _ = package.refit(model, plan, made.recipe, made.twin.pipeline, lake)
    return fitted, rows


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


def shown_metrics(model: Model, measured: Mapping[str, Any]) -> list[str]:
    """The metrics worth a column: what selection and gate compare, and one that everybody knows."""
    compared = [model.training.metric, model.gate.baseline_metric or model.training.metric]
    familiar = [name for name in ("roc_auc", "accuracy", "r2") if name in measured][:1]
    return list(dict.fromkeys([*map(str, compared), *familiar]))


def number(value: float | None) -> str:
    """A metric for people: four significant places after the point, fewer for large values; "undefined" where it is."""
    if value is None or not math.isfinite(value):
        return "undefined"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"


def _table(night: Night) -> str:
    model, evaluated = night.model, night.evaluation
    metrics = shown_metrics(model, night.results[0]["metrics"])
    sides = {night.plan["baseline"]: evaluated["baseline"], night.challenger: evaluated["challenger"]}
    head = ["candidate", "fitted on", "rows", *(f"selection {m}" for m in metrics), *(f"holdout {m}" for m in metrics)]
    lines = [head, ["---", "---", *("--:" for _ in head[2:])]]

    def holdout(side: Mapping[str, Any] | None) -> list[str]:
        return [number(((side or {}).get("metrics") or {}).get(m)) if side else "" for m in metrics]

    for result in night.results:
        name = result["candidate"]
        role = " (challenger)" if name == night.challenger else " (baseline)" if name == night.plan["baseline"] else ""
        selection = [number(result["metrics"].get(m)) for m in metrics]
        fitted = f"{result['first']} to {result['last']}"
        lines.append([f"{name}{role}", fitted, f"{result['rows']:,}", *selection, *holdout(sides.get(name))])
    champion = evaluated["champion"]
    if champion:
        name = f"{champion['name']} ({champion.get('candidate', 'not comparable')})"
        lines.append([name, f"up to {champion.get('last', '?')}", "", *("" for _ in metrics), *holdout(champion)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
