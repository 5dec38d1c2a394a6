"""The inputs of the estimators."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def build(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The station, the hour of the day, and the weather."""
    at = columns["at"]
    hour = (at - at.astype("datetime64[D]")) / np.timedelta64(1, "h")
    numbers = {n: np.asarray(columns[n], dtype=np.float32) for n in ("warmth", "holiday")}
    return {"station": columns["station"], "hour": hour.astype(np.float32), **numbers}
