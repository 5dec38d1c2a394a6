"""The inputs of the estimators: the columns of a parcel, and the hour at which it was sent."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def build(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Text unchanged, numbers as float32."""
    at = columns["sent_at"]
    hour = (at - at.astype("datetime64[D]")) / np.timedelta64(1, "h")
    numbers = {name: np.asarray(columns[name], dtype=np.float32) for name in ("weight", "truck", "express")}
    return {"depot": columns["depot"], **numbers, "hour": hour.astype(np.float32)}
