"""The inputs of the toy's estimators."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def build(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Text unchanged, numbers as float32, and the hour of the day."""
    at = columns["at"]
    hour = (at - at.astype("datetime64[D]")) / np.timedelta64(1, "h")
    numbers = {name: np.asarray(columns[name], dtype=np.float32) for name in ("x", "z", "items", "express", "empty")}
    return {"shop": columns["shop"], **numbers, "hour": hour.astype(np.float32)}
