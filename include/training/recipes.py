"""What a run tries and fits: the recipe of a candidate, the result of its trial, and its twin."""

from __future__ import annotations

from include.records import PartitionKey, Record, Text
from include.training.plan import Window


class Recipe(Record):
    """How a model is fitted. Two fits of different nights are the same model, only fresher, if candidate and window
    are the same (`refreshes`).

    Attributes
    ----------
    iterations : of gradient boosting that stopped early in its trial (`candidates.stopped_after`), else None.
    """

    candidate: Text
    window_days: Window
    seed: int = 0
    iterations: int | None = None

    def refreshes(self, other: Recipe) -> bool:
        """Whether a fit of this recipe is a fresher fit of the other one; seed and iterations do not count."""
        return (self.candidate, self.window_days) == (other.candidate, other.window_days)

    def __str__(self) -> str:
        return f"{self.candidate} on {self.window_days} days"


class Trial(Record):
    """How one candidate did: fitted on the train days, scored on the selection days.

    Attributes
    ----------
    mlflow_run_id : None if nothing is tracked.
    metrics : on the selection days; None if a metric is not defined.
    seconds : of the fit; None if not known.
    rows, first, last : what it was fitted on.
    iterations : see `Recipe`.
    dropped : features that were missing in all rows.
    """

    mlflow_run_id: str | None = None
    candidate: Text
    metrics: dict[str, float | None]
    seconds: float | None
    rows: int
    first: PartitionKey
    last: PartitionKey
    iterations: int | None = None
    dropped: tuple[str, ...] = ()


class Ranking(Record):
    """How the candidates did on the selection days, from ``first`` to ``last``, in the order of declaration."""

    metric: str
    first: PartitionKey
    last: PartitionKey
    table: tuple[Trial, ...]


class Twin(Record):
    """A fit up to the day before the holdout, which is compared with others and never serves.

    Attributes
    ----------
    name : of the candidate.
    digest : under which the bundle store has it; empty if it is kept elsewhere.
    rows, first, last : what it was fitted on.
    """

    name: Text
    digest: str
    first: PartitionKey
    last: PartitionKey
    rows: int
    dropped: tuple[str, ...] = ()
