"""What a night ended with, and how it is shown: the candidates as a table, metrics as people read them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from include.backtest.in_memory import Champion, MemoryTwins
from include.gate import evaluation as gate_evaluation
from include.gate.decision import Decision
from include.gate.evaluation import Evaluation, Side
from include.retraining import night as nights
from include.retraining.selection import Chosen
from include.spec import Model
from include.training.candidates import Fitted
from include.training.plan import Plan
from include.training.recipes import Trial


@dataclass(frozen=True)
class Night:
    """What a night ended with; its twins are in memory."""

    model: Model
    plan: Plan
    steps: nights.Night
    twins: MemoryTwins

    @property
    def as_of(self) -> str:
        return self.plan.as_of

    @property
    def trials(self) -> tuple[Trial, ...]:
        return self.steps.trials

    @property
    def chosen(self) -> Chosen:
        return self.steps.chosen

    @property
    def challenger(self) -> str:
        """The candidate that is judged: the winner of the selection, or the champion's recipe refreshed."""
        return self.chosen.candidate

    @property
    def evaluation(self) -> Evaluation:
        return self.steps.evaluation

    @property
    def decision(self) -> Decision:
        return self.steps.decision

    @property
    def twin(self) -> Fitted:
        """The challenger's."""
        return self.twins.fitted[self.challenger]

    def champion(self, version: int) -> Champion:
        """The challenger as the champion of later nights."""
        return Champion(version, self.chosen.recipe, self.twin)

    def table(self) -> str:
        """The candidates as a Markdown table: metrics on the selection days, and on the holdout if they were scored."""
        return table(self.model, self.plan, self.trials, self.chosen, self.evaluation)


def shown_metrics(model: Model, measured: Iterable[str]) -> list[str]:
    """The metrics that get a column: those of selection and gate, floors, and one well-known metric."""
    compared = [model.training.metric, model.gate.baseline_metric or model.training.metric]
    compared += [floor.metric for floor in model.gate.floors]
    there = set(measured)
    familiar = [name for name in ("roc_auc", "accuracy", "r2") if name in there][:1]
    return list(dict.fromkeys([*map(str, compared), *familiar]))


def number(value: float | None) -> str:
    """A metric for people: four significant places after the point, fewer for large values, or "undefined"."""
    if value is None or not math.isfinite(value):
        return "undefined"
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"


def table(model: Model, plan: Plan, trials: Iterable[Trial], chosen: Chosen, evaluation: Evaluation) -> str:
    """See `Night.table`."""
    trials = list(trials)
    metrics = shown_metrics(model, trials[0].metrics)
    sides = {plan.baseline: evaluation.baseline, chosen.candidate: evaluation.challenger}
    head = ["candidate", "fitted on", "rows", *(f"selection {m}" for m in metrics), *(f"holdout {m}" for m in metrics)]
    lines = [head, ["---", "---", *("--:" for _ in head[2:])]]
    roles: dict[str, str] = {plan.baseline: "baseline", chosen.candidate: "challenger"}
    if chosen.other:
        roles[chosen.other.recipe.candidate] = chosen.other.role

    def holdout(side: Side | None) -> list[str]:
        return [number(side.metrics.get(m)) if side else "" for m in metrics]

    for trial in trials:
        name = trial.candidate
        role = f" ({roles[name]})" if name in roles else ""
        selection = [number(trial.metrics.get(m)) for m in metrics]
        fitted = f"{trial.first} to {trial.last}"
        lines.append([f"{name}{role}", fitted, f"{trial.rows:,}", *selection, *holdout(sides.get(name))])
    champion = evaluation.champion
    if champion:
        scored = champion if isinstance(champion, gate_evaluation.Champion) else None
        name = f"{champion.name} ({(scored.candidate if scored else None) or 'not comparable'})"
        figures = holdout(scored) if scored else [number(None) for _ in metrics]
        lines.append([name, f"up to {scored.last if scored else '?'}", "", *("" for _ in metrics), *figures])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
