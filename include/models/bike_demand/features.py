"""What the model sees of an hour, from the calendar and the weather. Numpy only: the same code serves one live row.

Left out on purpose: the season and the month (a window of 60 days has never seen the next one), the felt temperature
(made of the others, and its sensor was stuck for a day), and the column `weekday` (5 % are missing; the date knows).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

RAIN = {"Clear": 0.0, "Mist": 1.0, "Light Rain": 2.0, "Heavy Rain": 3.0}


def build(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Features of n hours.

    Parameters
    ----------
    columns : raw columns by name as `include.scoring.columns` gives them, 1-d, n values each.

    Returns
    -------
    dict of 1-d arrays of n values: text as object (missing: ""), numbers as float32 (missing: nan).
    """
    date = columns["ride_date"]
    days = date.astype(np.float64)  # since 1970-01-01, a Thursday
    days[np.isnat(date)] = np.nan
    weekday = (days + 3) % 7  # Monday is 0
    hour = np.asarray(columns["hour"], dtype=np.float64)
    working = np.asarray(columns["workingday"], dtype=np.float64)
    rain = np.array([RAIN.get(text, np.nan) for text in columns["weathersit"]], dtype=np.float32)
    return {
        # texts, for models without interactions: the day's shape differs between working and free days
        "hour_of_day": _texts(working, hour),
        "hour_of_week": _texts(weekday, hour),
        "hour": hour.astype(np.float32),
        "weekday": weekday.astype(np.float32),
        "workingday": working.astype(np.float32),
        "holiday": np.asarray(columns["holiday"], dtype=np.float32),
        "rain": rain,
        **{name: np.asarray(columns[name], dtype=np.float32) for name in ("temp", "hum", "windspeed")},
    }


def _texts(kind: np.ndarray, hour: np.ndarray) -> np.ndarray:
    """``"<kind> <hour>"`` as text; "" if one of them is missing."""
    texts = np.empty(len(hour), dtype=object)
    known = np.isfinite(kind) & np.isfinite(hour)
    texts[:] = [f"{int(k)} {int(h)}" if there else "" for k, h, there in zip(kind, hour, known, strict=True)]
    return texts
