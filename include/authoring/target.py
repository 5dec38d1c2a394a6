"""What is predicted: classification or regression, its classes, and whether that can be learned at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from include.authoring.findings import Findings, Role
from include.authoring.labels import hint, settle_spelling
from include.errors import DataError
from include.spec import ColumnType, Task
from include.spelling import did_you_mean

FEW_NUMBERS = 10  # whole numbers with at most so many values are classes, not amounts
MOST_CLASSES = 20
ROWS_OF_A_CLASS = 30
POSITIVE = ("1", "true", "yes", "y", "t", "ja", "oui", "positive", "pos", "bad", "fraud", "churn", "default")


def settle_target(found: Findings) -> None:
    """Set task, positive class or classes, and the role of the target; drop nothing.

    Raises
    ------
    DataError : one value only, hardly any labels, too many or too rare classes, or a type that cannot be predicted.
    """
    column = found.column(found.target)
    if column.role is Role.LEFT_OUT:
        raise DataError(f"the target {column.original} {column.why}: there is nothing to learn from")
    if column.type in (ColumnType.TIMESTAMP, ColumnType.DATE):
        raise DataError(f"the target {column.original} is a time: predict a number of hours or days instead")
    settle_spelling(found)
    labels = found.rows[found.target].dropna()
    values = labels.unique()
    if len(values) < 2:
        raise DataError(f"the target {column.original} has one value only ({values[0]!r}): there is nothing to learn")
    found.task = _task(found, labels, len(values))
    found.change(found.target, Role.TARGET, "is the target")
    missing = len(found.rows) - len(labels)
    if missing:
        found.say(
            "Target",
            f"{missing:,} of {len(found.rows):,} rows have no {column.original}: they are kept in the lake, and "
            "neither trained on nor judged.",
        )
    if found.task is Task.CLASSIFICATION:
        _settle_classes(found, labels)
    else:
        _settle_regression(found, labels)


def _task(found: Findings, labels: pd.Series, distinct: int) -> Task:
    column = found.column(found.target)
    name = column.original
    if found.request.task is Task.REGRESSION and column.type not in (ColumnType.INTEGER, ColumnType.NUMBER):
        raise DataError(f"TASK=regression, but {name} holds {column.type} values, e.g. {labels.iloc[0]!r}")
    if found.request.task is not None:
        found.say("Target", f"{found.request.task}, as given.")
        return found.request.task
    if column.type in (ColumnType.STRING, ColumnType.BOOLEAN):
        kind = "true or false" if column.type is ColumnType.BOOLEAN else f"a text with {distinct} values"
        found.say("Target", f"Classification: {name} is {kind}.")
        return Task.CLASSIFICATION
    if column.type is ColumnType.INTEGER and distinct <= FEW_NUMBERS:
        found.say(
            "Target",
            f"Classification: {name} holds whole numbers with {distinct} values only"
            + (" (TASK=regression if they are amounts)." if distinct > 2 else "."),
        )
        return Task.CLASSIFICATION
    found.say("Target", f"Regression: {name} is a number with {distinct:,} values.")
    return Task.REGRESSION


def _settle_classes(found: Findings, labels: pd.Series) -> None:
    column = found.column(found.target)
    if column.type is ColumnType.NUMBER:
        raise DataError(f"TASK=classification, but {column.original} holds fractions, e.g. {labels.iloc[0]!r}")
    classes = [_plain(value, column.type) for value in sorted(labels.unique(), key=str)]
    counts = {_plain(value, column.type): int(rows) for value, rows in labels.value_counts().items()}
    if len(classes) > MOST_CLASSES:
        raise DataError(
            f"the target {column.original} has {len(classes)} classes (at most {MOST_CLASSES} can be handled here): "
            f"group them in a view, or say TASK=regression if they are amounts{hint(found)}"
        )
    rare = {value: rows for value, rows in counts.items() if rows < ROWS_OF_A_CLASS}
    if rare:
        shown = ", ".join(f"{value!r} ({rows} rows)" for value, rows in list(rare.items())[:5])
        raise DataError(
            f"too few rows of the target {column.original} to learn and to judge: {shown}; {ROWS_OF_A_CLASS} of each "
            f"class are wanted. Put rare classes together in a view, or take longer data{hint(found)}."
        )
    if len(classes) > 2:
        found.classes = tuple(sorted(classes))
        found.say("Target", f"Classes: {', '.join(f'{c!r} ({counts[c]:,})' for c in found.classes)}.")
        return
    found.positive = _positive(found, classes, counts)
    share = counts[found.positive] / len(labels)
    found.say(
        "Target",
        f"The score is the probability of {found.positive!r}, {share:.1%} of the labels (POSITIVE= for the other).",
    )


def _positive(found: Findings, classes: list[Any], counts: dict[Any, int]) -> Any:
    if found.request.positive is not None:
        for value in classes:
            if str(value).lower() == found.request.positive.lower():
                return value
        near = did_you_mean(found.request.positive, map(str, classes))
        raise DataError(f"POSITIVE={found.request.positive} is not a value of {found.request.target}{near}")
    named = [value for value in classes if str(value).lower() in POSITIVE]
    if len(named) == 1:
        return named[0]
    return (
        max(classes) if found.column(found.target).type is ColumnType.INTEGER else min(classes, key=lambda c: counts[c])
    )


def _settle_regression(found: Findings, labels: pd.Series) -> None:
    values = labels.to_numpy(dtype=float)
    spread = values.std()
    skew = float(((values - values.mean()) ** 3).mean() / spread**3) if spread else 0.0
    low, middle, high = (float(q) for q in np.quantile(values, [0.01, 0.5, 0.99]))
    found.skewed = abs(skew) > 3
    found.say("Target", f"From {low:.4g} to {high:.4g} (1 % to 99 %), median {middle:.4g}.")
    if found.skewed:
        found.say(
            "Target",
            f"Its tail is long (skewness {skew:.1f}): judged by the mean absolute error, which outliers do not rule.",
        )


def _plain(value: Any, kind: ColumnType) -> Any:
    if kind is ColumnType.STRING:
        return str(value)
    return bool(value) if kind is ColumnType.BOOLEAN else int(value)
