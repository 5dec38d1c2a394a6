"""The replay of 2011 and 2012 is deterministic and complete, has the right timestamps and every hour once."""

from __future__ import annotations

import time
from datetime import date, timedelta

import pandas as pd
import pytest

from include.models.bike_demand import source
from include.models.bike_demand.model import MODEL
from include.partitions import keys_between, partition


def fetch(key: str) -> pd.DataFrame:
    return source.fetch(partition(key, MODEL.timezone), {})


@pytest.fixture(scope="module")
def original() -> pd.DataFrame:
    return pd.read_csv(source.FILE)


def test_every_hour_of_the_history_appears_once(original: pd.DataFrame) -> None:
    days = [source.hours_of(date.fromisoformat(key)) for key in keys_between("2011-01-01", "2012-12-31")]
    assert sum(map(len, days)) == len(original) == 17_379
    assert sum(24 - len(day) for day in days) == 165 and sum(len(day) < 24 for day in days) == 76
    assert sum(int(day["cnt"].sum()) for day in days) == original["cnt"].sum()
    assert all(day["hour"].is_monotonic_increasing and day["hour"].is_unique for day in days)


def test_a_day_equals_its_original_hour_by_hour(original: pd.DataFrame) -> None:
    found = fetch("2026-05-03")
    assert source.REPLAY.original(date(2026, 5, 3)) == date(2012, 4, 29)
    wanted = original[original["dteday"] == "2012-04-29"]
    wanted = wanted.assign(hour=pd.to_datetime(wanted["hr"], format="%I%p").dt.hour).sort_values("hour")
    for column in ("hour", "season", "weathersit", "temp", "hum", "windspeed", "casual", "registered", "cnt"):
        pd.testing.assert_series_equal(
            found[column], wanted[column].reset_index(drop=True), check_dtype=False, check_names=False
        )
    assert found.columns.tolist() == [c.name for c in MODEL.data.columns]
    assert found["ride_date"].eq("2026-05-03").all() and found["workingday"].eq(False).all()
    pd.testing.assert_frame_equal(found, fetch("2026-05-03"))


def test_weekdays_and_the_season_are_preserved() -> None:
    for key in keys_between("2025-01-04", "2027-01-01")[::13]:
        day, original = date.fromisoformat(key), source.REPLAY.original(date.fromisoformat(key))
        weekday = fetch(key)["weekday"].dropna().unique().tolist()
        assert weekday in ([], [f"{day:%a}"])
        apart = abs((day.replace(year=2012) - original.replace(year=2012)).days)
        assert min(apart, 366 - apart) <= 4


def test_the_29th_of_february_and_the_wrap_are_ordinary_days() -> None:
    assert MODEL.start == source.REPLAY.anchor
    leap = fetch("2028-02-29")  # a Tuesday
    assert len(leap) >= 20 and leap["weekday"].dropna().unique().tolist() == ["Tue"]
    again = source.REPLAY.anchor + timedelta(days=source.REPLAY.cycle)
    assert (fetch(again.isoformat())["cnt"] == fetch("2025-01-04")["cnt"]).all()
    assert source.REPLAY.original(again - timedelta(days=1)) == date(2012, 12, 28)
    assert len(fetch("2024-12-31")) > 0  # before the anchor, too


@pytest.mark.parametrize("key", ["2026-03-08", "2026-11-01", "2026-07-04", "2025-03-09", "2025-11-02"])
def test_hours_lie_within_their_day_when_the_clock_changes(key: str) -> None:
    day, found = partition(key, MODEL.timezone), fetch(key)
    assert found["began_at"].between(day.start, day.end, inclusive="left").all()
    assert not found.duplicated(list(MODEL.data.key)).any()
    local = found["began_at"].dt.tz_convert(MODEL.timezone).dt.hour
    skipped = local != found["hour"]
    assert found.loc[skipped, "hour"].tolist() == ([2] if key in ("2026-03-08", "2025-03-09") else [])
    assert found["began_at"].is_monotonic_increasing


def test_a_day_is_read_fast() -> None:
    """Measured in processor time, because the machine may be busy."""
    took = []
    for _ in range(5):
        source.history.cache_clear()
        began = time.process_time()
        fetch("2026-05-03")
        took.append(time.process_time() - began)
    assert min(took) < 0.05
