"""What the model sees of a flight, from columns known before departure. Numpy only: the same code serves one live row.

Left out on purpose: the month (a window of 60 days has never seen the next one), and the number of flights scheduled
in the same hour (one live row cannot know it).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

ORIGIN_UTC_OFFSET = -5.0  # all three origins, standard time like `dest_utc_offset`
LAST_MINUTE = 1439.0
NUMBERS = (
    *("distance", "plane_engines", "plane_seats", "dest_lat", "dest_lon", "dest_altitude"),
    *("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"),
)
TEXTS = ("carrier", "origin", "dest", "plane_engine")
# The register names two makers in several ways.
MAKERS = {
    "AIRBUS INDUSTRIE": "AIRBUS",
    "MCDONNELL DOUGLAS AIRCRAFT CO": "MCDONNELL DOUGLAS",
    "MCDONNELL DOUGLAS CORPORATION": "MCDONNELL DOUGLAS",
}


def build(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Features of n flights.

    Parameters
    ----------
    columns : raw columns by name as `include.scoring.columns` gives them, 1-d, n values each: text as objects
        (missing: ""), numbers as float64 (missing: nan).

    Returns
    -------
    dict of 1-d arrays of n values: text as object (missing: ""), numbers as float32 (missing: nan).
    """
    features = {name: columns[name] for name in TEXTS}
    makers = columns["plane_manufacturer"]
    features["plane_manufacturer"] = np.array([MAKERS.get(maker, maker) for maker in makers], dtype=object)
    features.update(zip(NUMBERS, np.array([columns[name] for name in NUMBERS], dtype=np.float32), strict=True))

    date = columns["flight_date"]
    days = date.astype(np.float64)  # since 1970-01-01, a Thursday
    year = date.astype("datetime64[Y]").astype(np.float64) + 1970
    days[np.isnat(date)] = year[np.isnat(date)] = np.nan
    departure, arrival = _minutes([columns["sched_dep_time"], columns["sched_arr_time"]])
    hours_apart = np.asarray(columns["dest_utc_offset"], dtype=np.float64) - ORIGIN_UTC_OFFSET

    features["weekday"] = ((days + 3) % 7).astype(np.float32)  # Monday is 0
    features["hour"] = (departure // 60).astype(np.float32)
    features["minute_of_day"] = departure.astype(np.float32)
    features["scheduled_minutes"] = ((arrival - departure - 60 * hours_apart) % 1440).astype(np.float32)
    features["plane_age"] = (year - np.asarray(columns["plane_year"], dtype=np.float64)).astype(np.float32)
    return features


def _minutes(hhmm: Sequence[np.ndarray]) -> np.ndarray:
    """Minutes after midnight of local times hhmm; 2400 is the last minute of its day."""
    time = np.asarray(hhmm, dtype=np.float64)
    return np.minimum(time // 100 * 60 + time % 100, LAST_MINUTE)
