"""Select the days of each fit, and convert the raw rows of a snapshot to features and labels."""

from __future__ import annotations

import hashlib
import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from include import catalog
from include.errors import ConfigurationError, DataError, IntegrityError
from include.scoring.columns import columns_for
from include.spec import Model, Task
from include.spelling import did_you_mean
from include.training.plan import Span, Window, Windows

log = logging.getLogger(__name__)

SERVES_DAYS = 28  # with window_days "all" in a replayed history, copies of this many future days are not trained on
Build = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]


def windows(model: Model, as_of_key: str, window_days: Window | None = None) -> Windows:
    """The days of a run as of ``as_of_key``; no window begins before ``model.start``.

    Parameters
    ----------
    window_days : days of training data; ``None``: the model's ``training.window_days``; ``"all"``: from
        ``model.start``, but in a replayed history only as far back as days do not repeat (``data.repeats_after``).

    Raises
    ------
    DataError : there is no day to train on between ``model.start`` and the selection days.
    """
    length = model.training.window_days if window_days is None else window_days
    if length != "all" and (isinstance(length, bool) or not isinstance(length, int) or length < 1):
        raise ConfigurationError(f'window_days is {length!r}: give a number of days (1 or more) or "all".')
    as_of = date.fromisoformat(as_of_key)
    holdout_first = as_of - timedelta(days=model.training.holdout_days - 1)
    selection_first = holdout_first - timedelta(days=model.training.selection_days)

    earliest = model.start
    if model.data.repeats_after is not None:
        # Do not train on copies of the holdout days or of the days that the release model will serve. With a fixed
        # window, that is the next day; with "all", up to SERVES_DAYS days, as long as window_days days remain.
        training = model.training
        spare = model.data.repeats_after - training.holdout_days - training.selection_days - training.window_days
        ahead = max(1, min(SERVES_DAYS, spare)) if length == "all" else 1
        earliest = max(earliest, as_of - timedelta(days=model.data.repeats_after - 1 - ahead))

    def fit_until(last: date) -> Span:
        first = earliest if length == "all" else max(earliest, last - timedelta(days=length - 1))
        return first.isoformat(), last.isoformat()

    day = timedelta(days=1)
    if selection_first - day < model.start:
        raise DataError(
            f"{model.name} starts on {model.start} and the selection days begin on {selection_first}: there is no "
            "day left to train on. The first as-of that can be trained is "
            f"{model.start + timedelta(days=model.training.holdout_days + model.training.selection_days)}."
        )
    return Windows(
        train=fit_until(selection_first - day),
        selection=(selection_first.isoformat(), (holdout_first - day).isoformat()),
        holdout=(holdout_first.isoformat(), as_of_key),
        twin=fit_until(holdout_first - day),
        release=fit_until(as_of),
    )


def between(frame: pd.DataFrame, span: Iterable[str]) -> pd.DataFrame:
    """The rows whose partition is in ``span`` (first and last key, both included)."""
    first, last = span
    partition = frame["partition"].to_numpy(dtype=object)
    return frame.loc[(partition >= first) & (partition <= last)]


def labelled(model: Model, frame: pd.DataFrame) -> pd.DataFrame:
    """The rows with a label; rows without one are neither used for training nor scored."""
    return frame.loc[frame[model.data.label.column].notna()]


def labels(model: Model, frame: pd.DataFrame) -> np.ndarray:
    """The label of each row, as an array of shape (rows,).

    Regression: float64. Binary classification: int64, 1 for ``label.positive``, otherwise 0. Multi-class: int64, the
    index of the class in ``label.classes``.

    Raises
    ------
    DataError : a label is missing, infinite or not a declared class (the message shows the values and their counts).
    """
    label = model.data.label
    column = frame[label.column]
    if column.isna().any():
        raise DataError(f"{int(column.isna().sum())} of {len(column)} rows have no {label.column!r}: drop them first.")
    if label.task is Task.REGRESSION:
        numbers = column.to_numpy(dtype=np.float64)
        if not np.isfinite(numbers).all():
            raise DataError(
                f"{int((~np.isfinite(numbers)).sum())} of {len(numbers)} rows have an infinite {label.column!r}: "
                "a model cannot be trained on them. Add an expectation that moves such rows to quarantine."
            )
        return numbers
    values = column.to_numpy(dtype=object)
    if label.classes is not None:
        return _class_indices(model, values)
    classes = set(values.tolist())
    if len(classes | {label.positive}) > 2:
        shown = ", ".join(sorted(map(repr, classes))[:6])
        raise DataError(
            f"label {label.column!r} of {model.name} has the values {shown}: a binary label has two values, "
            f"including label.positive ({label.positive!r}). Declare three or more classes in label.classes."
        )
    return (values == label.positive).astype(np.int64)


