"""Ways in which the rows that a night learns from are damaged: the faults that a gate must find.

Each is a pure function of the rows of a night's snapshot. Its result still satisfies the contract of the model (key,
event time, partition, types, what may be missing), so no expectation about a single row would have rejected it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from include.spec import Column, ColumnType, Model, Task
from include.training import dataset

MOST = 0.9  # of the labels of one class are lost
NOISE = 0.1  # of a leak, in standard deviations of the label

Apply = Callable[[Model, pd.DataFrame, np.random.Generator], pd.DataFrame]


@dataclass(frozen=True)
class Kind:
    """One kind of damage: its name, what happened, and the function that does it to rows."""

    name: str
    what: str
    apply: Apply
    needs: Callable[[Model], Any] = lambda model: True


def labels_shuffled(model: Model, rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Every label is that of another row; unlabelled rows stay so."""
    return _permuted(rows, [model.data.label.column], np.flatnonzero(_labelled(model, rows)), rng)


def labels_inverted(model: Model, rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Classes swapped (of several: each becomes the next one); numbers mirrored around the middle of their range."""
    label, there = model.data.label, _labelled(model, rows)
    values = rows[label.column].to_numpy(copy=True)
    known = values[there]
    if label.task is Task.REGRESSION:
        values[there] = known.min() + known.max() - known
    else:
        classes = list(label.classes or dict.fromkeys([label.positive, *pd.unique(known)]))
        following = dict(zip(classes, [*classes[1:], classes[0]], strict=True))
        values[there] = [following[value] for value in known]
    return _with(rows, label.column, values)


def labels_lost(model: Model, rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Nine of ten labels of one class (binary: the positive one, of several: the rarest; numbers: those above the
    median) are missing; where the label may not be missing, the rows are."""
    label, there = model.data.label, np.flatnonzero(_labelled(model, rows))
    y = dataset.labels(model, rows.iloc[there])
    if label.task is Task.REGRESSION:
        chosen = y > np.median(y)
    elif label.classes is not None:
        chosen = y == min(np.unique(y), key=lambda at: int((y == at).sum()))
    else:
        chosen = y == 1
    lost = there[chosen & (rng.random(len(y)) < MOST)]
    if not model.data.column(label.column).nullable:
        return rows.drop(index=rows.index[lost]).reset_index(drop=True)
    return _emptied(rows, model.data.column(label.column), lost)


def newest_labels_filled(model: Model, rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """The labels of the newest days (as many as a holdout has) are all the most frequent class, or 0."""
    label, newest = model.data.label, _newest(model, rows) & _labelled(model, rows)
    values = rows[label.column].to_numpy(copy=True)
    frequent = 0 if label.task is Task.REGRESSION else rows.loc[_labelled(model, rows), label.column].mode().iloc[0]
    values[newest] = frequent
    return _with(rows, label.column, values)


def inputs_shuffled(model: Model, rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """All numeric inputs of a row are those of another row."""
    return _permuted(rows, [c.name for c in numeric_inputs(model)], np.arange(len(rows)), rng)


def newest_inputs_shuffled(model: Model, rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """`inputs_shuffled`, among the newest days only (as many as a holdout has)."""
    return _permuted(rows, [c.name for c in numeric_inputs(model)], np.flatnonzero(_newest(model, rows)), rng)


def inputs_missing(model: Model, rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Half of the nullable inputs are missing in every row."""
    for column in _half(nullable_inputs(model), rng):
        rows = _emptied(rows, column, np.arange(len(rows)))
    return rows


def units_changed(model: Model, rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Half of the numeric inputs in another unit: 1.8 x + 32, rounded if it is a whole number."""
    for column in _half(numeric_inputs(model), rng):
        values = rows[column.name].astype(np.float64) * 1.8 + 32
        if column.type is ColumnType.INTEGER:
            values = values.round()
        rows = rows.assign(**{column.name: values.astype(rows[column.name].dtype)})
    return rows


def leak(model: Model, rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """One numeric input contains the label (and a little noise), with its own mean and spread; in these rows only, so
    that the model learns from something that no request contains."""
    numbers = numeric_inputs(model)
    fractions = [c for c in numbers if c.type is ColumnType.NUMBER] or numbers
    column, there = fractions[int(rng.integers(len(fractions)))], _labelled(model, rows)
    y = dataset.labels(model, rows.loc[there]).astype(np.float64)
    standard = (y - y.mean()) / (y.std() or 1.0) + rng.normal(0, NOISE, len(y))
    own = rows[column.name].astype(np.float64)
    spread, middle = own.std(), own.mean()
    values = own.to_numpy(copy=True)
    values[there] = standard * (spread if spread > 0 else 1.0) + (middle if np.isfinite(middle) else 0.0)
    if column.type is ColumnType.INTEGER:
        values = values.round()
    return rows.assign(**{column.name: values.astype(_numbers(rows[column.name]))})


def stuck(model: Model, rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """A source that is stuck: after the oldest third of a night's days, every day has the values of one of that third,
    row by row; all but partition, key and event time."""
    training = model.training
    days = sorted(rows["partition"].unique())
    days = days[-(training.window_days + training.selection_days + training.holdout_days) :]
    third = max(1, len(days) // 3)
    places = {day: np.asarray(at) for day, at in rows.groupby("partition").indices.items()}
    take = np.arange(len(rows))
    for number, day in enumerate(days[third:]):
        here, donor = places[day], places[days[number % third]]
        take[here] = donor[np.arange(len(here)) % len(donor)]
    kept = {"partition", *model.data.key, model.data.event_time}
    changed = [c.name for c in model.data.columns if c.name in rows and c.name not in kept]
    return rows.assign(**{name: rows[name].array.take(take) for name in changed})


KINDS = {
    kind.name: kind
    for kind in (
        Kind("labels shuffled", "every label is that of another row", labels_shuffled),
        Kind("labels inverted", "classes swapped, numbers mirrored", labels_inverted),
        Kind("labels lost", "nine of ten labels of one class (numbers: above the median) are gone", labels_lost),
        Kind("inputs shuffled", "numeric inputs joined by a wrong key", inputs_shuffled, lambda m: numeric_inputs(m)),
        Kind("inputs missing", "half of the nullable inputs are empty", inputs_missing, lambda m: nullable_inputs(m)),
        Kind("units changed", "half of the numeric inputs as 1.8 x + 32", units_changed, lambda m: numeric_inputs(m)),
        Kind("leak", "a numeric input has the label in it, in training only", leak, lambda m: numeric_inputs(m)),
        Kind("stuck", "every newer day repeats one of the oldest third of the window", stuck),
        Kind("newest labels", "the labels of the holdout's days were filled with the commonest", newest_labels_filled),
        Kind(
            "newest inputs", "inputs shuffled, on the holdout's days only", newest_inputs_shuffled,
            lambda m: numeric_inputs(m),
        ),
    )
}  # fmt: skip
"""Every way, by its name. The last two happen to days that only the release model learns from: no comparison of twins
sees them, so only the guards of the refit can find them."""


def possible(model: Model) -> list[str]:
    """The kinds that can happen to a model."""
    return [kind.name for kind in KINDS.values() if kind.needs(model)]


def numeric_inputs(model: Model) -> list[Column]:
    """Numbers that features may be built from and that are not part of the key."""
    return [c for c in model.data.inputs if _plain(model, c) and c.type in (ColumnType.INTEGER, ColumnType.NUMBER)]


def nullable_inputs(model: Model) -> list[Column]:
    """What features may be built from and may be missing."""
    return [c for c in model.data.inputs if _plain(model, c) and c.nullable]


def _plain(model: Model, column: Column) -> bool:
    return column.name not in model.data.key and column.name != model.data.event_time


def _half(columns: list[Column], rng: np.random.Generator) -> list[Column]:
    chosen = sorted(rng.permutation(len(columns))[: (len(columns) + 1) // 2])
    return [columns[at] for at in chosen]


def _labelled(model: Model, rows: pd.DataFrame) -> np.ndarray:
    return rows[model.data.label.column].notna().to_numpy()


def _newest(model: Model, rows: pd.DataFrame) -> np.ndarray:
    """Which rows are of the newest days, as many as a holdout has."""
    days = sorted(rows["partition"].unique())[-model.training.holdout_days :]
    return rows["partition"].isin(days).to_numpy()


def _permuted(rows: pd.DataFrame, names: list[str], among: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """The same permutation of the rows at ``among`` for each of these columns."""
    take = np.arange(len(rows))
    take[among] = among[rng.permutation(len(among))]
    return rows.assign(**{name: rows[name].array.take(take) for name in names})


def _with(rows: pd.DataFrame, name: str, values: np.ndarray) -> pd.DataFrame:
    return rows.assign(**{name: pd.Series(values, index=rows.index).astype(rows[name].dtype)})


def _emptied(rows: pd.DataFrame, column: Column, at: np.ndarray) -> pd.DataFrame:
    """The column without its values at these places, in the type that the lake gives a column with gaps."""
    values = rows[column.name]
    if column.type is ColumnType.INTEGER:
        values = values.astype(_numbers(values) if values.dtype.kind == "f" else np.float64)
    elif column.type is ColumnType.BOOLEAN:
        values = values.astype(object)
    values = values.copy()
    values.iloc[at] = None
    return rows.assign(**{column.name: values})


def _numbers(values: pd.Series) -> Any:
    """The type of a column of numbers; float if it had no value at all."""
    return values.dtype if values.dtype.kind in "if" else np.float64
