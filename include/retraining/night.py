"""One night as a sequence of steps over records: try every candidate, select, evaluate, decide, refit.

The steps record nothing. What they read and keep is behind ports (`include.retraining.ports`), so that the tasks of
Airflow, which record what each step returns, `make try-model` and the back-test take the same steps.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from include.errors import DataError, IntegrityError
from include.gate import change, decision
from include.gate.change import Choice
from include.gate.decision import Decision
from include.gate.evaluation import Evaluation, finite
from include.retraining.measuring import Measuring, evaluate
from include.retraining.ports import Ports, Twins
from include.retraining.selection import Chosen, Other
from include.spec import Candidate, Model
from include.statistics import metrics
from include.training import candidates, dataset, measures, proving
from include.training import refit as refitting
from include.training.candidates import Fitted
from include.training.plan import Plan
from include.training.proving import Proven
from include.training.recipes import Ranking, Recipe, Trial, Twin
from include.training.rows import Rows, read

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Night:
    """What the steps of a night returned, up to its decision."""

    trials: tuple[Trial, ...]
    chosen: Chosen
    measuring: Measuring
    evaluation: Evaluation
    decision: Decision


def run(model: Model, plan: Plan, ports: Ports) -> Night:
    """Take all steps up to the decision, as the tasks of a run take them one by one; after a promotion, `refit`.

    Raises
    ------
    DataError : a candidate cannot be fitted or scored; there is no decision without it.
    """
    trials = try_all(model, plan, ports.rows)
    chosen, _ = select(model, plan, trials, ports)
    measuring = Measuring(model, plan, chosen, ports)
    evaluation = evaluate(measuring)
    return Night(trials, chosen, measuring, evaluation, decision.decide(model, evaluation))


# -- steps


@dataclass(frozen=True)
class Tried:
    """The trial of a candidate, its fit, and the rows that it was scored on."""

    trial: Trial
    fitted: Fitted
    rows: int


def try_candidate(model: Model, plan: Plan, name: str, candidate: Candidate, rows: Rows) -> Tried:
    """Fit one candidate on the train days and score it on the selection days.

    Raises
    ------
    DataError : the candidate cannot be fitted, or does not give finite scores.
    """
    spans = plan.spans(name)
    frame = read(plan, (spans.train[0], spans.selection[1]), rows)
    fitted = candidates.fit(model, candidate, dataset.between(frame, spans.train), plan.seed)
    if fitted.last >= spans.selection[0]:
        raise IntegrityError(
            f"{name} was fitted up to {fitted.last}, but the selection days begin on {spans.selection[0]}."
        )
    judged = dataset.labelled(model, dataset.between(frame, spans.selection))
    if judged.empty:
        raise DataError(f"no row of the selection days {spans.selection[0]} to {spans.selection[1]} has a label.")
    scores = measures.score(model, fitted.pipeline, judged)
    measured = {n: finite(v) for n, v in measures.metrics(model, dataset.labels(model, judged), scores).items()}
    log.info(
        "%s: %s %s on %d selection rows (%s to %s), fitted on %d rows (%s to %s) in %.2f s.",
        name, model.training.metric, shown(measured[model.training.metric]), len(judged), *spans.selection,
        fitted.rows, fitted.first, fitted.last, fitted.seconds,
    )  # fmt: skip
    trial = Trial(
        candidate=name,
        metrics=measured,
        seconds=round(fitted.seconds, 4),
        rows=fitted.rows,
        first=fitted.first,
        last=fitted.last,
        iterations=fitted.iterations,
        dropped=fitted.dropped,
    )
    return Tried(trial, fitted, len(judged))


def try_all(model: Model, plan: Plan, rows: Rows) -> tuple[Trial, ...]:
    """`try_candidate` for every candidate of the plan; an error names the candidate."""
    declared, found = candidates.load(model), []
    for name in plan.candidates:
        try:
            found.append(try_candidate(model, plan, name, declared[name], rows).trial)
        except DataError as problem:
            raise DataError(f"candidate {name!r}: {problem}") from problem
    return tuple(found)


def select(model: Model, plan: Plan, trials: Sequence[Trial], ports: Ports) -> tuple[Chosen, Choice]:
    """Choose the challenger, and fit the twins that are compared up to the day before the holdout.

    The challenger is the winner of the selection, or the champion's recipe fitted afresh (`change.choose`); if both are
    tried, the other one gets a twin, too.
    """
    champion, twins = ports.champions.serving(), ports.twins
    incumbent = champion.recipe if champion else None
    choice = change.choose(model, plan, trials, winner_of(model, plan, trials), incumbent, ports.rivals)
    name = choice.recipe.candidate
    twin = twins.fit(choice.recipe)
    baseline = twin if name == plan.baseline else twins.fit(change.recipe_of(model, plan, plan.baseline))
    other = None
    if choice.other is not None and choice.role is not None:
        other = Other(role=choice.role, recipe=choice.other, twin=twins.fit(choice.other))
    first, last = plan.spans(name).selection
    table = tuple(sorted(trials, key=lambda trial: plan.candidates.index(trial.candidate)))
    ranking = Ranking(metric=model.training.metric, first=first, last=last, table=table)
    chosen = Chosen(
        candidate=name, recipe=choice.recipe, twin=twin, baseline_twin=baseline, other=other, selection=ranking
    )
    return chosen, choice


@dataclass(frozen=True)
class ReleaseModel:
    """The recipe of a challenger refitted on all matured rows, as files, and the findings of its guards."""

    fitted: Fitted
    proven: Proven
    guards: tuple[str, ...]


def refit(model: Model, plan: Plan, chosen: Chosen, twins: Twins, rows: Rows) -> ReleaseModel:
    """Fit the release model, and prove it.

    Raises
    ------
    ReleaseError : a guard of the refit; what `proving.prove` refuses.
    """
    twin = twins.pipeline(chosen.twin)
    fitted, learned, guards = refitting.refit(model, plan, chosen.recipe, twin, rows)
    newest = dataset.between(learned, plan.spans(chosen.candidate).holdout)
    proven = proving.prove(model, chosen.candidate, fitted, learned, newest)
    return ReleaseModel(fitted, proven, (*guards, proven.size))


# -- what they are made of


def fit_twin(model: Model, plan: Plan, recipe: Recipe, rows: Rows) -> Fitted:
    """Fit a recipe up to the day before the holdout.

    Raises
    ------
    IntegrityError : the fit has seen a day of the holdout.
    """
    spans = plan.spans(recipe.candidate)
    declared = candidates.load(model)[recipe.candidate]
    fitted = candidates.fit(model, declared, read(plan, spans.twin, rows), plan.seed, recipe.iterations)
    if fitted.last >= spans.holdout[0]:
        raise IntegrityError(
            f"the twin of {recipe.candidate} has seen {fitted.last}, a day of the holdout that begins on "
            f"{spans.holdout[0]}."
        )
    return fitted


def twin_of(recipe: Recipe, fitted: Fitted, digest: str = "") -> Twin:
    """The record of a twin that was fitted."""
    return Twin(
        name=recipe.candidate,
        digest=digest,
        first=fitted.first,
        last=fitted.last,
        rows=fitted.rows,
        dropped=fitted.dropped,
    )


def winner_of(model: Model, plan: Plan, trials: Sequence[Trial]) -> Trial:
    """The trial that wins the selection."""
    # The gate compares with the trivial baseline, which cannot beat itself: it wins only if nothing else can.
    real = [name for name in plan.candidates if name != plan.baseline]
    return best(model, real or plan.candidates, trials)


def best(model: Model, names: Sequence[str], trials: Sequence[Trial]) -> Trial:
    """The trial with the best selection metric among ``names``; of equal ones the first named.

    Raises
    ------
    DataError : no candidate has a metric.
    """
    metric = model.training.metric
    compared = measures.metric(model, metric)
    known = {trial.candidate: trial for trial in trials}
    winner: tuple[Trial, float] | None = None
    for name in names:
        value = known[name].metrics.get(metric) if name in known else None
        if value is not None and (winner is None or metrics.gain(compared, value, winner[1]) > 0):
            winner = known[name], value
    if winner is None:
        raise DataError(
            f"no candidate of {model.name} has a {metric} on the selection days: see the logs of the train tasks "
            f"({', '.join(names)})."
        )
    return winner[0]


def shown(value: float | None) -> str:
    """A metric for the log."""
    return "undefined" if value is None else f"{value:.4f}"
