"""A small model with every column type, and its rows."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pandas as pd

from include.partitions import Partition
from include.spec import Column, ColumnType, Data, Known, Label, Model, Task

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def small_model(**data: object) -> Model:
    values: dict[str, object] = {
        "columns": (
            Column(name="sensor", type=ColumnType.STRING, nullable=False),
            Column(name="number", type=ColumnType.INTEGER, nullable=False),
            Column(name="at", type=ColumnType.TIMESTAMP, nullable=False),
            Column(name="heat", type=ColumnType.NUMBER),
            Column(name="count", type=ColumnType.INTEGER),
            Column(name="on", type=ColumnType.BOOLEAN),
            Column(name="installed", type=ColumnType.DATE),
            Column(name="broke", type=ColumnType.INTEGER, known=Known.AFTER),
        ),
        "key": ("sensor", "number"),
        "event_time": "at",
        "label": Label(column="broke", task=Task.CLASSIFICATION, delay=timedelta(hours=6)),
        "max_quarantined": 0.2,
    }
    return Model(
        name="sensors",
        owner="tests",
        description="a model of the tests",
        start=date(2026, 1, 1),
        timezone="America/New_York",
        data=Data.model_validate(values | data),
    )


def rows(of: Partition, n: int = 20, seed: int = 0) -> pd.DataFrame:
    """Return valid rows of a partition, with nulls in columns that allow them."""
    random = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "sensor": [f"s{i % 3}" for i in range(n)],
            "number": np.arange(n),
            "at": pd.Series([of.start + timedelta(minutes=i) for i in range(n)]).dt.as_unit("us"),
            "heat": np.where(np.arange(n) % 5 == 0, np.nan, random.normal(20, 3, n)),
            "count": np.where(np.arange(n) % 7 == 0, np.nan, np.arange(n)),
            "on": np.arange(n) % 2 == 0,
            "installed": [None if i % 9 == 0 else f"2025-02-{1 + i % 28:02d}" for i in range(n)],
            "broke": (random.random(n) < 0.3).astype(int),
        }
    )
