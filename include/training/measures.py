"""Scores and metrics: a model's scores of rows, and how good they are, overall and by day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import get_cached_controller

from include.errors import ConfigurationError, DataError
from include.spec import Model, Task
from include.spelling import did_you_mean
from include.statistics.metrics import METRICS, Metric
from include.training import dataset, scorers


def metrics_of(model: Model) -> dict[str, Metric]:
    """Every metric that is computed for a model, by name: those of its task, and its own scorers."""
    usual = {name: found for name, found in METRICS.items() if found.task is model.data.label.task}
    return usual | scorers.of(model)


def metric(model: Model, name: str) -> Metric:
    """The metric of this name."""
    known = metrics_of(model)
    if name not in known:
        raise ConfigurationError(f"{model.name} has no metric {name!r}{did_you_mean(name, known)}")
    return known[name]


def score(model: Model, pipeline: Any, raw_frame: pd.DataFrame, build: dataset.Build | None = None) -> np.ndarray:
    """The score of each row: the probability of ``label.positive``, that of every class, or the predicted value.

    Parameters
    ----------
    build : features code to use instead of that of the model's folder (a champion's own).

    Returns
    -------
    float64 array of shape (rows,); of shape (rows, classes), in the order of ``label.classes``, if those are
    declared.

    Raises
    ------
    DataError : a score that is nan or infinite; a feature that the pipeline needs and `build` does not return.
    """
    frame = dataset.features_frame(model, raw_frame, build)
    return score_features(model, pipeline, frame)


def score_features(model: Model, pipeline: Any, frame: pd.DataFrame) -> np.ndarray:
    """`score` for rows that are features already."""
    scores = unchecked(model, pipeline, frame)
    wrong = ~np.isfinite(scores)
    if wrong.any():
        raise DataError(
            f"{int(wrong.sum())} of {scores.size} scores are not finite numbers: the model cannot be judged or used."
        )
    return scores


def unchecked(model: Model, pipeline: Any, frame: pd.DataFrame) -> np.ndarray:
    """`score_features`, without a check that the scores are finite."""
    wanted = getattr(pipeline, "feature_names_in_", None)
    if wanted is not None:
        absent = [str(name) for name in wanted if name not in frame.columns]
        if absent:
            raise DataError(
                f"the model needs the features {', '.join(absent)}, which features.build of {model.name} does not "
                f"return{did_you_mean(absent[0], map(str, frame.columns))}"
            )
        frame = frame[list(wanted)]
    try:
        with get_cached_controller().limit(limits=1):
            if model.data.label.task is Task.REGRESSION:
                return np.asarray(pipeline.predict(frame), dtype=np.float64).reshape(len(frame))
            table = np.asarray(pipeline.predict_proba(frame), dtype=np.float64)
    except ValueError as problem:
        said = str(problem).splitlines()[0]
        if "NaN" in said:
            raise DataError(
                f"a model of {model.name} cannot score a row with a missing feature ({said}), and such rows may come: "
                "put a SimpleImputer before its estimator in candidates.py."
            ) from problem
        if "infinity" in said:
            endless = frame.columns[[frame[c].dtype != object and np.isinf(frame[c]).any() for c in frame.columns]]
            raise DataError(
                f"a model of {model.name} cannot score a row with an infinite feature ({', '.join(endless)}): let an "
                "expectation send such rows to quarantine, or make it missing in features.py."
            ) from problem
        raise
    return arranged(table, output_columns(model, pipeline))


def output_columns(model: Model, pipeline: Any) -> list[int | None]:
    """Which column of ``predict_proba`` (and of the ONNX output) is which class; empty for a regression.

    Binary: one entry, the column of the positive class. Several classes: one for each of ``label.classes``, None for a
    class that the pipeline was fitted without.
    """
    label = model.data.label
    if label.task is Task.REGRESSION:
        return []
    known = {int(c): at for at, c in enumerate(pipeline.classes_)}
    if label.classes is not None:
        return [known.get(at) for at in range(len(label.classes))]
    if 1 not in known:
        raise DataError(f"the model knows only the classes {list(known)}: it was fitted without the positive one.")
    return [known[1]]


def arranged(table: np.ndarray, columns: Sequence[int | None]) -> np.ndarray:
    """Scores from a pipeline's output: (rows,) of a regression and a binary label, else (rows, classes).

    A class without a column (`output_columns`) has probability 0.
    """
    if not columns:
        return table.reshape(len(table))
    if len(columns) == 1:
        return table[:, columns[0]]
    scores = np.zeros((len(table), len(columns)), dtype=table.dtype)
    for at, column in enumerate(columns):
        if column is not None:
            scores[:, at] = table[:, column]
    return scores


def metrics(model: Model, y: np.ndarray, p: np.ndarray) -> dict[str, float]:
    """All metrics of the model's task; nan if a metric is not defined on these rows.

    Parameters
    ----------
    y : labels as `dataset.labels` gives them, of shape (rows,).
    p : scores as `score` gives them.

    Raises
    ------
    DataError : no rows, shapes that do not match, or a score that is not finite.
    """
    classes = model.data.label.classes
    y, p = np.asarray(y, dtype=np.int64 if classes else np.float64), np.asarray(p, dtype=np.float64)
    if len(y) == 0 or p.shape != ((len(y), len(classes)) if classes else y.shape):
        raise DataError(f"cannot compare {p.shape} scores with {y.shape} labels.")
    if not np.isfinite(p).all():
        raise DataError(f"{int((~np.isfinite(p)).sum())} of {p.size} scores are not finite numbers.")
    return {name: m.compute(y, p) for name, m in metrics_of(model).items()}


def named(model: Model, name: str, scores: np.ndarray) -> dict[str, np.ndarray]:
    """Scores as named columns of a table: ``name``, or ``name.<class>`` for each of several classes."""
    if scores.ndim == 1:
        return {name: scores}
    return {f"{name}.{c}": scores[:, at] for at, c in enumerate(dataset.class_names(model))}


def read_named(model: Model, name: str, frame: pd.DataFrame) -> np.ndarray:
    """The scores that `named` has written into a table."""
    classes = dataset.class_names(model)
    columns = [f"{name}.{c}" for c in classes] if classes else name
    return frame[columns].to_numpy(dtype=np.float64)


def by_day(model: Model, frame: pd.DataFrame, p: np.ndarray) -> pd.DataFrame:
    """One row for each partition of ``frame``: partition, rows, means of label and score, every metric (nan if
    undefined).

    The means are ``label_mean`` and ``score_mean``; of several classes the shares ``label_share.<class>`` and mean
    probabilities ``score_share.<class>``.
    """
    y = dataset.labels(model, frame)
    days = frame["partition"].to_numpy(dtype=object)
    found: list[dict[str, Any]] = []
    for day in sorted(set(days)):
        here = days == day
        means = _means(model, y[here], p[here])
        found.append({"partition": day, "rows": int(here.sum()), **means, **metrics(model, y[here], p[here])})
    return pd.DataFrame(found)


def _means(model: Model, y: np.ndarray, p: np.ndarray) -> dict[str, float]:
    if p.ndim == 1:
        return {"label_mean": float(np.mean(y)), "score_mean": float(np.mean(p))}
    scored = zip(dataset.class_names(model), p.mean(axis=0), strict=True)
    shares = {f"label_share.{name}": share for name, share in label_shares(model, y).items()}
    return {**shares, **{f"score_share.{name}": float(mean) for name, mean in scored}}


def label_shares(model: Model, y: np.ndarray) -> dict[str, float]:
    """The share of each class in the labels of a multi-class model."""
    names = dataset.class_names(model)
    return dict(zip(names, (np.bincount(y, minlength=len(names)) / len(y)).tolist(), strict=True))
