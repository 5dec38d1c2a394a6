"""What the steps of a night read and keep, as small interfaces: deployment, trial and back-test have their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from include.gate.rivals import Stored
from include.training.recipes import Recipe, Twin
from include.training.rows import Rows


@dataclass(frozen=True)
class HoldoutRows:
    """The holdout of a run: its first and last day, the rows with labels, and what an estimator sees of them."""

    first: str
    last: str
    rows: pd.DataFrame
    labels: np.ndarray
    features: pd.DataFrame


class Twins(Protocol):
    """Fits the twins of one night, and keeps them."""

    def fit(self, recipe: Recipe) -> Twin: ...
    def pipeline(self, twin: Twin) -> Any: ...


@dataclass(frozen=True)
class Serving:
    """The version that serves; ``recipe`` is None if only its number is known."""

    version: int
    name: str
    recipe: Recipe | None
    digest: str | None = None


@dataclass(frozen=True)
class Past:
    """A version that serves or has served; ``twin_last`` is the last day that its twin was fitted on."""

    version: int
    twin_last: str


@dataclass(frozen=True)
class TwinScores:
    """The scores of a version's twin on a holdout: its candidate, and the last day that it was fitted on."""

    candidate: str
    last: str
    scores: np.ndarray


class Champions(Protocol):
    """The version that serves, those that have served, and their scores."""

    def serving(self) -> Serving | None: ...
    def past(self) -> Sequence[Past]: ...
    def score(self, version: int, holdout: HoldoutRows) -> TwinScores:
        """Raises a `PerennialError` if the twin has seen the holdout, or cannot be scored on it."""


@dataclass(frozen=True)
class Ports:
    """What a night reads and keeps."""

    rows: Rows
    twins: Twins
    champions: Champions
    rivals: Stored


def seen(twin_last: str, holdout_first: str) -> str | None:
    """Why a twin fitted up to ``twin_last`` may not be judged on a holdout that begins on ``holdout_first``, or
    None."""
    if twin_last < holdout_first:
        return None
    return f"was fitted up to {twin_last}, so it has seen days of the holdout, which begins on {holdout_first}"
