"""The source: rows depend only on the partition key, so a day always has the same rows."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np
import pandas as pd

from include.partitions import Partition

STATIONS = {"Ash": 1.2, "Birch": 0.7, "Cedar": 0.3, "Dogwood": 0.0, "Elm": -0.5, "Fir": -1.0}


def fetch(partition: Partition, connections: Mapping[str, str]) -> pd.DataFrame:
    """The rows of one day: each hour of each station."""
    random = np.random.default_rng(zlib.crc32(partition.key.encode()))
    hour = np.tile(np.arange(24), len(STATIONS))
    n = len(hour)
    warmth = random.normal(15, 6) + 4 * np.sin((hour - 9) / 24 * 2 * np.pi) + random.normal(0, 1, n)
    holiday = np.full(n, random.random() < 0.2)
    rush = np.exp(-((hour - 8) ** 2) / 6) + 1.3 * np.exp(-((hour - 18) ** 2) / 8)
    station = np.repeat(np.array(list(STATIONS), dtype=object), 24)
    size = np.array([STATIONS[s] for s in station])
    mean = np.exp(1.0 + size + 0.04 * warmth + rush * np.where(holiday, 0.3, 1.2))
    rentals = random.poisson(mean).astype(float)
    rentals[random.random(n) < 0.02] = np.nan
    warmth[random.random(n) < 0.1] = np.nan
    return pd.DataFrame(
        {
            "station": station,
            "at": pd.Timestamp(partition.start) + pd.to_timedelta(hour, unit="h"),
            "warmth": warmth,
            "holiday": holiday,
            "rentals": pd.array(rentals, dtype="Float64").astype("Int64"),
        }
    )
