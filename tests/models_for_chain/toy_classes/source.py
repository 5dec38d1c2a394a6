"""The source: rows depend only on the partition key, so a day always has the same rows."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np
import pandas as pd

from include.partitions import Partition

SHOPS = {"Aarhus": 0.8, "Bergen": 0.0, "Cork": -0.6}


def fetch(partition: Partition, connections: Mapping[str, str]) -> pd.DataFrame:
    """The rows of one day."""
    random = np.random.default_rng(zlib.crc32(partition.key.encode()))
    n = int(random.integers(120, 181))
    x, z = random.normal(size=n), random.normal(size=n)
    shop = random.choice(np.array(list(SHOPS), dtype=object), size=n)
    pull = x + 0.5 * z + np.array([SHOPS[s] for s in shop]) + random.normal(0, 0.6, size=n)
    level = np.array(["quiet", "normal", "busy"], dtype=object)[np.digitize(pull, [-0.4, 1.6])]
    level[random.random(n) < 0.03] = None
    x[random.random(n) < 0.1] = np.nan
    shop[random.random(n) < 0.05] = None
    return pd.DataFrame(
        {
            "id": partition.start.toordinal() * 1000 + np.arange(n),
            "at": pd.Timestamp(partition.start) + pd.to_timedelta(np.sort(random.integers(0, 86_400, n)), unit="s"),
            "shop": shop,
            "x": x,
            "z": z,
            "empty": np.full(n, np.nan),
            "level": level,
        }
    )
