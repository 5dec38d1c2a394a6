"""The toy's source: rows depend only on the partition key, so a day always has the same rows.

``PERENNIAL_TOY_SCENARIO`` can name a JSON file that corrupts partitions while everything runs:
``{"2026-05-03": {"drop_column": "x"}}``.
A day can have one or more of these kinds:

``drop_column``     name of a column to leave out
``retype``          name of a column whose values become text
``duplicate_keys``  number of rows to repeat
``bad_rows``        number of rows whose ``x`` is far out of range
``empty``           true: a batch without rows
``new_column``      name of an undeclared column to add
``shuffle_labels``  true: labels that are unrelated to the row
``error``           true: ConnectionError on the first fetch of the day, the second succeeds
``kill``            true: the first fetch of the day ends its own process with SIGKILL, the second succeeds
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from include.errors import ConfigurationError
from include.partitions import Partition
from include.spelling import did_you_mean

SHOPS = {"Aarhus": 0.9, "Bergen": 0.3, "Cork": -0.2, "Delft": -0.7}
KINDS = (
    "drop_column",
    "retype",
    "duplicate_keys",
    "bad_rows",
    "empty",
    "new_column",
    "shuffle_labels",
    "error",
    "kill",
)


def fetch(partition: Partition, connections: Mapping[str, str]) -> pd.DataFrame:
    """The rows of one day."""
    frame = rows_of(partition)
    return corrupted(frame, partition, scenario(partition.key))


def rows_of(partition: Partition) -> pd.DataFrame:
    """The day without corruption."""
    random = np.random.default_rng(int(hashlib.sha256(partition.key.encode()).hexdigest()[:15], 16))
    n = int(random.integers(120, 201))
    # an effect of the whole day, like weather: the rows of a day are not independent
    day_effect = random.normal(0.0, 0.35)
    x, z = random.normal(size=n), random.normal(size=n)
    shop = random.choice(np.array(list(SHOPS), dtype=object), size=n)
    items = random.integers(1, 9, size=n)
    express = random.random(n) < 0.3
    push = (
        -1.4
        + day_effect
        + 1.6 * x
        + 1.4 * np.abs(z)
        + np.array([SHOPS[s] for s in shop])
        + 0.15 * items
        - 0.8 * express
    )
    late = (random.random(n) < 1 / (1 + np.exp(-push))).astype(float)
    minutes = np.where(late == 1, random.integers(15, 90, size=n), random.integers(0, 15, size=n)).astype(float)
    cancelled = random.random(n) < 0.03
    late[cancelled], minutes[cancelled] = np.nan, np.nan
    z[random.random(n) < 0.2] = np.nan
    shop[random.random(n) < 0.05] = None
    seconds = np.sort(random.integers(0, int((partition.end - partition.start).total_seconds()), size=n))
    return pd.DataFrame(
        {
            "id": [f"{partition.key}-{i:04d}" for i in range(n)],
            "at": pd.Timestamp(partition.start) + pd.to_timedelta(seconds, unit="s"),
            "shop": shop,
            "x": x,
            "z": z,
            "items": items,
            "express": express,
            "empty": np.full(n, np.nan),
            "minutes": minutes,
            "late": pd.array(late, dtype="Float64").astype("Int64"),
        }
    )


def scenario(key: str) -> Mapping[str, Any]:
    """The corruption of the day, by kind."""
    file = os.environ.get("PERENNIAL_TOY_SCENARIO")
    if not file or not Path(file).is_file():
        return {}
    wanted: Mapping[str, Any] = json.loads(Path(file).read_text()).get(key, {})
    for kind in wanted:
        if kind not in KINDS:
            raise ConfigurationError(f"{file}: unknown kind {kind!r}{did_you_mean(kind, KINDS)}")
    return wanted


def first_time(partition: Partition, kind: str) -> bool:
    """Whether this kind of trouble happens to the day for the first time."""
    seen = Path(f"{os.environ['PERENNIAL_TOY_SCENARIO']}.{partition.key}.{kind}")
    if seen.exists():
        return False
    seen.touch()
    return True


def corrupted(frame: pd.DataFrame, partition: Partition, how: Mapping[str, Any]) -> pd.DataFrame:
    """The day with the corruption that its scenario describes."""
    if how.get("error") and first_time(partition, "error"):
        raise ConnectionError(f"the toy's source is not reachable (a scenario of {partition.key})")
    if how.get("kill") and first_time(partition, "kill"):
        os.kill(os.getpid(), signal.SIGKILL)
    if how.get("shuffle_labels"):
        # Each row gets the label of another row. The rate stays, so only a comparison of models can detect it.
        order = np.random.default_rng(0).permutation(len(frame))
        frame = frame.assign(late=frame["late"].to_numpy()[order], minutes=frame["minutes"].to_numpy()[order])
        frame["late"] = frame["late"].astype("Int64")
    if how.get("bad_rows"):
        frame.loc[frame.index[: int(how["bad_rows"])], "x"] = 1048.0
    if how.get("duplicate_keys"):
        frame = pd.concat([frame, frame.head(int(how["duplicate_keys"]))], ignore_index=True)
    if how.get("retype"):
        frame[how["retype"]] = [f"about {value}" for value in frame[how["retype"]]]
    if how.get("drop_column"):
        frame = frame.drop(columns=[how["drop_column"]])
    if how.get("new_column"):
        frame[how["new_column"]] = np.arange(len(frame), dtype=float)
    return frame.head(0) if how.get("empty") else frame
