"""The replay of Elec2: the day that a row belongs to, the half-hour before it, and the right timestamps."""

from __future__ import annotations

import time
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from include.models.electricity import source
from include.models.electricity.model import MODEL
from include.partitions import partition

LAGGED = ["nsw_price", "nsw_demand", "vic_price", "vic_demand", "transfer", "up"]


def fetch(key: str) -> pd.DataFrame:
    return source.fetch(partition(key, MODEL.timezone), {})


@pytest.fixture(scope="module")
def original() -> pd.DataFrame:
    return pd.read_csv(source.FILE)


def test_the_file_is_the_benchmark(original: pd.DataFrame) -> None:
    assert len(original) == 45_312 == 944 * 48
    assert np.allclose(original["feat_1"], original.index % 48 / 47, atol=1e-5)
    first_year = original.iloc[:17_424][["feat_4", "feat_5", "feat_6"]]
    assert (first_year.nunique() == 1).all()


def test_one_day_is_in_the_file_twice_and_is_replayed_once(original: pd.DataFrame) -> None:
    demand = original["feat_3"].to_numpy().reshape(-1, 48)
    assert (demand[362] == demand[363]).all()
    assert source.DOUBLED * 48 == 17_424  # the constants end here: the file consists of two deliveries
    same_as_next = [n for n in range(943) if (demand[n] == demand[n + 1]).all()]
    assert same_as_next == [362]
    assert len(source.history()) == 943 * 48 == ((date(1998, 12, 5) - date(1996, 5, 7)).days + 1) * 48


def test_weekends_and_holidays_show_that_dates_are_right() -> None:
    """Demand is low on Sundays in both deliveries, and on public holidays before and after the doubled day."""
    days = pd.date_range("1996-05-07", "1998-12-05")
    demand = pd.Series(source.history()["nsw_demand"].to_numpy().reshape(-1, 48).mean(axis=1), days)
    for part in (demand[:"1997-05-04"], demand["1997-05-05":]):
        assert part.groupby(part.index.weekday).mean().idxmin() == 6
    usual = demand.groupby(demand.index.weekday).transform(lambda s: s.rolling(5, center=True, min_periods=3).median())
    holidays = ["1996-06-10", "1996-12-26", "1997-01-01", "1997-04-25", "1997-12-25", "1998-01-26", "1998-04-10"]
    assert (demand / usual)[holidays].max() < 0.9


def test_the_label_compares_the_price_with_the_day_before(original: pd.DataFrame) -> None:
    """The price of the half-hour itself would be half the answer, so it is declared as known after the event."""
    price = original["feat_2"]
    mean = price.rolling(48).mean().shift(1)
    assert ((price > mean).astype(int) == original["target"])[48:].all()
    assert {c.name for c in MODEL.data.inputs} & set(LAGGED) == set()


def test_persistence_is_right_85_percent_of_the_time(original: pd.DataFrame) -> None:
    assert (original["target"].shift(1) == original["target"])[1:].mean() == pytest.approx(0.853, abs=0.0005)
    rows = source.history()
    assert (rows["up"].shift(1) == rows["up"])[1:].mean() == pytest.approx(0.853, abs=0.0005)


def test_a_day_equals_its_original(original: pd.DataFrame) -> None:
    found = fetch("2024-05-09")
    assert source.REPLAY.original(date(2024, 5, 9)) == date(1996, 5, 9)
    wanted = original.iloc[2 * 48 : 3 * 48].reset_index(drop=True)
    assert (found["nsw_price"] == wanted["feat_2"]).all() and (found["up"] == wanted["target"]).all()
    assert found["half_hour"].tolist() == list(range(48)) and found["market_date"].eq("2024-05-09").all()
    assert found.columns.tolist() == [c.name for c in MODEL.data.columns]
    pd.testing.assert_frame_equal(found, fetch("2024-05-09"))
    after = fetch("2025-05-05")  # the first day after the doubled one
    assert source.REPLAY.original(date(2025, 5, 5)) == date(1997, 5, 5)
    assert after["nsw_demand"].to_numpy() == pytest.approx(original["feat_3"].iloc[364 * 48 : 365 * 48].to_numpy())


@pytest.mark.parametrize("key", ["2026-02-11", "2025-05-05", "2024-05-07", "2026-12-01"])
def test_the_previous_half_hour_is_right_across_midnight(key: str) -> None:
    found = fetch(key)
    day_before = fetch((date.fromisoformat(key) - timedelta(days=1)).isoformat())
    begins = source.REPLAY.original(date.fromisoformat(key)) == source.REPLAY.first
    assert begins == (key in ("2024-05-07", "2026-12-01"))  # the anchor and the wrap have no half-hour before them
    for name in LAGGED:
        before = found[f"previous_{name}"]
        assert (before[1:].to_numpy() == found[name][:-1].to_numpy()).all()
        assert pd.isna(before[0]) if begins else before[0] == day_before[name].iloc[-1]


def test_the_first_pass_preserves_weekday_and_date_and_later_passes_the_weekday() -> None:
    assert MODEL.start == source.REPLAY.anchor
    for offset in range(0, 938, 31):
        day = source.REPLAY.anchor + timedelta(days=offset)
        original = source.REPLAY.original(day)
        assert (day.weekday(), day.month, day.day) == (original.weekday(), original.month, original.day)
    wrap = source.REPLAY.anchor + timedelta(days=938)
    assert wrap == date(2026, 12, 1) and wrap.weekday() == source.REPLAY.original(wrap).weekday()
    assert source.REPLAY.original(wrap - timedelta(days=1)) == date(1998, 11, 30)
    leap = fetch("2028-02-29")
    assert len(leap) == 48 and leap["market_date"].eq("2028-02-29").all()


@pytest.mark.parametrize("key", ["2025-10-05", "2026-04-05", "2026-10-04", "2026-07-01", "2024-10-06"])
def test_half_hours_lie_within_their_day_when_the_clock_changes(key: str) -> None:
    day, found = partition(key, MODEL.timezone), fetch(key)
    assert found["began_at"].between(day.start, day.end, inclusive="left").all()
    assert not found.duplicated(list(MODEL.data.key)).any() and len(found) == 48
    local = found["began_at"].dt.tz_convert(MODEL.timezone)
    skipped = local.dt.hour * 2 + local.dt.minute // 30 != found["half_hour"]
    spring = key in ("2025-10-05", "2026-10-04", "2024-10-06")
    assert found.loc[skipped, "half_hour"].tolist() == ([4, 5] if spring else [])


def test_a_day_is_read_fast() -> None:
    """Measured in processor time, because the machine may be busy."""
    took = []
    for _ in range(5):
        source.history.cache_clear()
        began = time.process_time()
        fetch("2026-05-03")
        took.append(time.process_time() - began)
    assert min(took) < 0.05
