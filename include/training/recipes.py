"""Records of a run's fits: the recipe of a candidate, the result of its trial, and its twin."""

from __future__ import annotations

from include.records import PartitionKey, Record, Text
from include.training.plan import Window


class Recipe(Record):
    """The settings of a fit. If two nights use the same candidate and window, the later fit is a refresh of the
    earlier one (`refreshes`).

    Attributes
    ----------
    iterations : the number of boosting iterations if the trial stopped early (`candidates.stopped_after`), else None.
    """

    candidate: Text
    window_days: Window
    seed: int = 0
    iterations: int | None = None

    def refreshes(self, other: Recipe) -> bool:
        """Whether a fit of this recipe refreshes a fit of the other one; seed and iterations are ignored."""
        return (self.candidate, self.window_days) == (other.candidate, other.window_days)

    def __str__(self) -> str:
        return f"{self.candidate} on {self.window_days} days"


class Trial(Record):
    """The result of one candidate, fitted on the train days and scored on the selection days.

    Attributes
    ----------
    mlflow_run_id : the MLflow run; None without tracking.
    metrics : the metrics on the selection days; None if a metric is not defined.
    seconds : the duration of the fit; None if unknown.
    rows, first, last : the number of training rows, and the first and last training day.
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
    """The results of the candidates on the selection days ``first`` to ``last``, in the order of declaration."""

    metric: str
    first: PartitionKey
    last: PartitionKey
    table: tuple[Trial, ...]


class Twin(Record):
    """A fit up to the day before the holdout, which is used for comparisons and never serves predictions.

    Attributes
    ----------
    name : the name of the candidate.
    digest : the digest in the bundle store; empty if the twin is stored elsewhere.
    rows, first, last : the number of training rows, and the first and last training day.
    """

    name: Text
    digest: str
    first: PartitionKey
    last: PartitionKey
    rows: int
    dropped: tuple[str, ...] = ()
