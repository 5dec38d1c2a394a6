"""The task `train`: one candidate tried, in one MLflow run."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from include.data.lake import Lake
from include.errors import ConfigurationError, IntegrityError, PerennialError
from include.registry import tracking
from include.retraining import night
from include.retraining.night import Tried
from include.spec import Candidate, Model
from include.spelling import did_you_mean
from include.training import candidates
from include.training.candidates import Fitted
from include.training.plan import Plan
from include.training.recipes import Trial

log = logging.getLogger(__name__)

_PLAIN = (str, int, float, bool)


def train(
    model: Model,
    plan: Plan,
    candidate: str,
    run_id: str,
    mlflow_run_id: str | None = None,
    opened: Callable[[str], None] | None = None,
) -> Trial:
    """Fit one candidate and score it on the selection days, in one MLflow run that a retry resumes.

    Parameters
    ----------
    mlflow_run_id : the run that an earlier try of this task opened, if it is known.
    opened : called with the id of the MLflow run before anything is fitted, so that a killed task's retry can name it.

    Raises
    ------
    DataError : the candidate cannot be fitted, or does not give finite scores. The MLflow run ends as FAILED.
    """
    mlflow_run_id = tracking.start_or_resume(model.name, run_id, candidate, mlflow_run_id)
    if opened is not None:
        opened(mlflow_run_id)
    try:
        declared = _declared(model, candidate)
        tried = night.try_candidate(model, plan, candidate, declared, Lake.of(model))
        mlflow_run_id = _log(model, plan, declared, run_id, mlflow_run_id, tried)
    except PerennialError as error:
        tracking.log(mlflow_run_id, tags={"perennial.error": str(error)[:500]})
        tracking.finish(mlflow_run_id, "FAILED")
        raise
    tracking.finish(mlflow_run_id)
    return tried.trial.replace(mlflow_run_id=mlflow_run_id)


def _declared(model: Model, name: str) -> Candidate:
    declared = candidates.load(model)
    if name not in declared:
        raise ConfigurationError(f"{model.name} has no candidate {name!r}{did_you_mean(name, declared)}")
    return declared[name]


def _log(model: Model, plan: Plan, candidate: Candidate, run_id: str, mlflow_run_id: str, tried: Tried) -> str:
    """Log to MLflow; if its run holds other parameters (the code changed and the run was cleared), to a new one."""
    trial, fitted = tried.trial, tried.fitted
    name, window = trial.candidate, candidates.window_of(candidate, plan.window_days)
    known = {f"selection.{metric}": value for metric, value in trial.metrics.items() if value is not None}
    metrics = {**known, "fit.seconds": fitted.seconds, "fit.rows": fitted.rows, "selection.rows": tried.rows}
    params = {"candidate": name, "window_days": window, "seed": plan.seed, **_hyperparameters(fitted.pipeline)}
    tags: Mapping[str, object] = {
        "perennial.as_of": plan.as_of,
        "perennial.snapshot": plan.snapshot.digest,
        "perennial.table_version": plan.snapshot.table_version,
        "perennial.train": f"{fitted.first}..{fitted.last}",
        "perennial.code": plan.code_digest,
        "perennial.dropped": ", ".join(fitted.dropped),
        "mlflow.note.content": plan.note,
    }
    tags = {key: value for key, value in tags.items() if value != ""}
    try:
        tracking.log(mlflow_run_id, params, metrics, tags)
    except IntegrityError as conflict:
        log.warning("A new MLflow run is opened: %s", conflict)
        tracking.log(mlflow_run_id, tags={tracking.RUN_TAG: f"{run_id} (superseded)"})
        tracking.finish(mlflow_run_id, "KILLED")
        mlflow_run_id = tracking.start_or_resume(model.name, run_id, name)
        tracking.log(mlflow_run_id, params, metrics, tags)
    _log_data(model, plan, mlflow_run_id, fitted)
    return mlflow_run_id


def _log_data(model: Model, plan: Plan, mlflow_run_id: str, fitted: Fitted) -> None:
    """Name the rows of the fit, for MLflow's pages and its search by data."""
    frozen = plan.snapshot
    table = {"path": str(Lake.of(model).root / "rows"), "delta_table_version": frozen.table_version}
    profile = {
        "first": fitted.first, "last": fitted.last, "rows": fitted.rows, "snapshot": frozen.digest,
        "snapshot_first": frozen.first, "snapshot_last": frozen.last, "snapshot_rows": frozen.rows,
    }  # fmt: skip
    tracking.log_dataset(mlflow_run_id, f"{model.name}.rows", frozen.digest, table, profile)


def _hyperparameters(pipeline: Any) -> dict[str, object]:
    """The plain parameters of the last step, by name (the whole pipeline would be a hundred lines of defaults)."""
    steps = getattr(pipeline, "steps", None)
    last = steps[-1][1] if steps else pipeline
    return {
        "estimator": type(last).__name__,
        **{k: v for k, v in last.get_params(deep=False).items() if isinstance(v, _PLAIN) and k != "random_state"},
    }
