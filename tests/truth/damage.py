"""Damage by broken sources, joins and code to real days: pure functions from rows of whole days to damaged rows.

Nothing here imports the test runner: the sources of the models under test import it inside Airflow's tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

Damage = Callable[[pd.DataFrame], pd.DataFrame]
"""A function from rows of whole days (from a source or the lake) to as many rows of the same days."""


@dataclass(frozen=True)
class World:
    """The known facts about one model's days.

    Attributes
    ----------
    recipe : the candidate of all cases, so that a verdict is about the damage and not about a change of recipe.
    early, late : the first night that a run can be about, and a night on which its model is long out of date.
    label, outcome : the label, and all columns that are known only after the event.
    weather : the inputs that are measured and not known from the calendar. For electricity,
        which has no weather: the figures of the market.
    units : conversions of measured inputs to another unit.
    leak : inputs that get a column of the outcome instead of their own values; the column is the answer itself.
    near_leak : the same, but the column is not quite the answer; empty if no such column is useful.
    leak_in_pieces : the same, but no single input reveals much; empty if there is none.
    linear : a candidate that cannot take an infinite number.
    slice, wrong : column and value of the only rows with wrong labels, and the error. It is just small enough that a
        fresh model is still better than the frozen one over all rows.
    """

    recipe: str
    early: str
    late: str
    label: str
    outcome: tuple[str, ...]
    weather: tuple[str, ...]
    units: Mapping[str, Callable[[pd.Series], pd.Series]]
    leak: Mapping[str, str]
    near_leak: Mapping[str, str]
    leak_in_pieces: Mapping[str, str]
    linear: str
    slice: tuple[str, object]
    wrong: Callable[[pd.Series], pd.Series]


def times(factor: float) -> Callable[[pd.Series], pd.Series]:
    return lambda values: values * factor


def turned(share: float) -> Callable[[pd.Series], pd.Series]:
    """Swap 0 and 1 in a share of the rows."""
    return lambda label: label.where(np.random.default_rng(0).random(len(label)) >= share, 1 - label)


def celsius(fahrenheit: pd.Series) -> pd.Series:
    return (fahrenheit - 32) / 1.8


def fahrenheit(celsius: pd.Series) -> pd.Series:
    return celsius * 1.8 + 32


MARKET = tuple(f"previous_{name}" for name in ("nsw_price", "nsw_demand", "vic_price", "vic_demand", "transfer"))

WORLDS: Mapping[str, World] = {
    "flight_delays": World(
        recipe="boosting_60d",
        early="2025-02-07",  # the twin has seen only January; a blizzard a week later cannot be learned by a refit
        late="2025-07-31",
        label="late",
        outcome=("dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "cancelled", "diverted", "late"),
        weather=("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"),
        units={
            "temp": celsius,
            "dewp": celsius,
            "wind_speed": times(1.609),
            "wind_gust": times(1.609),
            "precip": times(25.4),
            "pressure": times(0.1),
            "visib": times(1.609),
        },
        leak={"wind_gust": "arr_delay"},
        near_leak={"wind_gust": "dep_delay"},
        leak_in_pieces={"sched_arr_time": "arr_time"},
        linear="logistic",
        slice=("carrier", "9E"),
        wrong=turned(1.0),
    ),
    "bike_demand": World(
        recipe="boosting_60d",
        early="2025-02-17",
        late="2025-07-31",
        label="cnt",
        outcome=("casual", "registered", "cnt"),
        weather=("weathersit", "temp", "atemp", "hum", "windspeed"),
        units={"temp": fahrenheit, "atemp": fahrenheit, "windspeed": times(1 / 3.6), "hum": times(0.01)},
        leak={"windspeed": "cnt"},
        near_leak={"windspeed": "registered"},
        leak_in_pieces={},
        linear="ridge_28d",
        slice=("workingday", True),
        wrong=times(1.78),
    ),
    "electricity": World(
        recipe="boosting_60d",
        early="2024-06-18",
        late="2025-08-31",
        label="up",
        outcome=("nsw_price", "nsw_demand", "vic_price", "vic_demand", "transfer", "up"),
        weather=(*MARKET, "previous_up"),
        units={name: times(1000.0) for name in MARKET},
        leak={"previous_up": "up"},
        near_leak={},
        leak_in_pieces={},
        linear="logistic",
        slice=("previous_up", 0),
        wrong=turned(0.33),
    ),
}


def into(column: pd.Series, values: pd.Series) -> pd.Series:
    """``values`` in the type of a column."""
    if pd.api.types.is_integer_dtype(column.dtype):
        whole = values.astype("Float64").round().astype("Int64")
        return whole if whole.isna().any() else whole.astype(column.dtype)
    return values.astype(column.dtype)


def shuffled(columns: Iterable[str], where: str | None = None) -> Damage:
    """All these columns come from one other row. If ``where`` is given, only rows with a value there are shuffled."""

    def damage(rows: pd.DataFrame) -> pd.DataFrame:
        at = np.flatnonzero(rows[where].notna()) if where else np.arange(len(rows))
        other = np.random.default_rng(0).permutation(at)
        found = rows.copy()
        for name in columns:
            values = rows[name].copy()
            values.iloc[at] = rows[name].iloc[other].array
            found[name] = values
        return found

    return damage


def labels_shuffled(world: World) -> Damage:
    """A join by row number: every row has the outcome of another row."""
    return shuffled(world.outcome, world.label)


def weather_shuffled(world: World) -> Damage:
    """Every row has the weather of another place and hour."""
    return shuffled(world.weather)


def units_changed(world: World) -> Damage:
    """A supplier has switched to other units."""

    def damage(rows: pd.DataFrame) -> pd.DataFrame:
        return rows.assign(**{name: into(rows[name], change(rows[name])) for name, change in world.units.items()})

    return damage


def leaked(columns: Mapping[str, str]) -> Damage:
    """Inputs that are filled after the event."""
    return lambda rows: rows.assign(**{name: into(rows[name], rows[answer]) for name, answer in columns.items()})


def infinite(world: World) -> Damage:
    """A measured number has been divided by zero."""
    name = next(iter(world.units))
    return lambda rows: rows.assign(**{name: np.inf})


def missing(columns: Iterable[str]) -> Damage:
    """These columns (texts and numbers) arrive empty."""

    def damage(rows: pd.DataFrame) -> pd.DataFrame:
        types = {name: rows[name].dtype for name in columns}
        nullable = {n: "Int64" if pd.api.types.is_integer_dtype(t) else t for n, t in types.items()}
        return rows.assign(**{n: pd.Series([None] * len(rows), index=rows.index, dtype=t) for n, t in nullable.items()})

    return damage


def one_class(world: World) -> Damage:
    """The label is always the same: its feed has failed, and a default is filled in."""

    def damage(rows: pd.DataFrame) -> pd.DataFrame:
        label = rows[world.label]
        same = label.where(label.isna(), 0 if label.max() <= 1 else 100)
        return rows.assign(**{world.label: into(label, same)})

    return damage


def worse_in_a_slice(world: World) -> Damage:
    """The labels are wrong in one slice only."""
    column, value = world.slice

    def damage(rows: pd.DataFrame) -> pd.DataFrame:
        label = rows[world.label]
        return rows.assign(**{world.label: into(label, label.where(rows[column] != value, world.wrong(label)))})

    return damage


NAMED: Mapping[str, Callable[[World], Damage]] = {
    "labels shuffled": labels_shuffled,
    "weather shuffled": weather_shuffled,
    "units changed": units_changed,
    "leak": lambda world: leaked(world.leak),
    "one class": one_class,
    "weather missing": lambda world: missing(world.weather),
}
"""The damage that a source can apply to its day, by name."""
