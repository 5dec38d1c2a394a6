"""Which days a fit may see, and what an estimator gets: raw rows of a snapshot become features and labels here."""

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

SERVES_DAYS = 28  # a fit on all days of a replayed history has not seen the copies of this many days after it
Build = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]


def windows(model: Model, as_of_key: str, window_days: Window | None = None) -> Windows:
    """The days of a run about ``as_of_key``; nothing before ``model.start`` is ever named.

    Parameters
    ----------
    window_days : days of training data; ``None``: the model's ``training.window_days``; ``"all"``: from
        ``model.start``, or as far back as a replayed history does not repeat itself (``data.repeats_after``).

    Raises
    ------
    DataError : the model's first day leaves no day to train on before the selection days.
    """
    length = model.training.window_days if window_days is None else window_days
    if length != "all" and (isinstance(length, bool) or not isinstance(length, int) or length < 1):
        raise ConfigurationError(f'window_days is {length!r}: give a number of days (1 or more) or "all".')
    as_of = date.fromisoformat(as_of_key)
    holdout_first = as_of - timedelta(days=model.training.holdout_days - 1)
    selection_first = holdout_first - timedelta(days=model.training.selection_days)

    earliest = model.start
    if model.data.repeats_after is not None:
        # The copies of the holdout's days are not trained on, nor those of the days that the release model will serve:
        # the next one, or if only the replay ends the window, of as many as leave window_days of it.
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
            f"{model.name} starts on {model.start} and the days to select on begin on {selection_first}: no day is "
            "left to train on. The first as-of that can be trained is "
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
    """The rows that have a label; the others are never trained on and never scored."""
    return frame.loc[frame[model.data.label.column].notna()]


def labels(model: Model, frame: pd.DataFrame) -> np.ndarray:
    """The label of each row, as an array of shape (rows,).

    float64 values of a regression; int64 of a classification: 1 (``label.positive``) or 0 if the label is binary, else
    the index of the class in ``label.classes``.

    Raises
    ------
    DataError : a missing or infinite label, or one that is not a declared class (named, with its count).
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
                "nothing can be learned from them. Let an expectation send such rows to quarantine."
            )
        return numbers
    values = column.to_numpy(dtype=object)
    if label.classes is not None:
        return _class_indices(model, values)
    classes = set(values.tolist())
    if len(classes | {label.positive}) > 2:
        shown = ", ".join(sorted(map(repr, classes))[:6])
        raise DataError(
            f"label {label.column!r} of {model.name} has the values {shown}: a binary label has two, one of them "
            f"label.positive ({label.positive!r}). Declare three classes or more in label.classes."
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
    """The classes of a multi-class label as text, in their order; empty for a binary label and a regression."""
    return tuple(map(str, model.data.label.classes or ()))


def input_arrays(model: Model, frame: pd.DataFrame) -> dict[str, np.ndarray]:
    """The columns that `features.build` may see, those with ``known="before"`` (`include.scoring.columns`).

    A nullable column that is absent from ``frame`` is all missing.
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
    """`build` of a `features.py` given as bytes: the code in a champion's bundle, whatever the folder contains today.

    Raises
    ------
    IntegrityError : the code does not run, or has no `build`.
    """
    module = ModuleType(f"perennial_features_{hashlib.sha256(where.encode() + source).hexdigest()[:16]}")
    module.__file__ = where
    sys.modules[module.__name__] = module  # dataclasses and the like look their module up
    try:
        exec(compile(source, where, "exec"), module.__dict__)
        build: Build = module.__dict__["build"]
    except Exception as problem:
        sys.modules.pop(module.__name__, None)
        raise IntegrityError(f"{where} cannot be used: {type(problem).__name__}: {problem}") from problem
    return build


def features_frame(model: Model, frame: pd.DataFrame, build: Build | None = None) -> pd.DataFrame:
    """What an estimator is fitted on: text columns as object (missing is ``""``), everything else float32.

    Parameters
    ----------
    build : the features code to use; ``None``: that of the model's folder. A champion's twin gets the code of its own
        bundle, so that a change of `features.py` does not change what an older model sees.

    Raises
    ------
    ConfigurationError : `build` returned something other than named 1-d arrays, one value for each row.
    """
    return frame_of(model, (build or builder(model))(input_arrays(model, frame)), len(frame), frame.index)


def frame_of(model: Model, built: Any, rows: int, index: pd.Index | None = None) -> pd.DataFrame:
    """What `features.build` returned, checked and typed."""
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
                f"each feature is a 1-d array with one value for each row."
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
                f"features.build of {model.name} returned {name!r} of type {array.dtype}: a feature is text or a "
                "number."
            )
    return pd.DataFrame(columns, index=index)


def sort(model: Model, frame: pd.DataFrame) -> pd.DataFrame:
    """Rows in the order of their partition and key, in which every fit sees them: the order changes a model's
    bytes."""
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
