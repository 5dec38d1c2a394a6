"""Made-up inputs of `features.build`, from the declared types: values, missing values, one row, none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from great_expectations.expectations.expectation import Expectation

from include.scoring.columns import columns_from_rows
from include.spec import Column, ColumnType

ROWS = 48
# A text can be anything; `build` may expect one of these.
KINDS: tuple[tuple[str, ...], ...] = (
    ("alpha", "beta", "gamma", "delta"),
    ("2025-01-03", "2025-02-28", "2025-03-31", "2025-12-24"),
    ("2025-01-03T04:05:06Z", "2025-02-28T23:59:59Z", "2025-03-31T00:00:00Z"),
    ("3", "17", "250", "1000"),
    ("04:30", "23:59", "00:00"),
)


def inputs(columns: Iterable[Column]) -> list[tuple[str, str]]:
    """Names and types as `include.scoring.columns` expects them."""
    return [(column.name, column.type.value) for column in columns]


def arrays(
    columns: Sequence[Column], suite: Iterable[Expectation], kinds: Mapping[str, int], rows: int = ROWS
) -> dict[str, np.ndarray]:
    """Typed columns of ``rows`` rows; every fourth value of a nullable column is missing.

    Parameters
    ----------
    suite : its sets and bounds make the values likely ones.
    kinds : for a text column, which of `KINDS` its values are.
    """
    random = np.random.default_rng(0)
    sets: dict[str, list[Any]] = {}
    bounds: dict[str, tuple[float, float]] = {}
    for expectation in suite:
        kwargs = expectation.configuration.kwargs
        name, values = kwargs.get("column"), kwargs.get("value_set")
        if values and kwargs.get("row_condition") is None:
            sets.setdefault(name, list(values))
        low, high = kwargs.get("min_value"), kwargs.get("max_value")
        if "values_to_be_between" in expectation.configuration.type and _numbers(low, high):
            bounds.setdefault(name, (float(low), float(high)))
    table = []
    for number in range(rows):
        row: dict[str, object] = {}
        for column in columns:
            low, high = bounds.get(column.name, (0.0, 100.0))
            if column.nullable and random.random() < 0.25:
                row[column.name] = None
            elif column.type is ColumnType.STRING:
                texts = [v for v in sets.get(column.name, ()) if isinstance(v, str)] if column.name not in kinds else []
                row[column.name] = str(random.choice(texts or KINDS[kinds.get(column.name, 0)]))
            elif column.type is ColumnType.DATE:
                row[column.name] = str(random.choice(KINDS[1]))
            elif column.type is ColumnType.TIMESTAMP:
                row[column.name] = f"2025-01-{1 + number % 28:02d}T{number % 24:02d}:30:00Z"
            elif column.type is ColumnType.BOOLEAN:
                row[column.name] = bool(random.random() < 0.5)
            else:
                value = random.uniform(low, high)
                row[column.name] = round(value) if column.type is ColumnType.INTEGER else value
        table.append(row)
    return columns_from_rows(inputs(columns), table)


def missing(columns: Sequence[Column], rows: int) -> dict[str, np.ndarray]:
    """Rows in which every value is missing (a live row may lack any of them)."""
    return columns_from_rows(inputs(columns), [{} for _ in range(rows)])


def _numbers(*values: Any) -> bool:
    return all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values)
