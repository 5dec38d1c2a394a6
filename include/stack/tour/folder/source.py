"""The source of the tour: rows that depend only on the day, so that a day always has the same rows.

Two files next to this one change what it delivers: ``faults.json`` lists the days whose weights arrive in grams instead
of kilograms, and ``change.json`` has the first day of another world, in which parcels are heavier and the depots have
other delays.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from include.partitions import Partition

FAULTS = Path(__file__).parent / "faults.json"
CHANGE = Path(__file__).parent / "change.json"
DEPOTS = {"Aarhus": 0.9, "Bergen": 0.3, "Cork": -0.2, "Delft": -0.7}
LATER = {"Aarhus": -0.9, "Bergen": -0.3, "Cork": 1.0, "Delft": 1.9}  # after the change
WRONG_SHARE = 0.4  # of the rows of a day with the fault


def fetch(partition: Partition, connections: Mapping[str, str]) -> pd.DataFrame:
    """The parcels of one day."""
    changed = CHANGE.exists() and partition.key >= json.loads(CHANGE.read_text())
    frame = parcels(partition, changed)
    if FAULTS.exists() and partition.key in json.loads(FAULTS.read_text()):
        wrong = frame.index[: int(WRONG_SHARE * len(frame))]
        frame.loc[wrong, "weight"] = 1000 * frame.loc[wrong, "weight"]
    return frame


def parcels(partition: Partition, changed: bool = False) -> pd.DataFrame:
    """The day without a fault; ``changed``: in the other world."""
    random = np.random.default_rng(int(hashlib.sha256(partition.key.encode()).hexdigest()[:15], 16))
    n = int(random.integers(120, 201))
    day = random.normal(0.0, 0.35)  # of the whole day, like weather: its rows are not independent
    heavy, off = random.normal(size=n), random.normal(size=n)
    if changed:  # heavier, and within the range of before: other values, not wrong ones
        heavy = 0.6 + 0.7 * heavy
    delays = LATER if changed else DEPOTS
    depot = random.choice(np.array(list(DEPOTS), dtype=object), size=n)
    express = random.random(n) < 0.3
    push = -0.8 + day + 1.6 * heavy + 1.4 * np.abs(off) + np.array([delays[d] for d in depot]) - 0.8 * express
    late = (random.random(n) < 1 / (1 + np.exp(-push))).astype(int)
    truck = 10 * off
    truck[random.random(n) < 0.2] = np.nan
    depot[random.random(n) < 0.05] = None
    seconds = np.sort(random.integers(0, int((partition.end - partition.start).total_seconds()), size=n))
    return pd.DataFrame(
        {
            "id": [f"{partition.key}-{i:04d}" for i in range(n)],
            "sent_at": pd.Timestamp(partition.start) + pd.to_timedelta(seconds, unit="s"),
            "depot": depot,
            "weight": np.exp(1.0 + 0.6 * heavy),
            "truck": truck,
            "express": express,
            "late": late,
        }
    )
