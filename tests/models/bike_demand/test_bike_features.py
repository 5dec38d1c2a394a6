"""Features do not use the outcome, and a single live row gives the same features as in a batch."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from include import catalog
from include.models.bike_demand import features, source
from include.models.bike_demand.model import MODEL
from include.partitions import partition
from include.scoring.columns import columns_for
from include.spec import Known

INPUTS = [(c.name, str(c.type)) for c in MODEL.data.inputs]
OUTCOMES = [c.name for c in MODEL.data.columns if c.known is Known.AFTER]


def fetch(key: str) -> pd.DataFrame:
    return source.fetch(partition(key, MODEL.timezone), {})


def test_the_parts_of_the_label_are_not_features() -> None:
    assert set(OUTCOMES) == {"casual", "registered", "cnt"}
    frame = fetch("2026-05-03")
    columns = columns_for(INPUTS, frame)
    assert not set(columns) & set(OUTCOMES)
    other = frame.assign(casual=0, registered=1, cnt=1)
    for name, values in features.build(columns_for(INPUTS, other)).items():
        assert_array_equal(values, features.build(columns)[name], err_msg=name)
    text = (catalog.folder("bike_demand") / "features.py").read_text()
    assert not [name for name in OUTCOMES if re.search(rf'["\']{name}["\']', text)]


def test_one_row_is_the_same_as_the_row_in_a_batch() -> None:
    frame = pd.concat([fetch("2026-05-03"), fetch("2026-12-31")], ignore_index=True)
    batch = features.build(columns_for(INPUTS, frame))
    for position in [0, 7, 30, len(frame) - 1]:
        row = frame.iloc[[position]]
        live = {n: None if pd.isna(v) else v for n, v in row.iloc[0].items() if n in dict(INPUTS)}
        live["began_at"] = pd.Timestamp(row["began_at"].iloc[0]).isoformat()
        for name, values in features.build(columns_for(INPUTS, [live])).items():
            assert values.shape == (1,) and values.dtype == batch[name].dtype
            assert_array_equal(values, batch[name][[position]], err_msg=name)


def test_a_row_with_every_input_missing_is_all_missing() -> None:
    for name, values in features.build(columns_for(INPUTS, [{}])).items():
        assert values[0] == "" if values.dtype == object else np.isnan(values[0]), name


def test_no_rows_give_no_rows() -> None:
    assert {len(v) for v in features.build(columns_for(INPUTS, fetch("2026-05-03").head(0))).values()} == {0}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"ride_date": "2026-05-03", "hour": 8}, {"weekday": 6, "hour_of_week": "6 8", "hour_of_day": ""}),
        ({"ride_date": "2026-05-04", "hour": 8, "workingday": True}, {"weekday": 0, "hour_of_day": "1 8"}),
        ({"hour": 0, "workingday": False}, {"hour_of_day": "0 0", "hour_of_week": ""}),
        ({"weathersit": "Light Rain"}, {"rain": 2}),
        ({"holiday": True, "temp": -3.5}, {"holiday": 1, "temp": -3.5}),
    ],
)
def test_values(row: dict[str, object], expected: dict[str, object]) -> None:
    found = features.build(columns_for(INPUTS, [row]))
    assert {name: found[name][0] for name in expected} == expected


def test_the_weekday_of_the_date_agrees_with_the_data() -> None:
    names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    frame = pd.concat([fetch(f"2026-05-{n:02}") for n in range(1, 9)]).dropna(subset="weekday")
    weekday = features.build(columns_for(INPUTS, frame))["weekday"]
    assert [names[int(n)] for n in weekday] == frame["weekday"].tolist()
