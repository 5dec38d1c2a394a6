"""Expectations proposed from the data: each wide enough for days like those seen, and with its reason."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil, floor, log10
from typing import Any

import numpy as np
import pandas as pd

from include.authoring.findings import Findings, FoundColumn, Role
from include.authoring.reading import per_day
from include.spec import ColumnType

NUMBERS = (ColumnType.INTEGER, ColumnType.NUMBER)
MOST_VALUES = 20  # of a text that are written down as a set
MOST_RANGES = 20  # columns of a wide table that get a range: each costs time at every collect


@dataclass(frozen=True)
class Proposal:
    """One expectation: its class in Great Expectations, its arguments, what it expects, and why it was proposed."""

    expectation: str
    arguments: dict[str, object]
    severity: str
    sentence: str
    why: str = field(default="")


def proposals(found: Findings) -> dict[str, list[Proposal]]:
    """By group: the table, the columns, the outcome."""
    return {"table": _table(found), "columns": _columns(found), "outcome": _outcome(found)}


def _table(found: Findings) -> list[Proposal]:
    rows = pd.Series(found.counts)
    low, middle, high = int(rows.min()), int(rows.median()), int(rows.max())
    return [
        Proposal(
            "ExpectTableRowCountToBeBetween",
            {"min_value": max(1, floor(low / 4)), "max_value": 4 * high},
            "warning",
            f"a day has {max(1, floor(low / 4)):,} to {4 * high:,} rows",
            f"{low:,} to {high:,} rows a day so far, {middle:,} in the middle",
        )
    ]


def _columns(found: Findings) -> list[Proposal]:
    made: list[Proposal] = []
    for column in found.of(Role.FEATURE, Role.MANY):
        values = found.rows[column.name].dropna()
        if column.type in NUMBERS and len(values) and len(made) < MOST_RANGES:
            made.append(_range(column, values))
        elif column.type is ColumnType.STRING and column.distinct <= MOST_VALUES:
            made.append(_set(column, values))
    made += [p for c in found.of(Role.FEATURE, Role.MANY) if (p := _filled(found, c))]
    return made


def _range(column: FoundColumn, values: pd.Series) -> Proposal:
    low, high = float(values.min()), float(values.max())
    margin = max(high - low, abs(high), 1.0) if column.distinct > 2 else max(high - low, 1.0)
    below, above = _rounded(low - margin, down=True), _rounded(high + margin, down=False)
    if low >= 0:
        below = 0 if low > 0 or column.type in NUMBERS else below
    whole = column.type is ColumnType.INTEGER
    limits: tuple[Any, Any] = (floor(below), ceil(above)) if whole else (below, above)
    return Proposal(
        "ExpectColumnValuesToBeBetween",
        {"column": column.name, "min_value": limits[0], "max_value": limits[1]},
        "warning",
        f"{column.name} is {limits[0]:,} to {limits[1]:,}",
        f"{low:,.6g} to {high:,.6g} so far, and as much again on both sides" + (" (never below 0)" if low >= 0 else ""),
    )


def _set(column: FoundColumn, values: pd.Series) -> Proposal:
    known = sorted(str(v) for v in values.unique())
    return Proposal(
        "ExpectColumnValuesToBeInSet",
        {"column": column.name, "value_set": known},
        "info",
        f"{column.name} is one of {len(known)} known values",
        "a new value is reported, and its rows stay: the model treats it as unknown",
    )


def _filled(found: Findings, column: FoundColumn) -> Proposal | None:
    """A share of missing values far beyond the worst day, of a column that is sometimes missing."""
    if not 0 < column.nulls < 0.9:
        return None
    there = per_day(found, found.rows[column.name].notna().astype(float))
    rows = per_day(found, pd.Series(1.0, index=found.rows.index))
    worst = float((there[rows > 0] / rows[rows > 0]).min())
    limit = floor(100 * (worst - 0.2)) / 100
    if limit <= 0:
        return None
    return Proposal(
        "ExpectColumnProportionOfNonNullValuesToBeBetween",
        {"column": column.name, "min_value": limit},
        "warning",
        f"{column.name} has a value in {limit:.0%} of the rows",
        f"missing in {column.nulls:.1%} of all rows, in {1 - worst:.0%} on the worst day",
    )


def _outcome(found: Findings) -> list[Proposal]:
    target = found.target
    labels = found.rows[target].dropna()
    if found.task == "regression":
        column = found.column(target)
        made = [_range(column, labels)]
    else:
        classes = found.classes or tuple(sorted({found.positive, *_others(found, labels)}, key=str))
        made = [
            Proposal(
                "ExpectColumnValuesToBeInSet",
                {"column": target, "value_set": list(classes)},
                "warning",
                f"{target} is one of its {len(classes)} classes",
                "an unknown class must not be trained on: such rows go to quarantine",
            )
        ]
    worst = _least_filled(found)
    limit = floor(100 * worst / 2) / 100
    if limit > 0:
        made.append(
            Proposal(
                "ExpectColumnProportionOfNonNullValuesToBeBetween",
                {"column": target, "min_value": limit},
                "warning",
                f"{target} is known for {limit:.0%} of the rows",
                f"known for {1 - found.column(target).nulls:.1%} of all rows, for {worst:.0%} on the worst day",
            )
        )
    return made


def _least_filled(found: Findings) -> float:
    there = per_day(found, found.rows[found.target].notna().astype(float))
    rows = per_day(found, pd.Series(1.0, index=found.rows.index))
    return float((there[rows > 0] / rows[rows > 0]).min())


def _others(found: Findings, labels: pd.Series) -> list[Any]:
    kind = type(found.positive)
    return [kind(v) for v in labels.unique()]


def _rounded(value: float, down: bool) -> float:
    """Two leading digits, away from the values that were seen."""
    if value == 0 or not np.isfinite(value):
        return 0
    unit = 10.0 ** (floor(log10(abs(value))) - 1)
    found = (floor if down else ceil)(value / unit) * unit
    return int(found) if abs(found) < 1e15 and found == int(found) else float(f"{found:.6g}")
