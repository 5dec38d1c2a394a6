"""Scores and metrics: what a model says about rows, and how good that was, on the whole and by day."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from include.errors import ConfigurationError, DataError, did_you_mean
from include.spec import Model, Task
from include.training import dataset, scorers
from include.training.scorers import Metric, mean

_LEAST = 1e-15
"""What a probability of 0 counts as in the log loss: a class that a model never saw costs 34.5, not infinity."""


def _log_loss(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    if p.ndim == 2:
        return np.asarray(-np.log(np.maximum(p[np.arange(len(y)), y], _LEAST)))
    clipped = np.clip(p, _LEAST, 1 - _LEAST)
    return np.asarray(-np.where(y == 1, np.log(clipped), np.log1p(-clipped)))


def _roc_auc(positive: np.ndarray, scores: np.ndarray) -> float:
    """The share of pairs in which the positive row has the higher score, ties counting half (Mann and Whitney 1947).

    As scikit-learn's, without its checks of the input, which would take most of the time of a metric by day and class.
    """
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place]
    above = int(positive.sum())
    return float((ranks[positive].sum() - above * (above + 1) / 2) / (above * (len(positive) - above)))


def _average_precision(positive: np.ndarray, scores: np.ndarray) -> float:
    """The mean precision at each positive row, from the highest score down; as scikit-learn's, without its checks."""
    _, place = np.unique(-scores, return_inverse=True)
    found, rows = np.bincount(place[positive], minlength=place.max() + 1), np.bincount(place)
    precision = np.cumsum(found) / np.cumsum(rows)
    return float(np.sum(found * precision) / positive.sum())


def _ranked(compute: Callable[[np.ndarray, np.ndarray], float]) -> Callable[[np.ndarray, np.ndarray], float]:
    """A ranking metric; of several classes the plain mean of one against the rest, over the classes that are there.

    It is not defined on rows of one class only: nan, never a number that could read as good.
    """

    def computed(y: np.ndarray, p: np.ndarray) -> float:
        there = np.unique(y)
        if len(there) < 2:
            return float("nan")
        if p.ndim == 1:
            return compute(y == 1, p)
        return float(np.mean([compute(y == at, p[:, at]) for at in there]))

    return computed


def _brier(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    """Binary: the mean of (label - score)^2, 0 to 1. Several classes: its sum over the classes, 0 to 2 (Brier 1950)."""
    if p.ndim == 2:
        return np.asarray(np.sum((p - np.eye(p.shape[1])[y]) ** 2, axis=1))
    return np.asarray((y - p) ** 2)


def _accuracy(y: np.ndarray, p: np.ndarray) -> np.ndarray:
    right = p.argmax(axis=1) == y if p.ndim == 2 else (p >= 0.5) == (y == 1)
    return np.asarray(right, dtype=np.float64)


def _calibration_error(y: np.ndarray, p: np.ndarray) -> float:
    """Mean |share of positive labels - mean score| over ten bins of equal size by score, weighted by rows (Naeini,
    Cooper and Hauskrecht 2015, with equal mass as in Nixon et al. 2019); of several classes the mean of one against the
    rest. It is never 0 on few rows: compare two models on the same rows, not with 0.
    """
    if p.ndim == 2:
        return float(np.mean([_calibration_error((y == at).astype(float), p[:, at]) for at in range(p.shape[1])]))
    values, tied = np.unique(p, return_inverse=True)
    return binned_gap(np.bincount(tied, minlength=len(values)).astype(float), np.bincount(tied, y - p))


def binned_gap(rows: np.ndarray, gaps: np.ndarray, bins: int = 10) -> float:
    """The calibration error from rows and summed gaps (label - score) of each score, in ascending order of the scores.

    Equal scores share their gap evenly where a bin ends among them, so the order of the rows does not matter.
    """
    total = int(rows.sum())
    edges = np.cumsum([0, *(total // bins + (at < total % bins) for at in range(bins))])
    summed = np.interp(edges, np.insert(np.cumsum(rows), 0, 0.0), np.insert(np.cumsum(gaps), 0, 0.0))
    return float(np.abs(np.diff(summed)).sum() / total)


def _pinball(level: float) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The loss of a forecast of the quantile ``level`` (Koenker and Bassett 1978); at .5 half of the absolute error."""
    return lambda y, p: np.maximum(level * (y - p), (level - 1) * (y - p))


def _r2(y: np.ndarray, p: np.ndarray) -> float:
    spread = float(np.sum((y - y.mean()) ** 2))
    return 1 - float(np.sum((y - p) ** 2)) / spread if spread > 0 else float("nan")


METRICS: dict[str, Metric] = {
    "log_loss": mean(_log_loss, False, Task.CLASSIFICATION),
    "roc_auc": Metric(_ranked(_roc_auc), True, Task.CLASSIFICATION),
    "average_precision": Metric(_ranked(_average_precision), True, Task.CLASSIFICATION),
    "brier": mean(_brier, False, Task.CLASSIFICATION),
    "accuracy": mean(_accuracy, True, Task.CLASSIFICATION),
    "calibration_error": Metric(_calibration_error, False, Task.CLASSIFICATION),
    "mae": mean(lambda y, p: np.abs(y - p), False, Task.REGRESSION),
    "rmse": Metric(lambda y, p: float(np.sqrt(np.mean((y - p) ** 2))), False, Task.REGRESSION),
    "r2": Metric(_r2, True, Task.REGRESSION),
    "pinball_10": mean(_pinball(0.1), False, Task.REGRESSION),
    "pinball_50": mean(_pinball(0.5), False, Task.REGRESSION),
    "pinball_90": mean(_pinball(0.9), False, Task.REGRESSION),
}


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


def gain(metric: Metric, value: float, reference: float) -> float:
    """How much better ``value`` is than ``reference``, in units of the metric: positive is better, whatever the
    metric."""
    return value - reference if metric.larger_is_better else reference - value


def score(model: Model, pipeline: Any, raw_frame: pd.DataFrame, build: dataset.Build | None = None) -> np.ndarray:
    """The score of each row: the probability of ``label.positive``, that of every class, or the predicted value.

    Parameters
    ----------
    build : features code to use instead of that of the model's folder (a champion's own).

    Returns
    -------
    float64 array of shape (rows,); of shape (rows, classes), in the order of ``label.classes``, where those are
    declared.

    Raises
    ------
    DataError : a score that is nan or infinite; a feature that the pipeline wants and `build` does not return.
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
    """`score_features`, with whatever numbers the pipeline gives."""
    wanted = getattr(pipeline, "feature_names_in_", None)
    if wanted is not None:
        absent = [str(name) for name in wanted if name not in frame.columns]
        if absent:
            raise DataError(
                f"the model wants the features {', '.join(absent)}, which features.build of {model.name} does not "
                f"return{did_you_mean(absent[0], map(str, frame.columns))}"
            )
        frame = frame[list(wanted)]
    try:
        with threadpool_limits(1):
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
    """All metrics of the model's task; nan where a metric is not defined on these rows.

    Parameters
    ----------
    y : labels as `dataset.labels` gives them, of shape (rows,).
    p : scores as `score` gives them.

    Raises
    ------
    DataError : no rows, shapes that do not fit, or a score that is not finite.
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
