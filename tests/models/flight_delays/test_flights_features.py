"""Features do not use the outcome, and a single live row gives the same features as in a batch."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from include import catalog
from include.models.flight_delays import features
from include.models.flight_delays.model import MODEL
from include.scoring.columns import columns_for
from include.spec import Known

Fetch = Callable[[str], pd.DataFrame]
INPUTS = [(c.name, str(c.type)) for c in MODEL.data.inputs]
OUTCOMES = [c.name for c in MODEL.data.columns if c.known is Known.AFTER]


class Watched(dict[str, np.ndarray]):
    """Columns that record which of them were read."""

    def __init__(self, columns: dict[str, np.ndarray]) -> None:
        super().__init__(columns)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> np.ndarray:
        self.read.add(name)
        return super().__getitem__(name)


def test_outcomes_are_declared_as_known_after() -> None:
    assert set(OUTCOMES) == {
        *("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "cancelled", "diverted", "late")
    }


def test_features_do_not_change_with_the_outcome(fetch: Fetch) -> None:
    frame = fetch("2026-05-03")
    columns = columns_for(INPUTS, frame)
    assert not set(columns) & set(OUTCOMES)
    before = features.build(columns)
    other = frame.copy()
    for name in OUTCOMES:
        other[name] = other[name].sample(frac=1, random_state=1).to_numpy()
        assert not other[name].equals(frame[name]), name
    after = features.build(columns_for(INPUTS, other))
    for name, values in before.items():
        assert_array_equal(values, after[name], err_msg=name)


def test_build_reads_only_what_is_known_before(fetch: Fetch) -> None:
    """This holds even if `build` gets every column; its source code names no other column."""
    frame = fetch("2026-05-03")
    everything = [(c.name, str(c.type)) for c in MODEL.data.columns]
    watched = Watched(columns_for(everything, frame))
    features.build(watched)
    assert watched.read and not watched.read & set(OUTCOMES)
    text = (catalog.folder("flight_delays") / "features.py").read_text()
    assert not [name for name in OUTCOMES if re.search(rf'["\']{name}["\']', text)]


def test_one_row_is_the_same_as_the_row_in_a_batch(fetch: Fetch) -> None:
    frame = pd.concat([fetch("2026-05-03"), fetch("2026-12-31")], ignore_index=True)
    batch = features.build(columns_for(INPUTS, frame))
    for position in [0, 7, 500, 977, 978, len(frame) - 1]:
        row = frame.iloc[[position]]
        live = {n: None if pd.isna(v) else v for n, v in row.iloc[0].items() if n in dict(INPUTS)}
        live["scheduled_departure"] = pd.Timestamp(row["scheduled_departure"].iloc[0]).isoformat()
        for columns in (columns_for(INPUTS, row), columns_for(INPUTS, [live])):
            for name, values in features.build(columns).items():
                assert values.shape == (1,) and values.dtype == batch[name].dtype
                assert_array_equal(values, batch[name][[position]], err_msg=name)


def test_types_and_lengths(fetch: Fetch) -> None:
    frame = fetch("2026-05-03")
    for values in features.build(columns_for(INPUTS, frame)).values():
        assert values.shape == (len(frame),) and values.dtype in (np.dtype(object), np.dtype(np.float32))
        if values.dtype == object:
            assert {type(v) for v in values} == {str}


def test_a_row_with_every_input_missing_is_all_missing() -> None:
    for name, values in features.build(columns_for(INPUTS, [{}])).items():
        assert values[0] == "" if values.dtype == object else np.isnan(values[0]), name


def test_no_rows_give_no_rows(fetch: Fetch) -> None:
    assert {len(v) for v in features.build(columns_for(INPUTS, fetch("2026-05-03").head(0))).values()} == {0}


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"flight_date": "2026-05-03"}, {"weekday": 6}),  # a Sunday
        ({"flight_date": "2026-05-04"}, {"weekday": 0}),
        ({"flight_date": "1969-12-31"}, {"weekday": 2}),
        ({"flight_date": "2026-05-03", "plane_year": 2004}, {"plane_age": 22}),
        ({"sched_dep_time": 517}, {"hour": 5, "minute_of_day": 317}),
        ({"sched_dep_time": 2400}, {"hour": 23, "minute_of_day": 1439}),
        ({"sched_dep_time": 5}, {"hour": 0, "minute_of_day": 5}),
        ({"sched_dep_time": 2300, "sched_arr_time": 100, "dest_utc_offset": -5.0}, {"scheduled_minutes": 120}),
        ({"sched_dep_time": 1200, "sched_arr_time": 1500, "dest_utc_offset": -8.0}, {"scheduled_minutes": 360}),
        ({"plane_manufacturer": "MCDONNELL DOUGLAS AIRCRAFT CO"}, {"plane_manufacturer": "MCDONNELL DOUGLAS"}),
    ],
)
def test_values(row: dict[str, object], expected: dict[str, object]) -> None:
    found = features.build(columns_for(INPUTS, [row]))
    assert {name: found[name][0] for name in expected} == expected
