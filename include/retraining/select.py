"""The task `select`: the challenger chosen, its twins kept, and a version registered."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from include.registry import mlflow_versions
from include.registry.ledger import Ledger
from include.retraining import deployed, night
from include.retraining.selection import Selection
from include.spec import Model
from include.training.plan import Plan
from include.training.recipes import Trial

log = logging.getLogger(__name__)


def select(model: Model, plan: Plan, trials: Sequence[Trial], run_id: str) -> Selection:
    """Choose the challenger (`night.select`), keep its twins, and register a version.

    Idempotent: the same run again gets the same version.
    """
    chosen, choice = night.select(model, plan, trials, deployed.ports(model, plan))
    mlflow_run_id = choice.trial.mlflow_run_id
    assert mlflow_run_id is not None  # every trial of a task has one
    version = mlflow_versions.allocate(model.name, run_id, mlflow_run_id)
    Ledger.default().add_version(
        model.name,
        version,
        run_id=run_id,
        candidate=chosen.candidate,
        recipe=chosen.recipe.as_dict(),
        twin=chosen.twin.digest,
        twin_first=chosen.twin.first,
        twin_last=chosen.twin.last,
        metrics={"selection": choice.trial.metrics},
    )
    tags = {
        "perennial.as_of": plan.as_of,
        "perennial.candidate": chosen.candidate,
        "perennial.snapshot": plan.snapshot.digest,
    }
    mlflow_versions.register(model.name, version, tags)
    ranking, twin = chosen.selection, chosen.twin
    log.info(
        "The challenger is version %d, %s. %s On %s to %s, %s: %s. Its twin was fitted on %d rows up to %s.",
        version, chosen.candidate, choice.sentence, ranking.first, ranking.last, ranking.metric,
        ", ".join(f"{one.candidate} {night.shown(one.metrics.get(ranking.metric))}" for one in ranking.table),
        twin.rows, twin.last,
    )  # fmt: skip
    return Selection(**dict(chosen), version=version, mlflow_run_id=mlflow_run_id)
