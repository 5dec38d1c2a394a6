"""The one result of everything that is watched: a value, its limit, and whether it is healthy, violated or unknown.

What could not be measured is unknown. It is never 0 and never healthy: a result without a value or without a limit
cannot be made healthy.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Self

from pydantic import model_validator

from include.records import Record, Text


class State(StrEnum):
    """``healthy``: measured and within its limits. ``violated``: beyond a limit. ``unknown``: not measured, or nothing
    to compare with."""

    HEALTHY = "healthy"
    VIOLATED = "violated"
    UNKNOWN = "unknown"


class Cause(StrEnum):
    """What a violation means.

    ``data``: the rows are damaged or did not arrive (a person must look; a model fitted on them would be worse).
    ``drift``: the world or its population changed. ``stale``: a newer fit is better. ``service``: the model server.
    """

    DATA = "data"
    DRIFT = "drift"
    STALE = "stale"
    SERVICE = "service"


class Result(Record):
    """What one measure found about one subject.

    Attributes
    ----------
    subject : a feature, a column of the score, or the model as a whole (``""``).
    measure, formula : the name of the measure, and the version of the code that computes it: values of different
        versions are not comparable.
    value : None if it could not be measured.
    low, high : the limits; None for a side without one. Without both the state is unknown.
    sentence : the result for a person, with its figures; of an unknown one the reason.
    """

    subject: str
    measure: Text
    formula: int
    value: float | None
    low: float | None = None
    high: float | None = None
    state: State
    cause: Cause
    sentence: Text

    @model_validator(mode="after")
    def _never_healthy_by_absence(self) -> Self:
        measured = self.value is not None and (self.low is not None or self.high is not None)
        if self.state is not State.UNKNOWN and not measured:
            raise ValueError(f"{self.measure} of {self.subject!r} has no value or no limit: it is unknown")
        return self

    @property
    def violated(self) -> bool:
        return self.state is State.VIOLATED

    @property
    def known(self) -> bool:
        return self.state is not State.UNKNOWN
