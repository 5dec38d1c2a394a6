"""The expectations catch each fault of the real data, on the rows of the real day that has it."""

from __future__ import annotations

import pandas as pd
import pytest

from include.data import quality
from include.data.quality import Validation
from include.models.bike_demand import expectations, source
from include.models.bike_demand.model import MODEL
from include.partitions import partition

ORDINARY = "2026-08-19"


def fetch(key: str) -> pd.DataFrame:
    return source.fetch(partition(key, MODEL.timezone), {})


def check(frame: pd.DataFrame, key: str = ORDINARY) -> Validation:
    return quality.validate(MODEL, partition(key, MODEL.timezone), frame, expectations.suite())


@pytest.mark.parametrize("key", [ORDINARY, "2026-03-08", "2026-11-01"])
def test_an_ordinary_day_loses_nothing(key: str) -> None:
    found = check(fetch(key), key)
    assert found.critical == [] and found.quarantined.empty and len(found.good) == 24 and found.warnings == []


def test_a_day_with_a_dead_humidity_sensor_is_rejected() -> None:
    """On 10 March 2011, humidity is 0 % in all 22 hours."""
    found = check(fetch("2025-03-13"), "2025-03-13")
    assert len(found.quarantined) == 22
    assert "0 is a dead sensor" in found.critical[0] and "22 of 22 rows" in found.critical[0]


def test_a_single_impossible_humidity_goes_to_quarantine() -> None:
    frame = fetch(ORDINARY)
    frame.loc[7, "hum"] = 0.0
    found = check(frame)
    assert found.critical == [] and len(found.quarantined) == 1 and len(found.good) == 23


def test_a_felt_temperature_that_is_stuck_is_reported_and_kept() -> None:
    """On 17 August 2012, the felt temperature is -0.0016 in all 24 hours."""
    found = check(fetch("2026-08-21"), "2026-08-21")
    assert found.critical == [] and len(found.good) == 24
    assert any("does not feel colder" in w and "24 rows fail" in w for w in found.warnings)


@pytest.mark.parametrize(("key", "hours"), [("2025-01-30", 8), ("2026-11-02", 1), ("2026-11-03", 11)])
def test_days_of_snow_and_the_hurricane_are_rejected(key: str, hours: int) -> None:
    found = check(fetch(key), key)
    assert found.critical == [f"a day has 12 to 24 hours with rentals: observed {hours}"]


def test_missing_hours_are_reported_and_the_other_hours_kept() -> None:
    """18 January 2011 has 12 hours. No day with fewer hours is kept."""
    found = check(fetch("2025-01-21"), "2025-01-21")
    assert found.critical == [] and len(found.good) == 12
    assert "the day has every hour: observed 12" in found.warnings


def test_missing_weekdays_and_weather_are_tolerated_up_to_a_limit() -> None:
    worst = fetch("2025-01-30")  # weathersit is missing in 37.5 % of its rows
    assert worst["weathersit"].isna().mean() == 0.375
    assert not any("weathersit" in w for w in check(worst, "2025-01-30").warnings)
    assert fetch("2025-08-30")["weekday"].isna().mean() > 0.2
    assert check(fetch("2025-08-30"), "2025-08-30").warnings == ["the day has every hour: observed 18"]
    frame = fetch(ORDINARY)
    frame.loc[:9, ["weekday", "weathersit"]] = None
    found = check(frame)
    assert found.critical == [] and len(found.good) == 24
    assert [w.split(":")[0] for w in found.warnings] == [
        "70 % of the rows have a weekday (5 % lack it, 22 % on the worst day; no feature needs it)",
        "60 % of the rows have weathersit (7 % lack it, 37.5 % on the worst day)",
    ]


def test_rows_of_two_days_in_one_batch_are_rejected() -> None:
    frame = fetch(ORDINARY)
    frame.loc[5, "weekday"] = "Sat"
    assert any("the same weekday" in w for w in check(frame).warnings)
    doubled = pd.concat([frame, frame.head(2)], ignore_index=True)
    assert any("the key (ride_date, hour) identifies one row" in c for c in check(doubled).critical)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("cnt", 1),  # no longer casual + registered
        ("cnt", 0),
        ("casual", -1),
        ("hour", 24),
        ("temp", 60.0),
        ("windspeed", -1.0),
        ("season", "autumn"),
        ("weathersit", "Snow"),
        ("weekday", "Monday"),
    ],
)
def test_impossible_values_are_quarantined(column: str, value: object) -> None:
    frame = fetch(ORDINARY)
    frame.loc[12, column] = value
    found = check(frame)
    assert found.critical == [] and len(found.quarantined) == 1
    assert column in found.quarantined["_column"][0]


def test_a_working_holiday_is_quarantined() -> None:
    frame = fetch(ORDINARY).assign(workingday=True)
    frame.loc[3, "holiday"] = True
    found = check(frame)
    assert len(found.quarantined) == 1 and "a holiday is not a working day" in found.quarantined["_expectation"][0]