def _class_indices(model: Model, values: np.ndarray) -> np.ndarray:
    """The index in ``label.classes`` of each value."""
    label = model.data.label
    classes = label.classes or ()
    index = {value: at for at, value in enumerate(classes)}
    found = np.array([index.get(value, -1) for value in values.tolist()], dtype=np.int64)
    if (found < 0).any():
        unknown = Counter(values[found < 0].tolist()).most_common()
        shown = ", ".join(f"{value!r} ({count} {'row' if count == 1 else 'rows'})" for value, count in unknown[:5])
        near = did_you_mean(str(unknown[0][0]), map(str, classes))
        raise DataError(
            f"label {label.column!r} of {model.name} has values that are not declared classes: {shown}"
            f"{f' and {len(unknown) - 5} more' if len(unknown) > 5 else ''}. label.classes declares "
            f"{', '.join(map(repr, classes))}{near if 'did you mean' in near else '.'}"
        )
    return found


def class_names(model: Model) -> tuple[str, ...]:
    """The classes of a multi-class label as text, in declared order; empty for binary labels and regression."""
    return tuple(map(str, model.data.label.classes or ()))


def input_arrays(model: Model, frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """The input columns of `features.build`: those with ``known="before"`` (`include.scoring.columns`).

    If a nullable column is absent from ``frame``, all its values are missing.
    """
    absent = [c.name for c in model.data.inputs if c.nullable and c.name not in frame.columns]
    if absent:
        frame = frame.assign(**{name: pd.Series(None, index=frame.index, dtype=object) for name in absent})
    return columns_for([(c.name, c.type.value) for c in model.data.inputs], frame)


def builder(model: Model) -> Build:
    """The model folder's `features.build`."""
    build: Build = catalog.module(model.name, "features").build
    return build


def builder_from_source(source: bytes, where: str) -> Build:
    """`build` of a `features.py` given as bytes: the code from a champion's bundle, not from the current folder.

    Raises
    ------
    IntegrityError : the code cannot be run or does not define `build`.
    """
    module = ModuleType(f"perennial_features_{hashlib.sha256(where.encode() + source).hexdigest()[:16]}")
    module.__file__ = where
    sys.modules[module.__name__] = module  # dataclasses, for example, look up their module
    try:
        exec(compile(source, where, "exec"), module.__dict__)
        build: Build = module.__dict__["build"]
    except Exception as problem:
        sys.modules.pop(module.__name__, None)
        raise IntegrityError(f"{where} cannot be used: {type(problem).__name__}: {problem}") from problem
    return build


def features_frame(model: Model, frame: pd.DataFrame, build: Build | None = None) -> pd.DataFrame:
    """The features of an estimator: text columns as object (missing values are ``""``), all others as float32.

    Parameters
    ----------
    build : the feature function; ``None``: `features.build` of the model's folder. A champion's twin uses the code in
        its own bundle, so that changes to `features.py` do not change the features of older models.

    Raises
    ------
    ConfigurationError : `build` did not return named 1-d arrays with one value for each row.
    """
    return frame_of(model, (build or builder(model))(input_arrays(model, frame)), len(frame), frame.index)


def frame_of(model: Model, built: Any, rows: int, index: pd.Index | None = None) -> pd.DataFrame:
    """The result of `features.build` as a DataFrame, after checks of shape and type."""
    if not isinstance(built, Mapping) or not built:
        raise ConfigurationError(
            f"features.build of {model.name} must return a dict of name -> 1-d array, not {type(built).__name__}."
        )
    columns: dict[str, pd.Series] = {}
    for name, values in built.items():
        array = np.asarray(values)
        if array.ndim != 1 or len(array) != rows:
            raise ConfigurationError(
                f"features.build of {model.name} returned {name!r} of shape {array.shape} for {rows} rows: "
                f"each feature must be a 1-d array with one value for each row."
            )
        if array.dtype.kind in "OUST":
            texts = np.asarray(array, dtype=object)
            missing = pd.isna(texts)
            if missing.any():
                texts = texts.copy()
                texts[missing] = ""
            columns[str(name)] = pd.Series(texts, index=index, dtype=object)
        elif array.dtype.kind in "fiub":
            columns[str(name)] = pd.Series(array.astype(np.float32), index=index)
        else:
            raise ConfigurationError(
                f"features.build of {model.name} returned {name!r} of type {array.dtype}: a feature must be "
                "text or a number."
            )
    return pd.DataFrame(columns, index=index)


def sort(model: Model, frame: pd.DataFrame) -> pd.DataFrame:
    """The rows sorted by partition and key. Every fit uses this order, because the order changes the bytes of a
    model."""
    return frame.sort_values(["partition", *model.data.key, model.data.event_time], kind="stable", ignore_index=True)


def capped(model: Model, frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """At most ``training.max_rows`` rows: a sample drawn with ``seed``, in the original order."""
    most = model.training.max_rows
    if len(frame) <= most:
        return frame
    chosen = np.sort(np.random.default_rng(seed).choice(len(frame), size=most, replace=False))
    log.warning(
        "Fitting %s on a sample of %d of %d rows (seed %d): training.max_rows is %d.",
        model.name,
        most,
        len(frame),
        seed,
        most,
    )
    return frame.iloc[chosen]
