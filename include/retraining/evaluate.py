"""The task `evaluate`: the twins measured on the holdout, and scores and pictures kept with the MLflow run."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from include.cards import intervals, plots
from include.gate import change
from include.gate.evaluation import BASELINE, CHALLENGER, CHAMPION, ByDay, Evaluation, Intervals
from include.registry import tracking
from include.retraining import deployed, measuring
from include.retraining.measuring import Measuring
from include.retraining.night import shown
from include.retraining.ports import HoldoutRows
from include.retraining.selection import Selection
from include.spec import Model
from include.statistics import uncertainty
from include.training import measures
from include.training.plan import Plan

log = logging.getLogger(__name__)

PLOTS = "holdout"
SCORES = "holdout/scores.parquet"
BY_DAY = "holdout/by_day.json"

Scores = Mapping[str, np.ndarray]
"""By side."""


def evaluate(model: Model, plan: Plan, selection: Selection) -> Evaluation:
    """Measure everything that the gate decides by (`measuring.evaluate`), and keep it with the challenger's MLflow run.

    The scores of incumbent and rival are kept below the lake, in the place of those of an earlier try.
    """
    ports = deployed.ports(model, plan)
    measured = Measuring(model, plan, selection, ports)
    evaluation = measuring.evaluate(measured)
    scores = measured.measured.scores
    evaluation = evaluation.replace(
        champion_epoch=ports.champions.standing.epoch,
        by_day=ByDay(mlflow_run_id=selection.mlflow_run_id, scores=SCORES, metrics=BY_DAY),
        intervals=intervals_of(model, measured.holdout, scores),
    )
    return evaluation.replace(plots=_keep(model, selection.mlflow_run_id, measured.holdout, scores, evaluation))


def intervals_of(model: Model, holdout: HoldoutRows, scores: Scores) -> dict[str, Intervals]:
    """`intervals.by_side`: for the card and the pictures, so a back-test does not compute them."""
    block = uncertainty.blocks(holdout.rows["partition"].astype(str).to_numpy(), model.gate.block_days)
    return intervals.by_side(model, holdout.labels, scores, block)


def _keep(
    model: Model, mlflow_run_id: str, holdout: HoldoutRows, scores: Scores, evaluation: Evaluation
) -> dict[str, str]:
    """Keep scores, metrics by day and pictures with the challenger's MLflow run, and log the outcome.

    Labels and scores in `SCORES` are those of `dataset.labels` and `measures.named`. Returns the digests of the
    pictures by artifact path.
    """
    rows, y = holdout.rows, holdout.labels
    buffer = io.BytesIO()
    columns: dict[str, np.ndarray] = {"partition": rows["partition"].astype(str).to_numpy(dtype=object), "label": y}
    for side, found in scores.items():
        columns |= measures.named(model, side, found)
    pd.DataFrame(columns).to_parquet(buffer, index=False)
    by_day = {side: measures.by_day(model, rows, found) for side, found in scores.items()}
    days = json.dumps({side: _records(frame) for side, frame in by_day.items()}, indent=1)
    pictures = plots.draw(model, y, scores, by_day, evaluation)
    files = {f"{PLOTS}/{name}": picture for name, picture in pictures.items()}
    files |= {SCORES: buffer.getvalue(), BY_DAY: days.encode()}
    tracking.log_artifacts_bytes(mlflow_run_id, files)
    tracking.log(mlflow_run_id, metrics={**_metrics(evaluation, scores), **_gains(evaluation)})
    metric, about = model.training.metric, evaluation.holdout
    log.info(
        "On %d holdout rows of %d days (%s to %s), %s: %s.",
        about.rows, about.days, about.first, about.last, metric,
        ", ".join(f"{side} {shown(evaluation.metric(side, metric))}" for side in scores),
    )  # fmt: skip
    if evaluation.change:
        log.info("%s", change.sentence(model, evaluation.change))
    return {f"{PLOTS}/{name}": hashlib.sha256(picture).hexdigest() for name, picture in pictures.items()}


def _metrics(evaluation: Evaluation, scores: Scores) -> dict[str, float]:
    """The metrics of each side for MLflow: ``holdout.log_loss`` of the challenger, ``holdout.champion.log_loss``."""
    return {
        f"holdout.{'' if side == CHALLENGER else side + '.'}{name}": value
        for side in scores
        if (found := evaluation.side(side)) is not None
        for name, value in found.metrics.items()
        if value is not None
    }


def _gains(evaluation: Evaluation) -> dict[str, float]:
    """The paired gains for MLflow, each with its ``.lower`` and ``.upper`` limit: over the champion as
    ``holdout.gain.log_loss``, over the baseline as ``holdout.baseline_gain.log_loss``."""
    found: dict[str, float] = {}
    for side, name in ((CHAMPION, "holdout.gain"), (BASELINE, "holdout.baseline_gain")):
        for metric, gain in evaluation.paired.get(side, {}).items():
            limits = {"": gain.value, ".lower": gain.lower, ".upper": gain.upper}
            found |= {f"{name}.{metric}{end}": value for end, value in limits.items() if value is not None}
    return found


def _records(frame: pd.DataFrame) -> list[dict[str, object]]:
    return [
        {str(k): None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
        for row in frame.to_dict(orient="records")
    ]
