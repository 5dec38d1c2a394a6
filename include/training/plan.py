"""What a run is about, frozen by its first task: the rows, the days of each fit, the settings."""

from __future__ import annotations

from typing import Literal

from include.data.snapshots import Snapshot
from include.errors import ConfigurationError
from include.records import PartitionKey, Record, Text
from include.spelling import did_you_mean

Span = tuple[PartitionKey, PartitionKey]
"""First and last partition key, both included."""
Window = int | Literal["all"]
"""Days of training data, or all that there are."""


class Windows(Record):
    """The days of one candidate in one run.

    ``[train][selection][holdout]``, the last day of the holdout being the as-of. The twin is fitted on ``twin`` (it
    ends the day before the holdout), the release model on ``release`` (it ends at the as-of); the three fits are
    equally long.
    """

    train: Span
    selection: Span
    holdout: Span
    twin: Span
    release: Span


class DayCount(Record):
    """Days and rows with labels."""

    days: int
    rows: int


class LabelCounts(Record):
    """What can be selected and judged on."""

    selection: DayCount
    holdout: DayCount


class Quarantined(Record):
    """Rows of the snapshot's days that validation has kept out; ``worst`` is the day with most, and how many."""

    rows: int
    days: int
    worst: tuple[PartitionKey, int] | None


class Parameters(Record):
    """The settings in which two runs over the same data can differ; recorded with the decision."""

    candidates: tuple[str, ...]
    window_days: Window
    seed: int


class Plan(Record):
    """All that the later tasks of a run read.

    Attributes
    ----------
    code_digest : `catalog.digest` of the model, which every later task compares with its own.
    windows : by candidate.
    days : what has labels in the selection days and the holdout.
    quarantined : None if it is not known.
    nothing_new : a reason to end the run here, or None.
    """

    as_of: PartitionKey
    snapshot: Snapshot
    candidates: tuple[Text, ...]
    baseline: Text
    window_days: Window
    seed: int
    note: str
    code_digest: str
    windows: dict[str, Windows]
    days: LabelCounts
    quarantined: Quarantined | None = None
    nothing_new: str | None = None

    @property
    def parameters(self) -> Parameters:
        return Parameters(candidates=self.candidates, window_days=self.window_days, seed=self.seed)

    def spans(self, candidate: str) -> Windows:
        """The days of one candidate of the plan.

        Raises
        ------
        ConfigurationError : it is not part of this run.
        """
        if candidate not in self.windows:
            raise ConfigurationError(
                f"candidate {candidate!r} is not part of this run{did_you_mean(candidate, self.windows)}"
            )
        return self.windows[candidate]
