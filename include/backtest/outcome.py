"""What a night ended with, and how it is told: the candidates as a table, metrics as people read them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from include.backtest.night import Champion, Fits, Other
from include.gate import decision as gate
from include.gate.rivals import Recipe
from include.spec import Model
from include.training.candidates import Fitted


@dataclass(frozen=True)
class Night:
    """What a night ended with.

    Attributes
    ----------
    results : for each candidate what `train.train` returns, but for ``mlflow_run_id``.
    challenger : the name of the candidate that is judged: the winner of the selection, or the champion's refreshed.
    twin, baseline : the fits that were compared on the holdout.
    evaluation : what `evaluate.evaluate` returns, but for ``champion_epoch`` and ``by_day``.
    other : the recipe whose twin is scored beside the challenger's, where there is one.
    """

    model: Model
    plan: Mapping[str, Any]
    results: list[dict[str, Any]]
    recipe: Mapping[str, Any]
    twin: Fitted
    baseline: Fitted
    evaluation: Mapping[str, Any]
    decision: gate.Decision
    other: Other | None = None

    @property
    def as_of(self) -> str:
        return str(self.plan["as_of"])

    @property
    def challenger(self) -> str:
        return str(self.recipe["candidate"])

    def champion(self, version: int) -> Champion:
        """The challenger as the champion of later nights."""
        return Champion(version, Recipe.of(self.recipe), self.twin)

    @property
    def fits(self) -> Fits:
        """What was fitted."""
        return Fits(self.results, dict(self.recipe), self.twin, self.baseline, self.other)

    def table(self) -> str:
        """The candidates as a Markdown table: metrics on the selection days, and on the holdout where it was scored."""
        return _table(self)


def shown_metrics(model: Model, measured: Mapping[str, Any]) -> list[str]:
    """The metrics worth a column: what selection and gate compare, floors, and one that everybody knows."""
    compared = [model.training.metric, model.gate.baseline_metric or model.training.metric]
    compared += [floor.metric for floor in model.gate.floors]
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

    roles = {night.plan["baseline"]: "baseline", night.challenger: "challenger"}
    if night.other:
        roles[night.other.recipe["candidate"]] = night.other.role

    def holdout(side: Mapping[str, Any] | None) -> list[str]:
        return [number(((side or {}).get("metrics") or {}).get(m)) if side else "" for m in metrics]

    for result in night.results:
        name = result["candidate"]
        role = f" ({roles[name]})" if name in roles else ""
        selection = [number(result["metrics"].get(m)) for m in metrics]
        fitted = f"{result['first']} to {result['last']}"
        lines.append([f"{name}{role}", fitted, f"{result['rows']:,}", *selection, *holdout(sides.get(name))])
    champion = evaluated["champion"]
    if champion:
        name = f"{champion['name']} ({champion.get('candidate', 'not comparable')})"
        lines.append([name, f"up to {champion.get('last', '?')}", "", *("" for _ in metrics), *holdout(champion)])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
