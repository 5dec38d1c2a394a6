"""Declared dates are stored as ISO text; a value that is not a date is reported and never lost."""

from __future__ import annotations

import datetime as dt
import json

import numpy as np
import pandas as pd
import pytest

from include.data import quality, schema
from include.data.lake import Lake
from include.errors import DataError
from include.partitions import Partition
from include.scoring.columns import columns_for
from include.spec import Column, ColumnType, Model
from tests.data.sensors import NOW, rows, small_model

OTHER_FORMATS = ["2025-02-01T00:00:00", "01.02.2025", "20250201", "2025-W05-6", "\u00b2025-01-01"]
WRONG = ["2025-02-30", "0000-01-01", "10000-01-01", *OTHER_FORMATS]


def column_of(model: Model, day: Partition, values: object) -> schema.Conformed:
    return schema.conform(model, rows(day, 2).assign(installed=values))


@pytest.mark.parametrize(
    "values",
    [
        ["2025-02-01", None],
        pd.Series(["2025-02-01", None], dtype="category"),
        pd.Series([dt.date(2025, 2, 1), None], dtype=object),
        pd.to_datetime(pd.Series(["2025-02-01", None])),
        ["2025-02-01", ""],
    ],
    ids=["text", "category", "date", "midnight", "empty text"],
)
def test_every_form_of_a_date_becomes_iso_text(model: Model, day: Partition, values: object) -> None:
    found = column_of(model, day, values)
    assert found.problems == [] and found.not_dates == {}
    assert found.table["installed"].to_pylist() == ["2025-02-01", None]
    built = columns_for([("installed", "date")], schema.to_frame(found.table))["installed"]
    assert built.dtype == np.dtype("datetime64[D]") and built[0] == np.datetime64("2025-02-01") and np.isnat(built[1])


@pytest.mark.parametrize(
    ("values", "what"),
    [
        ([20250201, 20250202], "came as int64, e.g. 20250201"),
        (pd.to_datetime(["2025-02-01 05:00", "2025-02-02 00:00"]), "with a time of day"),
        (pd.to_datetime(["2025-02-01", "2025-02-02"]).tz_localize("UTC"), "came as timestamp"),
    ],
)
def test_a_column_whose_type_is_not_a_date_fails_the_day(
    model: Model, day: Partition, values: object, what: str
) -> None:
    (problem,) = column_of(model, day, values).problems
    assert "column 'installed'" in problem and what in problem


def test_a_text_that_is_not_a_date_goes_to_quarantine_with_its_value(lake: Lake, model: Model, day: Partition) -> None:
    frame = rows(day, 60)
    frame.loc[: len(WRONG) - 1, "installed"] = WRONG
    found = quality.validate(model, day, frame, [])
    assert found.critical == [] and len(found.good) == 60 - len(WRONG)
    assert [json.loads(row)["installed"] for row in found.quarantined["_row"]] == WRONG
    assert set(found.quarantined["_column"]) == {"installed"}
    (warning,) = found.warnings
    assert f"{len(WRONG)} rows fail, e.g. 2025-02-30" in warning
    lake.publish(day, found.good, "a" * 64, NOW)
    with pytest.raises(DataError, match="8 texts that are not dates"):
        lake.publish(day, frame, "a" * 64, NOW)


def test_an_empty_text_is_a_missing_value(model: Model, day: Partition) -> None:
    """CSV files and the model server do the same. An empty text in a required column counts as missing, too."""
    frame = rows(day)
    frame.loc[2, "sensor"] = ""
    found = quality.validate(model, day, frame, [])
    assert len(found.quarantined) == 1 and "sensor has a value" in found.quarantined["_expectation"].iloc[0]
    notes = [c.sentence for c in found.failed if c.expectation == "schema"]
    assert any("column 'sensor' has 1 empty texts, which are stored as missing values" in note for note in notes)


def test_a_column_of_texts_can_be_declared_a_date_later(lake: Lake, model: Model, day: Partition) -> None:
    """The table keeps its type and a snapshot its digest. Only the type that `build` receives changes."""
    lake.publish(day, rows(day).drop(columns="installed").assign(installed="2025-02-01"), "a" * 64, NOW)
    columns = [c.model_dump() for c in model.data.columns if c.name != "installed"]
    before = Lake(
        small_model(columns=(*columns[:-1], Column(name="installed", type=ColumnType.STRING), columns[-1])), lake.root
    )
    assert before.snapshot(day.key, day.key).digest == lake.snapshot(day.key, day.key).digest
    lake.publish(day, rows(day), "b" * 64, NOW)
    before.publish(day, rows(day), "c" * 64, NOW)
