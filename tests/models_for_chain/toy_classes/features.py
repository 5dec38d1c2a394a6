"""The inputs of the estimators."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def build(columns: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Text unchanged, numbers as float32."""
    return {"shop": columns["shop"], **{n: np.asarray(columns[n], dtype=np.float32) for n in ("x", "z", "empty")}}
