"""Raw inputs as they are profiled: nothing of them depends on the date alone, and every type has its missing value."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest

from include.errors import DataError
from include.partitions import keys_between, partition
from include.spec import Column, ColumnType, Data, Known, Label, Model, Monitoring, Task
from include.statistics import reference as statistics
from include.statistics.profiles import Numbers
from include.statistics.reference import LAYOUT, Importance, Reference
from include.training import profiling

ZONE = "America/New_York"


def model_of(*columns: Column, **more: Any) -> Model:
    late = Column(name="late", type=ColumnType.INTEGER, known=Known.AFTER)
    key = Column(name="number", type=ColumnType.INTEGER, nullable=False)
    at = Column(name="at", type=ColumnType.TIMESTAMP, nullable=False)
    return Model(
        name="small",
        owner="tests",
        description="A model with one column of each type.",
        start=date(2025, 1, 1),
        timezone=ZONE,
        data=Data(
            columns=(key, at, *columns, late),
            key=("number",),
            event_time="at",
            label=Label(column="late", task=Task.CLASSIFICATION),
        ),
        **more,
    )


MODEL = model_of(
    Column(name="due", type=ColumnType.DATE),
    Column(name="shop", type=ColumnType.STRING),
    Column(name="open", type=ColumnType.BOOLEAN),
    Column(name="x", type=ColumnType.NUMBER),
)


def day(key: str, **changes: Any) -> pd.DataFrame:
    """Three rows at 3:00, 12:00 and 21:00 by the local clock."""
    at = [pd.Timestamp(f"{key}T{hour:02}:00").tz_localize(ZONE).tz_convert("UTC") for hour in (3, 12, 21)]
    due = (date.fromisoformat(key) + pd.Timedelta(days=2)).isoformat()
    rows = {
        "partition": key,
        "number": [1, 2, 3],
        "at": pd.Series(at),
        "due": [due, key, None],
        "shop": ["Cork", None, "Aarhus"],
        "open": pd.array([True, False, None], dtype="boolean"),
        "x": [0.5, np.nan, np.inf],
        "late": pd.array([1, 0, None], dtype="Int64"),
    }
    return pd.DataFrame(rows | changes)


def values(model: Model, rows: pd.DataFrame) -> dict[str, list[Any]]:
    return {name: found.tolist() for name, found in profiling.columns(model, rows)}


def test_every_type_is_a_number_or_a_text() -> None:
    found = {name: np.asarray(array) for name, array in profiling.columns(MODEL, day("2026-05-03"))}
    assert list(found) == [column.name for column in MODEL.data.inputs]
    assert found["shop"].tolist() == ["Cork", "", "Aarhus"] and found["open"].tolist() == ["true", "false", ""]
    assert {name for name, array in found.items() if array.dtype == object} == {"shop", "open"}
    assert {array.dtype for array in found.values()} == {np.dtype(object), np.dtype(np.float64)}
    np.testing.assert_array_equal(found["x"], [0.5, np.nan, np.inf])
    np.testing.assert_array_equal(found["due"], [2, 0, np.nan])


@pytest.mark.parametrize("key", ["2026-01-15", "2026-07-15", "2026-03-08", "2026-11-01"])
def test_moments_count_from_the_midnight_of_their_day_on_the_local_clock(key: str) -> None:
    """On the last two days the clocks change at 2:00, so that elapsed time would be an hour off."""
    assert values(MODEL, day(key))["at"] == [3 * 3600, 12 * 3600, 21 * 3600]


def test_the_same_day_a_year_later_is_profiled_alike() -> None:
    both = pd.concat([day("2025-05-03"), day("2026-05-03")], ignore_index=True)
    for name, found in profiling.columns(MODEL, both):
        np.testing.assert_array_equal(found[:3], found[3:], name)


def test_missing_and_impossible_moments_are_no_error() -> None:
    at = pd.Series([None, "9998-01-01", "0001-01-01"], dtype="datetime64[us, UTC]")
    found = values(MODEL, day("2026-05-03", at=at))["at"]
    assert np.isnan(found[0]) and found[1] > 5e9 and found[2] < -3e9


def test_a_column_that_the_rows_lack_is_missing_in_all_of_them() -> None:
    found = values(MODEL, day("2026-05-03").drop(columns=["shop", "x", "open", "due"]))
    assert found["shop"] == found["open"] == ["", "", ""] and np.isnan(found["x"] + found["due"]).all()


def test_inputs_that_are_left_out_and_columns_that_are_known_after_are_not_profiled() -> None:
    names = [c.name for c in profiling.watched(MODEL)]
    assert "number" in names and "late" not in names
    monitored = MODEL.model_copy(update={"monitoring": Monitoring(leave_out=("number",))})
    assert "number" not in dict(profiling.columns(monitored, day("2026-05-03")))


def known(days: int = 5) -> Reference:
    keys = keys_between("2026-05-03", f"2026-05-{2 + days:02}")
    rows = pd.concat([day(key) for key in keys], ignore_index=True)
    places = [np.arange(3 * at, 3 * at + 3) for at in range(days)]
    features = tuple(statistics.of_feature(name, found, places) for name, found in profiling.columns(MODEL, rows))
    scores = statistics.of_feature("score", np.linspace(0, 1, 3 * days), places)
    none = Importance(metric="log_loss", rows=0, repeats=0, seed=0, by_input={})
    counts: dict[str, Any] = {"rows": (3,) * days, "duplicates": (0,) * days}
    return Reference(
        layout=LAYOUT,
        snapshot="0",
        days=tuple(keys),
        features=features,
        scores=(scores,),
        importance=none,
        **counts,
    )


def test_a_day_is_profiled_with_its_duplicates_and_scores() -> None:
    rows = day("2026-06-01", number=[7, 7, 8])
    found = profiling.profile(MODEL, known(), rows, np.array([0.1, 0.9]))
    assert (found.key, found.rows, found.duplicates) == ("2026-06-01", 3, 1)
    assert set(found.features) == {column.name for column in MODEL.data.inputs}
    assert found.features["shop"].missing == 1 and found.scores["score"].rows == 2
    moments = next(one for one in known().features if one.name == "at")
    assert moments.to(found.features["at"])["wasserstein"] == 0
    assert profiling.profile(MODEL, known(), rows).scores == {}


def test_the_same_key_on_two_days_is_no_duplicate() -> None:
    both = pd.concat([day("2026-05-03"), day("2026-05-04"), day("2026-05-04")], ignore_index=True)
    assert profiling.duplicated(MODEL, both).tolist() == [False] * 6 + [True] * 3


def test_a_day_without_rows_needs_its_key() -> None:
    empty = day("2026-06-01").head(0)
    found = profiling.profile(MODEL, known(), empty, key="2026-06-01")
    assert found.rows == 0 and all(one.rows == 0 for one in found.features.values())
    for rows, key in ((empty, None), (day("2026-06-01"), "2026-06-02")):
        with pytest.raises(DataError, match="a profile is of one day"):
            profiling.profile(MODEL, known(), rows, key=key)


def test_a_column_of_another_type_than_in_the_reference_is_left_out() -> None:
    columns = tuple(
        c.model_copy(update={"type": ColumnType.NUMBER}) if c.name == "shop" else c for c in MODEL.data.columns
    )
    today = MODEL.model_copy(update={"data": MODEL.data.model_copy(update={"columns": columns})})
    found = profiling.profile(today, known(), day("2026-06-01", shop=[1.0, 2.0, 3.0]))
    assert "shop" not in found.features and isinstance(found.features["x"], Numbers)


def test_a_value_of_the_wrong_type_names_its_column() -> None:
    with pytest.raises(DataError, match="column 'x' is declared number"):
        profiling.profile(MODEL, known(), day("2026-06-01", x=["a", "b", "c"]))


def test_the_partition_of_a_row_is_its_own_day() -> None:
    """Not the day of its moment in UTC: 21:00 in New York is the next day there."""
    assert partition("2026-05-03", ZONE).start.day == 3
    assert str(day("2026-05-03")["at"].iloc[2])[:10] == "2026-05-04"
    assert values(MODEL, day("2026-05-03"))["at"][2] == 21 * 3600
