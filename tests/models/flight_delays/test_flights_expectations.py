"""The expectations catch each fault of the real data, on the rows of a real day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from include.data import quality
from include.data.quality import Validation
from include.models.flight_delays import expectations, source
from include.models.flight_delays.model import MODEL
from include.partitions import partition

Fetch = Callable[[str], pd.DataFrame]


def check(frame: pd.DataFrame, key: str) -> Validation:
    return quality.validate(MODEL, partition(key, MODEL.timezone), frame, expectations.suite())


def test_an_ordinary_day_loses_nothing(fetch: Fetch) -> None:
    found = check(fetch("2026-05-04"), "2026-05-04")
    assert found.critical == [] and found.quarantined.empty and len(found.good) == 745


def test_the_wind_of_1048_mph_is_quarantined(home: Path) -> None:
    """No flight of 2013 was scheduled in the hour of this observation, so the test moves one there."""
    key = "2026-02-12"
    flights = source.flights_of(date(2013, 2, 12))
    moved = flights.index[flights["origin"].eq("EWR")][:2]
    flights.loc[moved, "sched_dep_time"] = [300, 335]
    flights.loc[moved, "time_hour"] = pd.Timestamp("2013-02-12T08:00:00Z")
    flights = source.with_weather(flights, source.table("weather"))
    flights = source.with_planes(flights, source.table("planes"))
    flights = source.with_destinations(flights, source.table("airports"))
    found = check(source.redated(flights, partition(key, MODEL.timezone)), key)
    assert found.critical == [] and len(found.quarantined) == 2 and found.good["wind_speed"].max() < 100
    assert "but for one observation of 1048" in found.quarantined["_expectation"][0]


def test_the_key_rejects_a_naive_join_over_the_repeated_hour(home: Path) -> None:
    """The weather has 01h of 3 November twice. No flight is in this hour, so the test moves one of 27 July there."""
    flights, weather = source.flights_of(date(2013, 11, 3)), source.table("weather")
    early = source.flights_of(date(2013, 7, 27)).query("sched_dep_time == 106")
    early = early.assign(time_hour=pd.Timestamp("2013-11-03T05:00:00Z").as_unit("s"))
    flights = pd.concat([flights, early], ignore_index=True)
    rest = [source.with_planes, source.with_destinations]
    tables = [source.table("planes"), source.table("airports")]

    def finish(frame: pd.DataFrame) -> Validation:
        for join, table in zip(rest, tables, strict=True):
            frame = join(frame, table)
        return check(source.redated(frame, partition("2026-11-03", MODEL.timezone)), "2026-11-03")

    local = weather[(weather.month == 11) & (weather.day == 3)].drop(columns=["time_hour", "year", "month", "day"])
    naive = flights.assign(hour=flights["sched_dep_time"] // 100).merge(local, on=["origin", "hour"], how="left")
    assert len(naive) == len(flights) + 1
    stopped = finish(naive)
    assert len(stopped.critical) == 1
    assert "the key (flight_date, carrier, flight, origin) identifies one row: 2 rows fail" in stopped.critical[0]

    ours = source.with_weather(flights, weather)
    assert len(ours) == len(flights) and finish(ours).critical == []
    with pytest.raises(pd.errors.MergeError):
        source.with_weather(flights, pd.concat([weather, weather.tail(1)]))


@pytest.mark.parametrize("key", ["2026-02-08", "2026-02-09"])
def test_a_day_with_many_cancellations_is_reported_and_kept(fetch: Fetch, key: str) -> None:
    found = check(fetch(key), key)
    assert found.critical == [] and found.quarantined.empty and len(found.good) == found.rows
    assert any("of the flights are cancelled" in warning for warning in found.warnings)


def test_a_day_without_outcomes_is_rejected(fetch: Fetch) -> None:
    early = fetch("2026-05-04").assign(late=None, arr_delay=None)
    assert "have an outcome" in check(early, "2026-05-04").critical[0]


def test_half_a_delivery_is_rejected(fetch: Fetch) -> None:
    assert "a day has 300 to 2,000 flights" in check(fetch("2026-05-04").head(200), "2026-05-04").critical[0]


def test_rows_of_another_day_are_rejected(fetch: Fetch) -> None:
    assert "scheduled_departure is within 2026-05-05" in check(fetch("2026-05-04"), "2026-05-05").critical[0]


def test_a_day_without_weather_or_planes_is_reported_and_kept(fetch: Fetch) -> None:
    found = check(fetch("2026-12-31").assign(plane_year=None), "2026-12-31")
    assert found.critical == [] and len(found.good) == 776
    assert any("have weather" in w and "observed 0" in w for w in found.warnings)
    assert any("in the register" in w for w in found.warnings)


def test_unknown_airports_and_rare_carriers_are_reported_and_kept(fetch: Fetch) -> None:
    frame = fetch("2026-05-04")
    frame.loc[0, "carrier"] = "OO"
    found = check(frame, "2026-05-04")
    assert found.critical == [] and len(found.good) == len(frame)
    assert not any("BQN, PSE, SJU and STT" in w for w in found.warnings)  # those are known
    frame.loc[1, "dest"], frame.loc[1, "dest_lat"] = "ZZZ", None
    found = check(frame, "2026-05-04")
    assert found.critical == [] and len(found.good) == len(frame)
    assert any("BQN, PSE, SJU and STT" in w and w.endswith("1 rows fail, e.g. ZZZ") for w in found.warnings)
    assert any("OO flew 32 times" in w and w.endswith("e.g. OO") for w in found.warnings)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("dep_time", 0),  # midnight is 2400 in this data
        ("dep_time", 2401),
        ("arr_time", 1360),
        ("sched_dep_time", -5),
        ("sched_arr_time", 2500),
        ("origin", "PHL"),
        ("carrier", "Delta"),
        ("dest", "12"),
        ("humid", 140.0),
        ("temp", 200.0),
        ("precip", -1.0),
        ("arr_delay", 9999),
        ("distance", 0),
        ("late", 2),
    ],
)
def test_impossible_values_are_quarantined(fetch: Fetch, column: str, value: object) -> None:
    frame = fetch("2026-05-04")
    row = frame.index[frame["arr_delay"].notna()][5]
    frame.loc[row, column] = value
    found = check(frame, "2026-05-04")
    assert found.critical == [] and len(found.quarantined) == 1
    assert column in found.quarantined["_column"][0]


def test_2400_is_a_valid_time(fetch: Fetch) -> None:
    frame = fetch("2026-05-04")
    frame.loc[[0, 1], ["sched_dep_time", "sched_arr_time", "dep_time", "arr_time"]] = 2400
    found = check(frame, "2026-05-04")
    assert found.critical == [] and found.quarantined.empty
