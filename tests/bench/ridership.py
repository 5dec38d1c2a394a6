"""A made-up table of public transport ridership: 50 columns, one row a day or one row for each stop and day.

Ridership has a weekly and a yearly season, holidays, a slow trend, weather, events, and noise that lasts some days. The
columns that a planner knows in advance explain most of it. The same days give the same table in every run.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

TIME, TARGET = "service_time", "ridership"
COLUMNS = 50
SEED = 20260101
BEFORE = 28  # days before the first one, for the columns that look back
DAYS_AT_ONCE = 30
STATIONS = 16
MODES = {"subway": 0.45, "bus": 0.3, "tram": 0.15, "rail": 0.08, "ferry": 0.02}
WEEK = np.array([1.0, 1.03, 1.04, 1.03, 0.98, 0.62, 0.48])
HOLIDAYS = {(1, 1), (5, 1), (7, 4), (10, 3), (12, 25), (12, 26)}
WORKS = ("none", "night", "line closed", "fewer trains")


def write(path: Path, last: date, days: int, stops: int) -> int:
    """Write the table of the days up to ``last`` as CSV or Parquet, by the ending of the name; its number of rows."""
    months = batches(last, days, stops)
    if path.suffix == ".csv":
        frame = pd.concat(months, ignore_index=True)
        frame.to_csv(path, index=False)
        return len(frame)
    rows, writer = 0, None
    for frame in months:
        table = pa.Table.from_pandas(frame, preserve_index=False)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
        rows += len(frame)
    assert writer is not None
    writer.close()
    return rows


def batches(last: date, days: int, stops: int) -> Iterator[pd.DataFrame]:
    """The table in batches of 30 days, in the order of days."""
    frames = []
    for number, frame in enumerate(_days(last, days, stops), start=1):
        frames.append(frame)
        if number % DAYS_AT_ONCE == 0 or number == days:
            yield pd.concat(frames, ignore_index=True)
            frames = []


def _days(last: date, days: int, stops: int) -> Iterator[pd.DataFrame]:
    random = np.random.default_rng(SEED)
    level = np.round(np.exp(random.normal(6.0, 0.5, stops)), 1)
    lines = np.array([f"line {n:02d}" for n in range(1, 41)], dtype=object)[random.integers(0, 40, stops)]
    stop, minute = np.arange(1, stops + 1), random.integers(0, 24 * 60, stops) if stops > 1 else np.zeros(1, dtype=int)
    history: list[np.ndarray] = []
    lasting = 0.0
    for number in range(-BEFORE, days):
        day = last - timedelta(days=days - 1 - number)
        known = _known(day, number, random)
        lasting = 0.6 * lasting + random.normal(0, 0.03)
        noise = random.normal(0, 0.06, stops)
        ridership = np.maximum(0, level * _factor(known, day, number) * np.exp(lasting + noise)).round()
        if number >= 0:
            yield _frame(day, known, ridership, history, random, stop, lines, minute)
        history = [*history[1 - BEFORE :], ridership]


def _known(day: date, number: int, random: np.random.Generator) -> dict[str, object]:
    """What is known about a day in advance."""
    warm = np.sin(2 * np.pi * (day.timetuple().tm_yday - 110) / 365)
    rain = float(max(0.0, random.gamma(0.4, 6.0) - 1).__round__(1))
    cold = 11 + 11 * warm + random.normal(0, 3)
    return {
        "temperature": round(cold, 1),
        "rain_mm": rain,
        "snow_cm": round(max(0.0, random.normal(0, 3)), 1) if cold < 0 else 0.0,
        "wind": round(random.gamma(3.0, 4.0), 1),
        "humidity": int(random.integers(35, 100)),
        "cloud": int(random.integers(0, 9)),
        "sky": "rain" if rain > 1 else str(random.choice(["clear", "cloudy", "fog"])),
        "holiday": (day.month, day.day) in HOLIDAYS,
        "school_day": day.weekday() < 5 and day.month not in (7, 8),
        "event_visitors": int(random.integers(5, 60) * 1000) if random.random() < 0.15 else 0,
        "trains_planned": int(900 - 250 * (day.weekday() >= 5) + random.integers(-10, 10)),
        "buses_planned": int(2400 - 700 * (day.weekday() >= 5) + random.integers(-30, 30)),
        "works": str(random.choice(WORKS, p=[0.7, 0.15, 0.05, 0.1])),
        "fare": round(2.75 + 0.15 * (number >= 300), 2),
        "fuel_price": round(1.6 + 0.2 * np.sin(number / 90) + random.normal(0, 0.02), 3),
    }


def _factor(known: dict[str, object], day: date, number: int) -> float:
    """The part of the ridership that the known columns explain."""
    factor = WEEK[day.weekday()] * (1 + 0.0002 * number) * (1 - 0.006 * min(float(str(known["rain_mm"])), 25))
    factor *= 0.55 if known["holiday"] else 1.0
    factor *= 1.08 if known["school_day"] else 1.0
    factor *= {"none": 1.0, "night": 0.98, "line closed": 0.8, "fewer trains": 0.9}[str(known["works"])]
    return float(factor * (1 + int(str(known["event_visitors"])) / 400_000))


def _frame(
    day: date,
    known: dict[str, object],
    ridership: np.ndarray,
    history: list[np.ndarray],
    random: np.random.Generator,
    stop: np.ndarray,
    lines: np.ndarray,
    minute: np.ndarray,
) -> pd.DataFrame:
    stops = len(stop)
    columns: dict[str, object] = {TIME: np.datetime64(day, "us") + minute * np.timedelta64(1, "m")}
    columns |= {"stop": stop, "line": lines} | {name: [value] * stops for name, value in known.items()}
    columns |= {f"ridership_{lag}_days_ago": history[-lag].astype(np.int64) for lag in (1, 7, 14, 28)}
    columns["ridership_mean_7_days"] = np.mean(history[-7:], axis=0).round(1)
    for mode, share in MODES.items():
        for lag in (1, 7):
            part = history[-lag] * share * random.normal(1, 0.05, stops)
            columns[f"{mode}_{lag}_days_ago"] = part.round(1)
    for station in range(1, STATIONS + 1):
        gates = history[-1] * (0.02 + 0.01 * station) * random.normal(1, 0.1, stops)
        columns[f"station_{station:02d}_yesterday"] = gates.round(1)
    return pd.DataFrame(columns | {TARGET: ridership.astype(np.int64)})
