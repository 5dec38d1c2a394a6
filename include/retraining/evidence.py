"""What the gate decided from, reduced to what the ledger keeps for pages about many nights."""

from __future__ import annotations

from include.gate.evaluation import BASELINE, CHALLENGER, CHAMPION, Champion, Estimate, Evaluation, UnscoredChampion
from include.registry.evidence import Evidence, Figures, Interval, Metric, SliceEvidence, TrialEvidence
from include.retraining.selection import Chosen
from include.spec import Model
from include.training.plan import Plan


def figures(model: Model, evaluation: Evaluation) -> Figures:
    """The training metric of the challenger, and its gains over the baseline and the champion."""
    metric, champion = model.training.metric, evaluation.champion
    return Figures(
        metric=metric,
        value=evaluation.metric(CHALLENGER, metric),
        over_baseline=_interval(evaluation.estimate(BASELINE, metric)),
        over_champion=_interval(evaluation.estimate(CHAMPION, metric)),
        champion=champion.version if isinstance(champion, Champion | UnscoredChampion) else None,
    )


def evidence(plan: Plan, chosen: Chosen, evaluation: Evaluation) -> Evidence:
    """The metrics with their intervals, the slices, every candidate, and the data of the run."""
    holdout = evaluation.holdout
    limits = (evaluation.intervals or {}).get(CHALLENGER, {})
    metrics = []
    for name, value in evaluation.challenger.metrics.items():
        lower, upper = limits.get(name) or (None, None)
        metrics.append(Metric(name=name, value=value, lower=lower, upper=upper))
    return Evidence(
        holdout=(holdout.first, holdout.last),
        rows=holdout.rows,
        days=holdout.days,
        metrics=tuple(metrics),
        slices=tuple(
            SliceEvidence(
                column=one.column,
                value=one.value,
                rows=one.rows,
                challenger=one.challenger,
                champion=one.other,
                gain=_interval(one.gain),
            )
            for one in evaluation.slices or ()
        ),
        trials=tuple(
            TrialEvidence(
                name=trial.candidate,
                metrics=tuple(Metric(name=name, value=value) for name, value in trial.metrics.items()),
                seconds=trial.seconds,
                rows=trial.rows,
                first=trial.first,
                last=trial.last,
            )
            for trial in chosen.selection.table
        ),
        snapshot_rows=plan.snapshot.rows,
        first=plan.snapshot.first,
        last=plan.snapshot.last,
        note=plan.note,
    )


def _interval(found: Estimate | None) -> Interval | None:
    if found is None or found.value is None:
        return None
    return Interval(value=found.value, lower=found.lower, upper=found.upper)
