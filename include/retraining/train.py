"""One candidate of a run: fitted on the train days, scored on the selection days, told to MLflow."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from typing import Any

from include.errors import ConfigurationError, DataError, IntegrityError, PerennialError
from include.registry import tracking
from include.spec import Candidate, Model
from include.spelling import did_you_mean
from include.training import candidates, dataset, evaluation, snapshot

log = logging.getLogger(__name__)

_PLAIN = (str, int, float, bool)


def train(
    model: Model,
    plan: Mapping[str, Any],
    candidate: str,
    run_id: str,
    mlflow_run_id: str | None = None,
    opened: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Fit one candidate and score it on the selection days, in one MLflow run that a retry resumes.

    Parameters
    ----------
    mlflow_run_id : the run that an earlier try of this task opened, where it is known.
    opened : told the id of the MLflow run before anything is fitted, so that a killed task's retry can name it.

    Returns
    -------
    ``candidate, mlflow_run_id, metrics`` (on the selection days; None where undefined), ``seconds, rows, first, last,
    iterations, dropped``.

    Raises
    ------
    DataError : the candidate cannot be fitted, or does not give finite scores. The MLflow run ends as FAILED.
    """
    mlflow_run_id = tracking.start_or_resume(model.name, run_id, candidate, mlflow_run_id)
    if opened is not None:
        opened(mlflow_run_id)
    try:
        return _train(model, plan, candidate, _declared(model, candidate), run_id, mlflow_run_id)
    except PerennialError as error:
        tracking.log(mlflow_run_id, tags={"perennial.error": str(error)[:500]})
        tracking.finish(mlflow_run_id, "FAILED")
        raise


def _train(
    model: Model, plan: Mapping[str, Any], name: str, candidate: Candidate, run_id: str, mlflow_run_id: str
) -> dict[str, Any]:
    result, fitted, judged = trial(model, plan, name, candidate)
    measured = {metric: value for metric, value in result["metrics"].items() if value is not None}
    known = {f"selection.{metric}": value for metric, value in measured.items()}
    told = {**known, "fit.seconds": fitted.seconds, "fit.rows": fitted.rows, "selection.rows": judged}
    mlflow_run_id = _log(model, plan, name, candidate, run_id, mlflow_run_id, told, fitted)
    tracking.finish(mlflow_run_id)
    return {"mlflow_run_id": mlflow_run_id, **result}


def trial(
    model: Model, plan: Mapping[str, Any], name: str, candidate: Candidate, lake: snapshot.Rows | None = None
) -> tuple[dict[str, Any], candidates.Fitted, int]:
    """Fit one candidate and score it on the selection days; nothing is recorded.

    Returns
    -------
    What `train` returns but for ``mlflow_run_id``, the fit, and the number of rows that it was scored on.
    """
    spans = snapshot.spans_of(plan, name)
    rows = snapshot.read(model, plan, (spans.train[0], spans.selection[1]), lake)
    fitted = candidates.fit(model, candidate, dataset.between(rows, spans.train), plan["seed"])
    if fitted.last >= spans.selection[0]:
        raise IntegrityError(
            f"{name} was fitted up to {fitted.last}, but the selection days begin on {spans.selection[0]}."
        )
    judged = dataset.labelled(model, dataset.between(rows, spans.selection))
    if judged.empty:
        raise DataError(f"no row of the selection days {spans.selection[0]} to {spans.selection[1]} has a label.")
    scores = evaluation.score(model, fitted.pipeline, judged)
    measured = evaluation.metrics(model, dataset.labels(model, judged), scores)
    log.info(
        "%s: %s %s on %d selection rows (%s to %s), fitted on %d rows (%s to %s) in %.2f s.",
        name, model.training.metric, _shown(measured[model.training.metric]), len(judged), *spans.selection,
        fitted.rows, fitted.first, fitted.last, fitted.seconds,
    )  # fmt: skip
    result = {
        "candidate": name,
        "metrics": {metric: value if math.isfinite(value) else None for metric, value in measured.items()},
        "seconds": round(fitted.seconds, 4),
        "rows": fitted.rows,
        "first": fitted.first,
        "last": fitted.last,
        "iterations": candidates.stopped_after(fitted.pipeline),
        "dropped": list(fitted.dropped),
    }
    return result, fitted, len(judged)


def _declared(model: Model, name: str) -> Candidate:
    declared = candidates.load(model)
    if name not in declared:
        raise ConfigurationError(f"{model.name} has no candidate {name!r}{did_you_mean(name, declared)}")
    return declared[name]


def _log(
    model: Model,
    plan: Mapping[str, Any],
    name: str,
    candidate: Candidate,
    run_id: str,
    mlflow_run_id: str,
    metrics: Mapping[str, float],
    fitted: candidates.Fitted,
) -> str:
    """Tell MLflow; where its run holds other parameters (the code changed and the run was cleared), in a new one."""
    window = candidates.window_of(candidate, plan["window_days"])
    params = {"candidate": name, "window_days": window, "seed": plan["seed"], **_hyperparameters(fitted.pipeline)}
    tags = {
        "perennial.as_of": plan["as_of"],
        "perennial.snapshot": plan["snapshot"]["digest"],
        "perennial.table_version": plan["snapshot"]["table_version"],
        "perennial.train": f"{fitted.first}..{fitted.last}",
        "perennial.code": plan["code_digest"],
        "perennial.dropped": ", ".join(fitted.dropped),
        "mlflow.note.content": plan["note"],
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
    return mlflow_run_id


def _hyperparameters(pipeline: Any) -> dict[str, Any]:
    """The plain parameters of the last step, by name (the whole pipeline would be a hundred lines of defaults)."""
    steps = getattr(pipeline, "steps", None)
    last = steps[-1][1] if steps else pipeline
    return {
        "estimator": type(last).__name__,
        **{k: v for k, v in last.get_params(deep=False).items() if isinstance(v, _PLAIN) and k != "random_state"},
    }


def _shown(value: float) -> str:
    return f"{value:.4f}" if math.isfinite(value) else "undefined"
