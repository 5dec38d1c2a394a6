"""What the model sees of a half-hour before it begins. Numpy only: the same code serves one live row."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

NUMBERS = (
    *("previous_nsw_price", "previous_nsw_demand", "previous_vic_price", "previous_vic_demand", "previous_transfer"),
    "previous_up",
)


def build(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Features of n half-hours.

    Parameters
    ----------
    columns : raw columns by name as `include.scoring.columns` gives them, 1-d, n values each.

    Returns
    -------
    dict of 1-d float32 arrays of n values (missing: nan).
    """
    date = columns["market_date"]
    days = date.astype(np.float64)  # since 1970-01-01, a Thursday
    days[np.isnat(date)] = np.nan
    return {
        "half_hour": np.asarray(columns["half_hour"], dtype=np.float32),
        "weekday": ((days + 3) % 7).astype(np.float32),  # Monday is 0
        **{name: np.asarray(columns[name], dtype=np.float32) for name in NUMBERS},
    }
