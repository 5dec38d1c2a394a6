"""Scores and metrics: what a model says about rows, and how good that was, on the whole and by day."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, roc_auc_score
from threadpoolctl import threadpool_limits

from include.errors import ConfigurationError, DataError, did_you_mean
from include.spec import Model, Task
from include.training import dataset


@dataclass(frozen=True)
class Metric:
    """A figure of merit: ``compute(labels, scores) -> float`` and whether a larger value is better."""

    compute: Callable[[np.ndarray, np.ndarray], float]
    larger_is_better: bool
    task: Task


def _log_loss(y: np.ndarray, p: np.ndarray) -> float:
    clipped = np.clip(p, 1e-15, 1 - 1e-15)
    return float(-np.mean(np.where(y == 1, np.log(clipped), np.log1p(-clipped))))


def _needs_both(compute: Callable[[np.ndarray, np.ndarray], float]) -> Callable[[np.ndarray, np.ndarray], float]:
    """A ranking metric is not defined on one class only: nan, never a number that could read as good."""
    return lambda y, p: float(compute(y, p)) if 0 < y.sum() < len(y) else float("nan")


def _r2(y: np.ndarray, p: np.ndarray) -> float:
    spread = float(np.sum((y - y.mean()) ** 2))
    return 1 - float(np.sum((y - p) ** 2)) / spread if spread > 0 else float("nan")


METRICS: dict[str, Metric] = {
    "log_loss": Metric(_log_loss, False, Task.CLASSIFICATION),
    "roc_auc": Metric(_needs_both(roc_auc_score), True, Task.CLASSIFICATION),
    "average_precision": Metric(_needs_both(average_precision_score), True, Task.CLASSIFICATION),
    "brier": Metric(lambda y, p: float(np.mean((y - p) ** 2)), False, Task.CLASSIFICATION),
    "accuracy": Metric(lambda y, p: float(np.mean((p >= 0.5) == (y == 1))), True, Task.CLASSIFICATION),
    "mae": Metric(lambda y, p: float(np.mean(np.abs(y - p))), False, Task.REGRESSION),
    "rmse": Metric(lambda y, p: float(np.sqrt(np.mean((y - p) ** 2))), False, Task.REGRESSION),
    "r2": Metric(_r2, True, Task.REGRESSION),
}


def metric(name: str) -> Metric:
    """The metric of this name."""
    if name not in METRICS:
        raise ConfigurationError(f"there is no metric {name!r}{did_you_mean(name, METRICS)}")
    return METRICS[name]


def gain(name: str, value: float, reference: float) -> float:
    """How much better ``value`` is than ``reference``, in units of the metric: positive is better, whatever the
    metric."""
    return value - reference if metric(name).larger_is_better else reference - value


def score(model: Model, pipeline: Any, raw_frame: pd.DataFrame, build: dataset.Build | None = None) -> np.ndarray:
    """The score of each row: the probability of ``label.positive``, or the predicted value of a regression.

    Parameters
    ----------
    build : features code to use instead of that of the model's folder (a champion's own).

    Returns
    -------
    float64 array of shape (rows,).

    Raises
    ------
    DataError : a score that is nan or infinite; a feature that the pipeline wants and `build` does not return.
    """
    frame = dataset.features_frame(model, raw_frame, build)
    return score_features(model, pipeline, frame)


def score_features(model: Model, pipeline: Any, frame: pd.DataFrame) -> np.ndarray:
    """`score` for rows that are features already."""
    wanted = getattr(pipeline, "feature_names_in_", None)
    if wanted is not None:
        absent = [str(name) for name in wanted if name not in frame.columns]
        if absent:
            raise DataError(
                f"the model wants the features {', '.join(absent)}, which features.build of {model.name} does not "
                f"return{did_you_mean(absent[0], map(str, frame.columns))}"
            )
        frame = frame[list(wanted)]
    with threadpool_limits(1):
        if model.data.label.task is Task.REGRESSION:
            scores = np.asarray(pipeline.predict(frame), dtype=np.float64).reshape(len(frame))
        else:
            scores = np.asarray(pipeline.predict_proba(frame), dtype=np.float64)[:, positive_index(pipeline)]
    wrong = ~np.isfinite(scores)
    if wrong.any():
        raise DataError(
            f"{int(wrong.sum())} of {len(scores)} scores are not finite numbers: the model cannot be judged or used."
        )
    return scores


def positive_index(pipeline: Any) -> int:
    """The column of ``predict_proba`` that belongs to the positive class (labels are 0 and 1, see `dataset.labels`)."""
    classes = [int(c) for c in pipeline.classes_]
    if 1 not in classes:
        raise DataError(f"the model knows only the classes {classes}: it was fitted without the positive one.")
    return classes.index(1)


def metrics(model: Model, y: np.ndarray, p: np.ndarray) -> dict[str, float]:
    """All metrics of the model's task; nan where a metric is not defined on these rows.

    Raises
    ------
    DataError : no rows, unequal lengths, or a score that is not finite.
    """
    y, p = np.asarray(y, dtype=np.float64), np.asarray(p, dtype=np.float64)
    if len(y) == 0 or y.shape != p.shape:
        raise DataError(f"cannot compare {p.shape} scores with {y.shape} labels.")
    if not np.isfinite(p).all():
        raise DataError(f"{int((~np.isfinite(p)).sum())} of {len(p)} scores are not finite numbers.")
    return {name: m.compute(y, p) for name, m in METRICS.items() if m.task is model.data.label.task}


def by_day(model: Model, frame: pd.DataFrame, p: np.ndarray) -> pd.DataFrame:
    """One row for each partition of ``frame``: partition, rows, label_mean, score_mean and every metric (nan if
    undefined)."""
    y = dataset.labels(model, frame)
    days = frame["partition"].to_numpy(dtype=object)
    found: list[dict[str, Any]] = []
    for day in sorted(set(days)):
        here = days == day
        summary = {
            "partition": day,
            "rows": int(here.sum()),
            "label_mean": float(np.mean(y[here])),
            "score_mean": float(np.mean(p[here])),
        }
        found.append({**summary, **metrics(model, y[here], p[here])})
    return pd.DataFrame(found)
